"""The report of `reki evaluate contamination`: JSON, Markdown and a plot."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ranking.evaluate.svg import Point, dots

_SOURCES = {
    "expected": "the LLM",
    "as_popular": "films as popular as those",
    "popular": "most popular",
    "by_mean": "highest mean (dislikes: lowest)",
    "another_user": "another user's list",
}
_GROUPS = {
    "all": "all users",
    "vague": "a vague recollection reported",
    "as_active": "none reported, as active",
    "glimpsed": "refreshes not quite blind",
    "others": "all others",
}
_BRIEF = ("expected", "as_popular", "popular")  # what the tables show of groups
_KINDS = {
    "likes": ("Expected likes", "liked"),
    "dislikes": ("Expected dislikes", "not liked"),
}


def files(page: Mapping[str, Any]) -> dict[str, str]:
    """Texts by file name."""
    made = {"contamination.json": json.dumps(page, indent=1) + "\n", "contamination.md": markdown(page)}
    for kind, (title, true) in _KINDS.items():
        rows: dict[str, list[Point]] = {}
        for group in (name for name in page[kind] if name != "glimpsed"):  # six users: no interval to look at
            for source in _BRIEF:
                low, middle, high = page[kind][group][source]["precision"]
                rows.setdefault(group.replace("_", " "), []).append((_SOURCES[source], low, middle, high))
        made[f"contamination-{kind}.svg"] = dots(f"{title}: share {true} of those rated later", f"share {true}", rows)
    return made


def markdown(page: Mapping[str, Any]) -> str:
    """`contamination.md`."""
    users, base = page["users"], page["later_ratings"]
    lines = [
        "## What the LLM knew",
        "",
        f"No ranker: the recorded expectations of {users['all']} users against what these users rated later, commit "
        f"{page['commit']}. Of their {base['count']} later ratings {_share(base['share_liked'])} are likes (above 3). "
        "Each list of the LLM is compared with lists as long of what the user had not touched either: films as popular "
        "as the named ones, the most popular ones, those of the highest mean, and the list of the user nearest in the "
        "mean of the first ratings. Counts and means are of training users of the user's fold. 95 % intervals over "
        "2,000 draws of users.",
    ]
    for kind, (title, true) in _KINDS.items():
        lines += [
            "",
            f"### {title}",
            "",
            f"| users | list | named | rated later | share rated | {true} of those | the LLM: share rated | the LLM: "
            f"{true} |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for group, found in page[kind].items():
            for source in found if group == "all" else _BRIEF:
                row = found[source]
                minus = row.get("expected_minus")
                gains = [_signed(minus[name]) if minus else "" for name in ("share_rated", "precision")]
                shares = [_bracket(row["share_rated"]), _bracket(row["precision"])]
                head = f"{_GROUPS[group]} ({users[group]})"
                cells = [head, _SOURCES[source], str(row["named"]), str(row["rated"]), *shares, *gains]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_agreement_lines(page["agreement"]), *_READING]) + "\n"


def _agreement_lines(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "### Anchors",
        "",
        f"The LLM's mean value of each of the {found['anchors']} anchors against the film's mean rating: correlation "
        f"{_plain(found['means']['pearson'])}, of ranks {_plain(found['means']['spearman'])}. Its value for a user, "
        "less its mean for the film, against the user's later rating, less the film's mean:",
        "",
        "| users | pairs | correlation |",
        "|---|---|---|",
    ]
    lines += [
        f"| {_GROUPS[group]} | {row['pairs']} | {_plain(row['pearson'])} |" for group, row in found["personal"].items()
    ]
    if "vague_minus_as_active" in found:
        lines += ["", f"Recollection reported less as active ones: {_plain(found['vague_minus_as_active'])}."]
    return lines


# What can and cannot be read from it; it holds whatever the numbers are.
_READING = [
    "",
    "How to read it. Agreement with films' means, and a share liked above that of films as popular, is what anybody "
    "has who knows films and has seen a user's first ratings: neither shows memory of this data set, nor rules it out. "
    "Memory of a *person* would show where a recollection was reported and not where none was: in lists rated later "
    "more often beyond what films as popular are, in a higher share liked, and in anchor values that follow the "
    "person's own ratings more closely. Those users rate much more than others, so compare them with users as active "
    "(four each, the nearest in later ratings). That the LLM knows the data set as a whole (which films are in it, how "
    "they are rated) cannot be told from knowing films.",
]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _bracket(interval: Sequence[float | None]) -> str:
    return _written(interval, "{1:.1f} % [{0:.1f}, {2:.1f}]")


def _signed(interval: Sequence[float | None]) -> str:
    return _written(interval, "{1:+.1f} [{0:+.1f}, {2:+.1f}]")


def _written(interval: Sequence[float | None], form: str) -> str:
    """In per cent; nothing where nothing was rated."""
    values = [100 * value for value in interval if value is not None]
    return form.format(*values) if len(values) == len(interval) else ""


def _plain(interval: Sequence[float]) -> str:
    low, middle, high = interval
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"
