"""What reranking has to show, at a glance: on how many rerankers, and over what."""

from dataclasses import dataclass

from ranking.evaluate.holm import holm
from ranking.evaluate.rerank import ListScores, ListTable
from ranking.evaluate.targets import ERROR

METRICS = ("map7", "ndcg7")
NAMES = {"map7": "MAP@7", "ndcg7": "NDCG@7"}
TARGET = 0.08  # of `ours` over the initial order, on lists drawn by popularity
AGAINST = ("initial", "plain", "strong", "no_user_llm")


@dataclass(frozen=True)
class Gain:
    """Relative gain of `ours`, with Holm's p-value over all rerankers and metrics compared with the same variant."""

    low: float
    gain: float
    high: float
    adjusted: float

    @property
    def sure(self) -> bool:
        """Above zero beyond doubt."""
        return self.low > 0 and self.adjusted < ERROR


def gains(table: ListTable, against: str) -> dict[tuple[str, str], Gain]:
    """By (reranker, metric), of those rerankers that have both variants."""
    found = {
        (reranker, metric): getattr(variants["ours"], metric).over(getattr(variants[against], metric))
        for reranker, variants in table.items()
        if "ours" in variants and against in variants
        for metric in METRICS
    }
    adjusted = holm({key: gain.chance() for key, gain in found.items()})
    made = {}
    for key, gain in found.items():
        low, middle, high = gain.interval()
        made[key] = Gain(low, middle, high, adjusted[key])
    return made


def verdicts(table: ListTable) -> list[str]:
    """The target first, then the honest comparisons; lines of Markdown."""
    over = gains(table, "initial")
    if not over:
        return ["**The target was not measured: no reranker has `ours` on lists drawn by popularity.**"]
    names = _names(over)
    met = [name for name in names if all(over[name, m].sure and over[name, m].gain >= TARGET for m in METRICS)]
    short = ", ".join(name for name in names if name not in met)
    lines = [
        f"**Target met on {len(met)} of {len(names)} rerankers"
        f"{f' (not on {short})' if short else ''}: `ours` gains at least {TARGET:+.0%} MAP@7 and NDCG@7 over the "
        "initial order, lists filled up by popularity, lower bound above zero, Holm-corrected.**"
    ]
    for against in AGAINST[1:]:
        compared = gains(table, against)
        if compared:
            sure = sum(all(compared[name, metric].sure for metric in METRICS) for name in _names(compared))
            lines += [
                "",
                f"Over `{against}` both are above zero on {sure} of {len(_names(compared))}: {_range(compared)}.",
            ]
    return lines


def glance(table: ListTable) -> list[str]:
    """A row a reranker: gains in NDCG@7 over each variant, bold where they are above zero beyond doubt."""
    columns = {against: found for against in AGAINST if (found := gains(table, against))}
    lines = [
        f"| NDCG@7 of `ours` | {' | '.join(f'over {against}' for against in columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for reranker in table:
        cells = [_cell(found.get((reranker, "ndcg7"))) for found in columns.values()]
        lines.append(f"| {reranker} | {' | '.join(cells)} |")
    return lines if columns else []


def percent(ours: ListScores, other: ListScores, metric: str) -> str:
    """Relative gain with its interval, for a cell of a table."""
    low, middle, high = (100 * value for value in getattr(ours, metric).over(getattr(other, metric)).interval())
    return f"{middle:+.2f} % [{low:+.2f}, {high:+.2f}]"


def _names(found: dict[tuple[str, str], Gain]) -> list[str]:
    return list(dict.fromkeys(name for name, _ in found))


def _range(found: dict[tuple[str, str], Gain]) -> str:
    said = []
    for metric in METRICS:
        values = [100 * gain.gain for (_, of), gain in found.items() if of == metric]
        said.append(f"{NAMES[metric]} {min(values):+.1f} to {max(values):+.1f} %")
    return ", ".join(said)


def _cell(gain: Gain | None) -> str:
    if gain is None:
        return ""
    text = f"{100 * gain.gain:+.2f} % [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"
    return f"**{text}**" if gain.sure else text
