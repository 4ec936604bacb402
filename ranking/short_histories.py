"""Training rows of new users: copies of samples that show the user's newest few events alone.

The shortest history that a sample of MovieLens-100K has before it is 10 events, so a network trained on the samples as
they are never sees fewer, and ranks a user of one event worse than one without any (docs/decisions.md).
"""

from dataclasses import replace

import numpy as np

from ranking.inputs import Ints, Samples
from ranking.ring import Ring

SHARE = 0.1  # of the training samples that are copied
MOST = 9  # events that a copy shows; at least 1: none is what hiding at random shows
_STREAM = 20261126  # apart from the draws that training makes with the same seed


def with_short_histories(samples: Samples, training: Ints, seed: int) -> tuple[Samples, Ints]:
    """`samples` with copies of a tenth of those numbered `training` behind them, and the copies' numbers.

    Each copy shows its newest 1 to `MOST` events, drawn evenly; the same seed draws the same copies.
    """
    draw = np.random.default_rng((_STREAM, seed))
    chosen = np.sort(draw.choice(training, round(SHARE * len(training)), replace=False))
    copies = newest(samples, chosen, draw.integers(1, MOST, len(chosen), endpoint=True))
    both = replace(
        samples,
        user=np.concatenate([samples.user, copies.user]),
        item=np.concatenate([samples.item, copies.item]),
        label=np.concatenate([samples.label, copies.label]),
        since=np.concatenate([samples.since, copies.since]),
        told=np.concatenate([samples.told, copies.told]),
        ring=Ring.joined([samples.ring, copies.ring]),
    )
    return both, np.arange(len(samples), len(both))


def newest(samples: Samples, numbers: Ints, events: Ints) -> Samples:
    """The samples of these numbers, each showing its newest `events` (i64[len(numbers)]) ring entries and no other.

    Candidate, label and the LLM's knowledge stay. `since` is what serving counts, max(events - events that the
    knowledge has seen, 0): 0, for `events` are fewer than any record has seen.
    """
    size = samples.ring.item.shape[1]
    shown = np.arange(size) < events[:, np.newaxis]
    ring = samples.ring
    return replace(
        samples,
        user=samples.user[numbers],
        item=samples.item[numbers],
        label=samples.label[numbers],
        since=np.zeros_like(samples.since[numbers]),
        told=samples.told[numbers],
        ring=Ring(ring.item[numbers] * shown, ring.value[numbers] * shown, ring.side[numbers] * shown),
    )
