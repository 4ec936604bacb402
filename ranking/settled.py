"""What the folds settled for a release: how long to train, the temperature of its logits, and what to expect of it.

`settled.json` beside this file is written by `reki release settle` from an evaluation's results. Each number in it is
out of fold: every user was scored by models that had not seen them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knowledge.base import TerminalError
from ranking.evaluate.plan import FOLDS, SEEDS

FILE = Path(__file__).with_name("settled.json")
# What a release is made of, and what stands beside it for comparison.
BACKBONE, VARIANT, BASELINE = "din", "ours_summaries", "plain"
_LIST = re.compile(r"\[\s*([^][{}]*?)\s*\]")  # one of plain values: on one line


@dataclass(frozen=True)
class Measured:
    """A metric of single models: mean and standard deviation over the runs (folds x seeds)."""

    mean: float
    spread: float


@dataclass(frozen=True)
class SettledVariant:
    """One variant. `logloss` of each fold with the temperature that the other folds' test users give."""

    epochs: int  # median over the runs
    epochs_by_run: tuple[int, ...]
    temperature: float  # fitted on the pooled test logits of all runs
    auc: Measured
    gauc: Measured
    logloss: Measured
    calibration: tuple[tuple[float, float, int], ...]  # mean predicted, share of positives, predictions; ten bins
    code_versions: tuple[str, ...]  # of the results (`ranking.evaluate.version`)


@dataclass(frozen=True)
class Settled:
    """All of it. `commit` is what was checked out when it was written."""

    dataset: str
    data_version: str
    commit: str
    backbone: str
    folds: int
    seeds: int
    users: int  # scored out of fold
    samples: int
    variants: Mapping[str, SettledVariant]

    @property
    def provisional(self) -> bool:
        """Whether it is of fewer folds or seeds than the headline protocol's."""
        return self.folds < FOLDS or self.seeds < SEEDS

    def text(self) -> str:
        """As it stands in `settled.json`."""
        text = json.dumps({**asdict(self), "provisional": self.provisional}, indent=1, allow_nan=False) + "\n"
        return _LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def load_settled(file: Path = FILE) -> Settled:
    """Read it; raises `TerminalError` (`bad_settled`) if it is missing or damaged."""
    try:
        named = json.loads(file.read_text(encoding="utf-8"))
        named.pop("provisional")  # computed; it stands there for people
        variants = {name: _variant(values) for name, values in named.pop("variants").items()}
        return Settled(variants={name: variants[name] for name in (VARIANT, BASELINE)}, **named)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerminalError(
            "bad_settled", f"{file} cannot be used ({error!r}): `reki release settle` writes it"
        ) from error


def _variant(values: Mapping[str, Any]) -> SettledVariant:
    known = dict(values)
    for name in ("auc", "gauc", "logloss"):
        known[name] = Measured(**known[name])
    for name in ("epochs_by_run", "code_versions"):
        known[name] = tuple(known[name])
    known["calibration"] = tuple((chance, share, count) for chance, share, count in known["calibration"])
    made = SettledVariant(**known)
    if type(made.epochs) is not int or made.epochs < 1 or not 0 < made.temperature < float("inf"):
        raise ValueError(f"epochs {made.epochs}, temperature {made.temperature}")
    return made
