"""The rows of the ablations: what each leaves out or does otherwise, in sections. Text alone.

How a row is trained is decided by its name: `ranking.variants`, `ablation_selected`, `ablation_changes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.base import TerminalError
from knowledge.scenario import load_scenario
from ranking.evaluate.ablation_changes import CHANGES
from ranking.evaluate.ablation_selected import ROWS as SELECTED
from ranking.variants import VARIANTS

OURS = "ours"


@dataclass(frozen=True)
class Section:
    """A small table. `second`: a further row that all are compared with, beside `ours`."""

    name: str
    title: str
    rows: dict[str, str]  # name -> what it is
    second: str | None = None


SECTIONS = (
    Section(
        "sides",
        "Whose knowledge: users', items', both",
        {
            "collab": "no knowledge at all",
            "user_only": "of users alone: anchor values, of which no item's text is read",
            "no_user_llm": "of items alone",
            "ours": "of both",
        },
        "collab",
    ),
    Section(
        "head",
        "Matching head, and HEIN's summaries",
        {
            "plain": "neither",
            "kar": "summaries alone",
            "ours": "head alone",
            "ours_summaries": "both",
        },
        "plain",
    ),
    Section(
        "experts",
        "Summaries without the head: HEIN, one MLP a side with as many weights, or the factor vectors themselves",
        {"kar": "HEIN", "kar_mlp": "MLP", "kar_concat": "9 x 16 numbers of each side"},
        "plain",
    ),
    Section(
        "tiers",
        "What is asked of the LLM about a user",
        {
            "texts_only": "texts (as summaries), no expectations",
            "likes_only": "expected likes and dislikes, no anchors",
            "anchors_only": "anchors, no expected likes and dislikes",
            "ours_control": "another user's expectations, of the same mean",
            "ours": "expectations, no texts",
        },
        "no_user_llm",
    ),
    Section("ratings", "Without collaborative vectors", {"ours_no_collab": "no collaborative vectors anywhere"}),
    Section(
        "factors",
        "A factor left out of the items' knowledge",
        {f"no_{factor}": f"without {factor}" for factor in load_scenario("films").factors},
    ),
    Section(
        "sizes",
        "Sizes: d = 16 numbers a factor, N = 100 events in the ring",
        {
            "dim_8": "d = 8",
            "dim_32": "d = 32",
            "ring_50": "N = 50",
            "ring_200": "N = 200",
            "ring_all": "N = all events",
        },
    ),
    Section(
        "collective",
        "Individual knowledge of users, or that of groups of them",
        {
            "no_user_llm": "experienced alone",
            **{f"clusters_{k}": f"k = {k} groups" for k in (50, 100, 200)},
            "ours": "individual",
        },
        "no_user_llm",
    ),
    Section(
        "encoder",
        "Texts and their encoder",
        {
            "title_text": "title and genre, no LLM, no collaborative vectors",
            "no_llm": "title and genre, no LLM, with collaborative vectors",
            "tfidf": "knowledge by its words alone: TF-IDF and SVD fitted on training items' texts",
        },
        "no_user_llm",
    ),
)
NAMES = tuple(dict.fromkeys(name for section in SECTIONS for name in section.rows))


def module_of(row: str) -> str:
    """The module that trains a row (`build_fold`, `train_variant`)."""
    if row in VARIANTS:
        return "ranking.evaluate.models"  # as `reki evaluate ctr`, so that its results count here too
    return f"ranking.evaluate.ablation_{'changed' if row in CHANGES else 'selected'}"


def chosen_rows(only: Sequence[str]) -> tuple[str, ...]:
    """Rows or sections by name (none: all), with those that they are compared with.

    Raises `TerminalError` (`bad_option`) for a name that there is not.
    """
    sections = {section.name: section for section in SECTIONS}
    strange = [name for name in only if name not in NAMES and name not in sections]
    if strange:
        known = f"rows {', '.join(NAMES)}; sections {', '.join(sections)}"
        raise TerminalError("bad_option", f"no row {strange[0]!r}: there are {known}")
    if not only:
        return tuple(dict.fromkeys((OURS, *NAMES)))
    rows = [OURS]
    for name in only:
        rows += [*sections[name].rows, sections[name].second or OURS] if name in sections else [name]
    return tuple(dict.fromkeys(rows))


assert set(SELECTED) | set(CHANGES) <= set(NAMES)  # noqa: S101 - a row that is nowhere told of would never be run
