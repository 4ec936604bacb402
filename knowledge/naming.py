"""How often each item is named as an expected like or dislike: fame, a place in the list, or a hostile title show here.

An item named for more than a quarter of all users says little about any of them: the LLM names it for its fame or for
where it stands in the shortlist, or somebody has talked it into it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowledge.base import Expectations

FLAGGED_ABOVE = 0.25
_TENTHS = 10


@dataclass(frozen=True)
class Named:
    """One item: for how many users it is a like, a dislike, and the share of users for whom it is either."""

    item_id: str
    likes: int
    dislikes: int
    share: float
    flagged: bool


@dataclass(frozen=True)
class NamingReport:
    """`items`: those named at least once, most named first.

    `by_place`: share of all namings that fall on each tenth of the shortlist, in prompt order; about 0.1 each where
    place does not matter. Empty without a shortlist. `never`: items of the shortlist that nobody was given.
    """

    users: int
    items: tuple[Named, ...]
    by_place: tuple[float, ...] = ()
    never: int = 0

    @property
    def flagged(self) -> tuple[Named, ...]:
        """Items named for too many users."""
        return tuple(item for item in self.items if item.flagged)


def naming_report(
    expectations: Iterable[Expectations | None], shortlist: Sequence[str] = (), flagged_above: float = FLAGGED_ABOVE
) -> NamingReport:
    """Count over users' expectations (one each; None = a user without any, who does not count)."""
    likes: Counter[str] = Counter()
    dislikes: Counter[str] = Counter()
    either: Counter[str] = Counter()
    users = 0
    for own in expectations:
        if own is None:
            continue
        users += 1
        likes.update(set(own.likes))
        dislikes.update(set(own.dislikes))
        either.update({*own.likes, *own.dislikes})
    items = tuple(
        Named(item_id, likes[item_id], dislikes[item_id], count / users, count / users > flagged_above)
        for item_id, count in sorted(either.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    return NamingReport(users, items, _by_place(either, shortlist), sum(item not in either for item in shortlist))


def _by_place(named: Counter[str], shortlist: Sequence[str]) -> tuple[float, ...]:
    total = sum(named[item_id] for item_id in shortlist)
    if len(shortlist) < _TENTHS or not total:
        return ()
    tenths = [0] * _TENTHS
    for place, item_id in enumerate(shortlist):
        tenths[place * _TENTHS // len(shortlist)] += named[item_id]
    return tuple(round(count / total, 3) for count in tenths)
