"""`reki release show`: the model card, made of what the release itself holds. No part of its content, so of its id."""

from collections.abc import Mapping, Sequence
from typing import Any

from feature_repo import schema
from ranking.release import Release
from reki.current import current_settings
from reki.release.found import find, made_at
from reki.release.weights import FILES, tensors

_METRICS = {
    "auc_valid": "AUC, validation users (training stopped by it)",
    "auc_valid_without_knowledge": "the same, backbone alone",
    "auc_test": "AUC, test users",
    "auc_test_without_knowledge": "the same, backbone alone",
}
_FLOAT = 4  # bytes


def run(name: str) -> None:
    """Print the card of a release; errors as `found.find`."""
    print(card(find(current_settings().ranking.releases_dir, name)))


def card(release: Release) -> str:
    """The model card in Markdown."""
    sections = [_head(release), _data(release), _metrics(release), _knowledge(release), _sizes(release)]
    return "\n\n".join([*sections, _layout(release), _limits(release)])


def _head(release: Release) -> str:
    about, ranker = release.about, release.about.ranker
    head = f"head with {', '.join(ranker.groups)}" if ranker.knowledge and ranker.groups else "no head"
    return (
        f"# Release {release.release_id}\n\n"
        f"Made {made_at(release.path):%Y-%m-%d %H:%M} UTC, in {release.path}. Scores items for a user "
        f"({about.scenario}): {about.model_name} on ids and the newest {ranker.backbone_history} entries; {head}."
    )


def _data(release: Release) -> str:
    lines = []
    for key, value in release.about.training.items():
        text = f"{len(value)}" if key == "without_users" else _plain(value)
        lines.append((key.replace("_", " "), text))
    return "## Data\n\n" + _table(("what", "value"), lines or [("training", "not stated")])


def _metrics(release: Release) -> str:
    lines = [(_METRICS.get(name, name.replace("_", " ")), f"{value:.5g}") for name, value in release.metrics.items()]
    return "## Metrics\n\n" + _table(("metric", "value"), lines or [("metrics", "none stated")])


def _knowledge(release: Release) -> str:
    lines = [
        (f"`{model}`", f"`{template}`", f"`{catalogue}`")
        for model, template, catalogue in ((*source.split("|"), "", "")[:3] for source in release.accepted_knowledge)
    ]
    return (
        "## Knowledge\n\n"
        "Trained with expectations from these sources; from any other one they are masked and flagged.\n\n"
        + _table(("model", "template version", "catalogue version"), lines)
        + f"\n\nTexts: {len(release.factors)} factors ({', '.join(release.factors)}), encoded by "
        f"`{release.encoder_id}`. {len(release.anchors)} anchors; means over training users known for "
        f"{sum(mean != 0 for mean in release.anchor_means)}."
    )


def _sizes(release: Release) -> str:
    lines = []
    for file in FILES:
        numbers = sum(int(tensor.numel()) for tensor in tensors(release, file).values())
        lines.append((file, f"{(release.path / file).stat().st_size:,}", f"{numbers:,}"))
    rest = sum(path.stat().st_size for path in release.path.iterdir() if path.name not in FILES)
    lines.append(("the rest", f"{rest:,}", "-"))
    factors, dim, summary = len(release.factors), release.dim, release.about.hein.summary
    item = (factors * dim + summary) * _FLOAT
    user = (2 * 2 * factors * dim + schema.STORED_STATS + len(release.anchors) + summary) * _FLOAT
    return (
        "## Sizes\n\n"
        + _table(("file", "bytes", "weights"), lines)
        + f"\n\nVocabulary: {len(release.vocabulary):,} items. In Feast, a slot, numbers alone: {user:,} bytes a user, "
        f"{item:,} an item."
    )


def _layout(release: Release) -> str:
    ours = {
        "F, factors": (len(release.factors), schema.FACTORS),
        "d, numbers a factor": (release.dim, schema.DIM),
        "A, anchors": (len(release.anchors), schema.ANCHORS),
        "summary": (release.about.hein.summary, schema.SUMMARY),
        "H, newest entries served": (release.history_length, schema.HISTORY),
        "N, newest events behind vectors": (release.ring_size, schema.RING),
        "S, statistics": (release.about.ranker.statistics, schema.STORED_STATS + 1),
    }
    lines = [(name, str(own), "yes" if own == views else f"no: {views}") for name, (own, views) in ours.items()]
    return "## Layout\n\n" + _table(("size", "release", "as the Feast views"), lines)


def _limits(release: Release) -> str:
    lines = [
        "Metrics are of one split of one data set; a comparison with intervals is `reki evaluate`.",
        "Expectations are inferred personal data. What an LLM believes of items and people, prejudice included, is in "
        "the inputs.",
        "Item ids outside the vocabulary count as unknown; an item without a vector is scored by the rest.",
    ]
    if str(release.about.training.get("data", "")).startswith("MovieLens"):
        lines.append("MovieLens may be used for research only: mind that with what was trained on it.")
    return "## Limits\n\n" + "\n".join(f"* {line}" for line in lines)


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever training noted
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows: list[Sequence[str]] = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
