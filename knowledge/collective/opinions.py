"""What a group of people has in common, in words: pure counts over its members, none of whom is named."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowledge.base import Polarity
from knowledge.collective.records import ClusterMember
from knowledge.prompts.words import share_in_words
from knowledge.requests import effective_history

_LEAST_JUDGES = 3  # an opinion of one or two members is theirs, not the group's


@dataclass(frozen=True)
class Opinion:
    """How the members who judged an item judged it."""

    item_id: str
    title: str
    liked: int
    disliked: int

    @property
    def share(self) -> float:
        """Share of the judges who liked it."""
        return self.liked / (self.liked + self.disliked)


def opinions(members: Iterable[ClusterMember]) -> list[Opinion]:
    """Items that at least three members judged, the most judged first."""
    liked: Counter[str] = Counter()
    disliked: Counter[str] = Counter()
    titles: dict[str, str] = {}
    for member in members:
        for entry in effective_history(member.history):
            if entry.polarity is Polarity.NEUTRAL:
                continue
            titles.setdefault(entry.item_id, entry.title)
            (liked if entry.polarity is Polarity.LIKED else disliked)[entry.item_id] += 1
    found = [Opinion(item_id, titles[item_id], liked[item_id], disliked[item_id]) for item_id in titles]
    found = [opinion for opinion in found if opinion.liked + opinion.disliked >= _LEAST_JUDGES]
    return sorted(found, key=lambda o: (-(o.liked + o.disliked), o.item_id))


def favourites(found: Sequence[Opinion], count: int) -> tuple[list[Opinion], list[Opinion]]:
    """The items that most stand for what the group likes, and for what it does not: at most `count` each.

    Ordered by the surplus of one side, so that neither a lone enthusiast nor mere fame comes first.
    """
    likes = sorted((o for o in found if o.liked > o.disliked), key=lambda o: (o.disliked - o.liked, o.item_id))
    others = sorted((o for o in found if o.liked <= o.disliked), key=lambda o: (o.liked - o.disliked, o.item_id))
    return likes[:count], others[:count]


def profile_shares(profiles: Sequence[Mapping[str, str]], names: Sequence[str], most: int = 4) -> dict[str, str]:
    """For each field its most frequent values with their share in words; ages and other numbers by decade.

    A value of fewer than three members, or of fewer than a tenth, is left out: it would tell of them, not of the group.
    """
    told: dict[str, str] = {}
    for name in names:
        values = Counter(_bucket(profile[name]) for profile in profiles if profile.get(name))
        total = sum(values.values())
        least = max(_LEAST_JUDGES, total / 10)
        common = sorted(((v, n) for v, n in values.items() if n >= least), key=lambda pair: (-pair[1], pair[0]))
        if common:
            told[name] = ", ".join(f"{share_in_words(n / total)} {value}" for value, n in common[:most])
    return told


def _bucket(value: str) -> str:
    text = str(value).strip()
    return f"{int(text) // 10 * 10}s" if text.isdecimal() and len(text) <= 4 else text
