"""Users whose recorded knowledge is under suspicion, as knowledge/data/ml-100k/README.md names them."""

from collections.abc import Sequence

# The writer of their refreshed texts had glimpsed later ratings.
NOT_BLIND = frozenset(("2", "5", "11", "15", "16", "42"))
# The writer of their expectations reported vague recollections of them.
RECOLLECTED = frozenset(
    (
        *("1", "92", "181", "194", "234", "303", "334", "363", "393", "405", "409"),
        *("416", "435", "497", "498", "532", "537", "551", "588", "618", "655", "666"),
        *("727", "749", "758", "774", "796", "826", "846", "868", "871", "889", "943"),
    )
)


def left_out(ids: Sequence[str]) -> dict[str, frozenset[int]]:
    """Who is left out -> the numbers of these users; `ids` are all users' ids by number."""
    numbers = {user: number for number, user in enumerate(ids)}
    groups = {
        "nobody": frozenset[str](),
        f"{len(NOT_BLIND)} not perfectly blind": NOT_BLIND,
        f"{len(RECOLLECTED)} vaguely recollected": RECOLLECTED,
        "both": NOT_BLIND | RECOLLECTED,
    }
    return {name: frozenset(numbers[user] for user in users if user in numbers) for name, users in groups.items()}
