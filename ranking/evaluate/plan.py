"""Which models are trained, in what order, and how long that takes. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Split = int | str  # number of a fold, or "design", "time"

BACKBONES = ("din", "dien", "deepfm", "xdeepfm", "dcn", "dcnv2", "autoint", "fibinet", "fignn")
FOLDS, SEEDS = 5, 2  # of the headline; a comparison of fewer is provisional
HEADLINE = ("plain", "strong", "no_user_llm", "ours", "title_text")
SPLITS = ("design", "time")  # beside the numbered folds
HEAD_ONLY = ("logistic", "trees")  # what stands in a backbone's place for the variant of the same name
DEEPER = ("din", "dcnv2")  # backbones on which everything beside the headline runs
_GUESS_S = 25.0  # a run's seconds until one has been seen


@dataclass(frozen=True, order=True)
class Group:
    """What is fitted once for many runs: the material of a split, strict or page-blind."""

    split: str
    page_blind: bool = False


@dataclass(frozen=True, order=True)
class Job:
    """One model: one result file."""

    group: Group
    seed: int
    backbone: str
    variant: str

    @property
    def name(self) -> str:
        """Name of its result file, without ending."""
        blind = "-blind" if self.group.page_blind else ""
        return f"{self.group.split}-s{self.seed}-{self.backbone}-{self.variant}{blind}"

    @property
    def fold(self) -> Split:
        """As `build_fold` takes it."""
        return int(self.group.split) if self.fold_number else self.group.split

    @property
    def fold_number(self) -> bool:
        """Whether this is one of the numbered folds."""
        return self.group.split.isdigit()


@dataclass(frozen=True)
class Wanted:
    """What is to be compared."""

    backbones: Sequence[str] = BACKBONES
    variants: Sequence[str] = HEADLINE
    folds: int = FOLDS
    seeds: int = SEEDS
    splits: Sequence[str] = ()  # of `SPLITS`; on `deeper` backbones
    deeper: Sequence[str] = DEEPER
    page_blind: bool = True  # every variant a second time, page-blind, on `deeper` backbones


def jobs(wanted: Wanted) -> list[Job]:
    """All runs: the headline on every backbone; other variants, splits and page-blind on the `deeper` ones."""
    made = []
    groups = [Group(str(fold)) for fold in range(wanted.folds)]
    groups += [Group(split) for split in wanted.splits]
    if wanted.page_blind:
        groups += [Group(str(fold), True) for fold in range(wanted.folds)]
    for group in groups:
        headline = group.split.isdigit() and not group.page_blind
        for variant in wanted.variants:
            if variant == "head_only":
                names: Sequence[str] = HEAD_ONLY
            elif headline and variant in HEADLINE:
                names = wanted.backbones
            else:
                names = [name for name in wanted.backbones if name in wanted.deeper]
            made += [Job(group, seed, name, variant) for name in names for seed in range(wanted.seeds)]
    return made


def pick(pending: Sequence[Job], mine: Group | None, others: Iterable[Group]) -> Job | None:
    """The next run of a worker that has `mine` fitted, while others work on theirs: material is fitted seldom."""
    if not pending:
        return None
    size = Counter(job.group for job in pending)
    busy = set(others)
    if mine not in size:
        free = [group for group in size if group not in busy] or list(size)
        mine = max(free, key=lambda group: size[group])
    return next(job for job in pending if job.group == mine)


def seconds_left(pending: Sequence[Job], seen: Mapping[tuple[str, str], Sequence[float]], workers: int) -> float:
    """Wall time for `pending`; `seen`: seconds of finished runs by (backbone, variant)."""
    means = {pair: sum(values) / len(values) for pair, values in seen.items() if values}
    by_backbone: dict[str, list[float]] = {}
    for (backbone, _), mean in means.items():
        by_backbone.setdefault(backbone, []).append(mean)
    # What takes no time (an order as it stands) says nothing of what has not been seen yet.
    trained = [mean for mean in means.values() if mean > 1.0]
    usual = sum(trained) / len(trained) if trained else _GUESS_S

    def one(job: Job) -> float:
        near = by_backbone.get(job.backbone)
        return means.get((job.backbone, job.variant), sum(near) / len(near) if near else usual)

    return sum(map(one, pending)) / max(1, min(workers, len(pending)))


def guessed(pending: Sequence[Job], kinds: Iterable[tuple[str, str]]) -> str:
    """What to say beside `seconds_left`; `kinds`: (backbone, variant) of which a run has finished.

    Nothing where each kind that is pending has been seen, else "a guess" or "partly a guess".
    """
    wanted = {(job.backbone, job.variant) for job in pending}
    unseen = wanted - set(kinds)
    if not unseen:
        return ""
    return "a guess" if unseen == wanted else "partly a guess"
