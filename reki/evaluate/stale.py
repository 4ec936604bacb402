"""Files of an earlier report or publication that the new one no longer has: told by their names, and removed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

# Reports, in the order of the page: NAME.md and NAME.json, some with NAME_details.json, and plots NAME-*.svg.
PARTS = ("ctr", "rerank", "freshness", "ablations", "robust", "contamination")


def ours(name: str, parts: Sequence[str]) -> bool:
    """Whether a file of this name is one of `parts`' numbers or plots: PART.json, PART_details.json, PART-*.svg."""
    return any(
        name in (f"{part}.json", f"{part}_details.json") or (name.startswith(f"{part}-") and name.endswith(".svg"))
        for part in parts
    )


def remove_stale(folder: Path, parts: Sequence[str], written: Iterable[Path]) -> list[Path]:
    """Remove from `folder` what is of `parts` by its name and not among `written`; returns what was removed."""
    kept = {path.name for path in written}
    stale = [path for path in sorted(folder.iterdir()) if ours(path.name, parts) and path.name not in kept]
    for path in stale:
        path.unlink()
    return stale
