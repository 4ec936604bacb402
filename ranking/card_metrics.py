"""The parts of a model card with numbers: metrics of this release, those of the folds, calibration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranking.release import Release

# Names in `About.metrics`, of any version.
PARTS = {
    "folds": "folds: each user scored by models that had not seen them",
    "kept_out": "users kept out of this training",
    "valid": "validation users (training stopped by them)",
    "test": "test users",
}
_NAMES = {"auc": "AUC", "gauc": "GAUC", "logloss": "log loss"}
_WITHOUT, _SPREAD = "_without_knowledge", "_spread"


def metrics(release: "Release") -> str:
    """A row for each metric and group of users; the backbone alone beside it."""
    known = dict(release.metrics)
    lines, used = [], set[str]()
    for part, words in PARTS.items():
        for metric, name in _NAMES.items():
            key = f"{metric}_{part}"
            if key not in known:
                continue
            used |= {f"{key}{rest}" for rest in ("", _SPREAD, _WITHOUT, _WITHOUT + _SPREAD)}
            lines.append((f"{name}, {words}", _cell(known, key), _cell(known, key + _WITHOUT)))
    lines += [(name.replace("_", " "), f"{known[name]:.5g}", "") for name in known if name not in used]
    page = "## Metrics\n\n" + table(("metric", "value", "backbone alone"), lines or [("metrics", "none stated", "")])
    settled = release.about.training.get("settled")
    if "auc_folds" in known and settled:
        page += (
            f"\n\nFolds: {settled['folds']} x {settled['seeds']} seeds over {settled['users']:,} users, "
            f"{settled['samples']:,} samples; mean ± standard deviation of the single models. They were trained on "
            f"fewer users than this release, as it was (code {settled['code']}; settled at commit {settled['commit']})."
        )
        if settled["provisional"]:
            page += " **Provisional: fewer folds or seeds than the protocol's.**"
    return page


def calibration(release: "Release") -> str:
    """Temperature, and how far probabilities of the folds can be trusted."""
    page = (
        f"## Calibration\n\nA probability is sigmoid(logit / temperature); temperature {release.temperature:.5g}"
        f"{', as no one measured it' if release.temperature == 1 else ', fitted on the logits of the folds'}."
    )
    rows = release.about.training.get("calibration")
    if not rows:
        return page
    lines = [(f"{chance:.3f}", f"{share:.3f}", f"{count:,}") for chance, share, count in rows]
    return f"{page}\n\n" + table(("predicted", "liked", "predictions of the folds"), lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows: list[Sequence[str]] = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(known: Mapping[str, float], key: str) -> str:
    if key not in known:
        return ""
    spread = f" ± {known[key + _SPREAD]:.4f}" if key + _SPREAD in known else ""
    return f"{known[key]:.4f}{spread}" if spread else f"{known[key]:.5g}"
