"""`reki release diff`: what differs between two releases, and what a change needs."""

import json as json_text
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from ranking.release import Release
from reki.current import current_settings
from reki.release.found import find
from reki.release.weights import FILES, tensors


def run(old: str, new: str, as_json: bool) -> None:
    """Print it; errors as `found.find`."""
    folder = current_settings().ranking.releases_dir
    found = difference(find(folder, old), find(folder, new))
    if as_json:
        print(json_text.dumps(found, indent=1))
        return
    print("\n".join(lines(found)))


def difference(old: Release, new: Release) -> dict[str, Any]:
    """What differs: `settings` {name: [old, new]}, `lists` {name: {added, removed, reordered}}, vocabulary, weights.

    `needs`: what has to happen before `new` can serve where `old` does.
    """
    before, after = (
        _flat(json_text.loads(json_text.dumps(asdict(old.about)))),
        _flat(json_text.loads(json_text.dumps(asdict(new.about)))),
    )
    settings: dict[str, list[Any]] = {}
    lists: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        if name == "anchor_means" or not (isinstance(one, list) and isinstance(other, list)):
            settings[name] = [_short(one), _short(other)]
            continue
        added, removed = [v for v in other if v not in one], [v for v in one if v not in other]
        lists[name] = {"added": added, "removed": removed, "reordered": not added and not removed}
    shared = set(old.vocabulary) & set(new.vocabulary)
    weights = {file: _weights(old, new, file) for file in FILES}
    return {
        "old": old.release_id,
        "new": new.release_id,
        "settings": settings,
        "lists": lists,
        "vocabulary": {
            "added": len(new.vocabulary) - len(shared),
            "removed": len(old.vocabulary) - len(shared),
            "renumbered": sum(old.vocabulary[item] != new.vocabulary[item] for item in shared),
        },
        "weights": weights,
        "needs": _needs(old, new, weights),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """For people; one line where nothing differs."""
    if found["old"] == found["new"]:
        return [f"{found['old']}: the same release"]
    page = [f"{found['old']} -> {found['new']}"]
    page += [f"  {name}: {one} -> {other}" for name, (one, other) in found["settings"].items()]
    for name, change in found["lists"].items():
        parts = [
            f"{sign}{', '.join(map(str, change[key]))}"
            for sign, key in (("+ ", "added"), ("- ", "removed"))
            if change[key]
        ]
        page.append(f"  {name}: {'; '.join(parts) or 'other order'}")
    vocabulary = found["vocabulary"]
    if any(vocabulary.values()):
        page.append("  vocabulary: " + ", ".join(f"{count} {what}" for what, count in vocabulary.items() if count))
    for file, change in found["weights"].items():
        said = [f"{count} {what}" for what, count in change.items() if count and what != "largest_change"]
        if change["changed"]:
            said.append(f"the largest change of a weight {change['largest_change']:.3g}")
        page.append(f"  {file}: " + (", ".join(said) or "empty"))
    return [*page, "To change over:", *(f"  {need}" for need in found["needs"])]


def _weights(old: Release, new: Release, file: str) -> dict[str, Any]:
    one, other = tensors(old, file), tensors(new, file)
    both = [name for name in one if name in other]
    same_shape = [name for name in both if one[name].shape == other[name].shape]
    gaps = {
        name: float((one[name].double() - other[name].double()).abs().max())
        for name in same_shape
        if not torch.equal(one[name], other[name])
    }
    return {
        "equal": len(same_shape) - len(gaps),
        "changed": len(gaps),
        "resized": len(both) - len(same_shape),
        "added": len(other) - len(both),
        "removed": len(one) - len(both),
        "largest_change": max(gaps.values(), default=0.0),
    }


def _needs(old: Release, new: Release, weights: Mapping[str, Mapping[str, Any]]) -> list[str]:
    needs = []
    hein = weights[FILES[0]]
    sizes = (len(old.factors), old.dim, len(old.anchors)) == (len(new.factors), new.dim, len(new.anchors))
    if not sizes:
        needs.append("the Feast views have other widths: they must be changed and applied first")
    if old.encoder_id != new.encoder_id or old.factors != new.factors:
        needs.append("texts are encoded anew: another encoder or other factors")
    if any(hein[what] for what in ("changed", "resized", "added", "removed")):
        needs.append("every vector of items and users is written anew into the other slot: HEIN differs")
    else:
        needs.append(
            "every vector is written anew into the other slot, with the same numbers: rows carry their release"
        )
    lost = sorted(set(old.accepted_knowledge) - set(new.accepted_knowledge))
    if lost:
        needs.append(f"expectations from {', '.join(lost)} are masked from then on: generate knowledge anew")
    if old.anchors != new.anchors:
        needs.append("anchors differ: expected anchor values are assembled anew")
    return needs


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short(value: Any) -> Any:  # noqa: ANN401 - whatever release.json holds
    return f"{len(value)} numbers" if isinstance(value, list) and len(value) > 12 else value
