"""The model card of a release, in Markdown, made of what the release itself says: CARD.md in its folder.

It lies beside the hashed files and is none of them, so no id depends on its wording. `reki release show` makes it anew
from the verified content.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ranking.card_metrics import calibration, metrics, table

if TYPE_CHECKING:
    from ranking.release import Release

_OWN_SECTIONS = ("hidden", "settled", "calibration")  # of `training`: tables of their own


def card(release: "Release") -> str:
    """The whole card, without what depends on where it lies."""
    sections = (_head, _use, _data, metrics, calibration, _knowledge, _masks, _limits, _loading)
    return "\n\n".join(text for text in (section(release) for section in sections) if text) + "\n"


def _head(release: "Release") -> str:
    about, ranker = release.about, release.about.ranker
    head = f"head with {', '.join(ranker.groups)}" if ranker.knowledge and ranker.groups else "no head"
    return (
        f"# Release {release.release_id}\n\n"
        f"Scores items for a user ({about.scenario}): {about.model_name} on ids and the newest "
        f"{ranker.backbone_history} entries; {head}. HEIN and ranker were trained together; vectors of another release "
        "do not fit."
    )


def _use(release: "Release") -> str:
    return (
        "## Use\n\n"
        "To order candidates for one user and to say how probable it is that the user likes each. Not made to judge "
        "people, nor to compare them: probabilities of different users differ by how much each likes at all."
    )


def _data(release: "Release") -> str:
    lines = []
    for key, value in release.about.training.items():
        if key not in _OWN_SECTIONS:
            # How many were left out, not who: they may have asked for it.
            lines.append((key.replace("_", " "), f"{len(value)}" if key == "without_users" else plain(value)))
    return "## Data\n\n" + table(("what", "value"), lines or [("training", "not stated")])


def _knowledge(release: "Release") -> str:
    lines = [
        (f"`{model}`", f"`{template}`", f"`{catalogue}`")
        for model, template, catalogue in ((*source.split("|"), "", "")[:3] for source in release.accepted_knowledge)
    ]
    return (
        "## Knowledge\n\n"
        "Texts and expectations about items and users were written by a large language model; no person checked them. "
        "Trained with expectations from these sources; from any other one they are masked and flagged.\n\n"
        + table(("model", "template version", "catalogue version"), lines)
        + f"\n\nTexts: {len(release.factors)} factors ({', '.join(release.factors)}), encoded by "
        f"`{release.encoder_id}`. {len(release.anchors)} anchors; means over training users known for "
        f"{sum(mean != 0 for mean in release.anchor_means)}."
    )


def _masks(release: "Release") -> str:
    hidden = release.about.training.get("hidden")
    if not hidden:
        return ""
    return (
        "## Missing parts\n\n"
        "Each part was hidden in training at random, independently of the others, so it may be missing: a new item, a "
        "user without knowledge.\n\n" + table(("part", "hidden in"), [(part, f"{x:.0%}") for part, x in hidden.items()])
    )


def _limits(release: "Release") -> str:
    lines = [
        "Metrics are of one data set; a comparison with intervals is `reki evaluate`.",
        "Expectations are inferred personal data. What an LLM believes of items and people, prejudice included, is in "
        "the inputs.",
        "Item ids outside the vocabulary count as unknown; an item without a vector is scored by the rest.",
    ]
    if str(release.about.training.get("data", "")).startswith("MovieLens"):
        lines.append("MovieLens may be used for research only: mind that with what was trained on it.")
    return "## Limits\n\n" + "\n".join(f"* {line}" for line in lines)


def _loading(release: "Release") -> str:
    return (
        "## Loading\n\n"
        "```python\n"
        "import torch\n\n"
        "from ranking.release import Release\n\n"
        f'release = Release.load("FOLDER/{release.release_id}")  # verifies the content against the id\n'
        "logits = release.ranker()(batch)  # the tensors of docs/serving.md\n"
        "probability = torch.sigmoid(logits / release.temperature)\n"
        "```\n\n"
        "Files: safetensors and JSON, nothing that runs code when read. This card is not part of what the id verifies."
    )


def plain(value: Any) -> str:  # noqa: ANN401 - whatever training noted
    """A value for a cell."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
