"""What the comparison has to show, and whether it does: relative gains of `ours`, tested together (Holm)."""

from collections.abc import Mapping
from dataclasses import dataclass

from ranking.evaluate.holm import holm
from ranking.evaluate.plan import FOLDS, HEADLINE, SEEDS
from ranking.evaluate.summary import Scores

# (compared with, metric, smallest relative gain)
TARGETS = (
    ("plain", "auc", 0.04),
    ("strong", "auc", 0.025),
    ("title_text", "auc", 0.02),
    ("no_user_llm", "auc", 0.007),
    ("no_user_llm", "gauc", 0.01),
)
ERROR = 0.05
Table = Mapping[str, Mapping[str, Scores]]  # backbone -> variant


@dataclass(frozen=True)
class Claim:
    """One target on one backbone. `adjusted`: Holm's p-value over all backbones and targets."""

    backbone: str
    against: str
    metric: str
    wanted: float
    low: float
    gain: float
    high: float
    adjusted: float

    @property
    def met(self) -> bool:
        """The gain is large enough, and above zero beyond doubt."""
        return self.gain >= self.wanted and self.low > 0 and self.adjusted < ERROR


def provisional(folds: int, seeds: int) -> list[str]:
    """A line of Markdown, and an empty one, where a comparison has fewer folds or seeds than the protocol."""
    if folds >= FOLDS and seeds >= SEEDS:
        return []
    return [f"**Provisional: folds x seeds {folds} x {seeds}; the protocol has {FOLDS} x {SEEDS}.**", ""]


def claims(table: Table) -> list[Claim]:
    """Every target on every backbone that has both variants."""
    gains = {}
    for backbone, variants in table.items():
        for against, metric, wanted in TARGETS:
            if "ours" in variants and against in variants:
                ours, other = (getattr(variants[name], metric) for name in ("ours", against))
                gains[backbone, against, metric, wanted] = ours.over(other)
    adjusted = holm({key: gain.chance() for key, gain in gains.items()})
    made = []
    for key, gain in gains.items():
        backbone, against, metric, wanted = key
        low, middle, high = gain.interval()
        made.append(Claim(backbone, against, metric, wanted, low, middle, high, adjusted[key]))
    return made


@dataclass(frozen=True)
class Loss:
    """How far the LogLoss of `ours` lies below the lowest of the headline's other variants, `against`."""

    backbone: str
    against: str
    margin: float  # in nats; not met at 0 or below

    @property
    def met(self) -> bool:
        """Lower than all of them."""
        return self.margin > 0


def losses(table: Table) -> list[Loss]:
    """One for each backbone that has `ours` and another variant of the headline."""
    made = []
    for backbone, variants in table.items():
        others = [name for name in HEADLINE if name in variants and name != "ours"]
        if "ours" in variants and others:
            lowest = min(others, key=lambda name: variants[name].mean("logloss"))
            margin = variants[lowest].mean("logloss") - variants["ours"].mean("logloss")
            made.append(Loss(backbone, lowest, margin))
    return made


def only_user_bias(ours: Scores, other: Scores) -> bool:
    """AUC rose and GAUC did not: no gain in ranking, only in knowing which users like much."""
    return ours.auc.observed > other.auc.observed and ours.gauc.observed <= other.gauc.observed
