"""`reki release show`: the model card, made anew of what the release holds, with its place, sizes and layout."""

from feature_repo import schema
from ranking.card import card as core
from ranking.card_metrics import table
from ranking.release import Release
from reki.current import current_settings
from reki.release.found import find, made_at
from reki.release.weights import FILES, tensors

_FLOAT = 4  # bytes


def run(name: str) -> None:
    """Print the card of a release; errors as `found.find`."""
    print(card(find(current_settings().ranking.releases_dir, name)))


def card(release: Release) -> str:
    """The model card in Markdown."""
    made = f"Made {made_at(release.path):%Y-%m-%d %H:%M} UTC, in {release.path}."
    return "\n\n".join([core(release).rstrip(), _sizes(release), _layout(release), made])


def _sizes(release: Release) -> str:
    lines = []
    for file in FILES:
        numbers = sum(int(tensor.numel()) for tensor in tensors(release, file).values())
        lines.append((file, f"{(release.path / file).stat().st_size:,}", f"{numbers:,}"))
    rest = sum(path.stat().st_size for path in release.path.iterdir() if path.name not in FILES)
    lines.append(("the rest", f"{rest:,}", "-"))
    factors, dim, summary = len(release.factors), release.dim, release.about.hein.summary
    item = (factors * dim + summary) * _FLOAT
    user = (2 * 2 * factors * dim + schema.STORED_STATS + len(release.anchors) + summary) * _FLOAT
    return (
        "## Sizes\n\n"
        + table(("file", "bytes", "weights"), lines)
        + f"\n\nVocabulary: {len(release.vocabulary):,} items. In Feast, a slot, numbers alone: {user:,} bytes a user, "
        f"{item:,} an item."
    )


def _layout(release: Release) -> str:
    ours = {
        "F, factors": (len(release.factors), schema.FACTORS),
        "d, numbers a factor": (release.dim, schema.DIM),
        "A, anchors": (len(release.anchors), schema.ANCHORS),
        "summary": (release.about.hein.summary, schema.SUMMARY),
        "H, newest entries served": (release.history_length, schema.HISTORY),
        "N, newest events behind vectors": (release.ring_size, schema.RING),
        "S, statistics": (release.about.ranker.statistics, schema.STORED_STATS + 1),
    }
    lines = [(name, str(own), "yes" if own == views else f"no: {views}") for name, (own, views) in ours.items()]
    return "## Layout\n\n" + table(("size", "release", "as the Feast views"), lines)
