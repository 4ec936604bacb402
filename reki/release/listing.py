"""`reki release list`."""

import json as json_text
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from knowledge.base import TerminalError
from reki.current import current_settings
from reki.release.found import Found, releases
from reki.release.slots import slot_releases
from reki.workers import release_path


def run(as_json: bool, console: Console | None = None) -> None:
    """Print the releases in `releases_dir`; raises `TerminalError` (`no_release`) where there is none."""
    settings = current_settings()
    found = releases(settings.ranking.releases_dir)
    if not found:
        raise TerminalError(
            "no_release", f"there is no release in {settings.ranking.releases_dir}: `reki up` trains one"
        )
    anchors = {anchor: None for one in found if one.release for anchor in one.release.anchors}
    slots = slot_releases(settings, list(anchors))
    try:
        chosen = release_path(settings).name
    except TerminalError:
        chosen = ""
    rows = [row(one, slots, chosen) for one in found]
    if as_json:
        print(json_text.dumps(rows, indent=1))
        return
    console = console or Console(highlight=False)
    console = console if console.is_terminal else Console(width=200, highlight=False, file=console.file)
    console.print(_table(rows))
    for one in found:
        if one.problem:
            console.print(f"{one.name}: {one.problem}", markup=False, soft_wrap=True)
    if slots is None:
        console.print("No stack of this clone is up: which slot holds which release is not known.")


def row(one: Found, slots: Mapping[str, Sequence[str]] | None, chosen: str) -> dict[str, Any]:
    """What is listed of a release. `slots`: None = not known; `next_start`: a stack that starts now would take it."""
    listed: dict[str, Any] = {"release_id": one.name, "made_at": one.made_at.isoformat(timespec="seconds")}
    if one.release is not None:
        listed |= {
            "model": one.release.model_name,
            "metrics": dict(one.release.metrics),
            "accepted_knowledge": list(one.release.accepted_knowledge),
        }
    listed["usable"] = one.release is not None
    listed["slots"] = None if slots is None else list(slots.get(one.name, ()))
    listed["next_start"] = one.name == chosen
    return listed


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("release", "written (UTC)", "model", "AUC folds", "AUC held out", "knowledge", "where", box=None)
    for listed in rows:
        metrics = listed.get("metrics", {})
        where = [f"slot {slot}" for slot in listed["slots"] or ()]
        where += ["next start"] if listed["next_start"] else []
        table.add_row(
            listed["release_id"],
            listed["made_at"][:16].replace("T", " "),
            listed.get("model", "cannot be used"),
            f"{metrics['auc_folds']:.4f}" if "auc_folds" in metrics else "-",
            _held_out(metrics),
            ", ".join(listed.get("accepted_knowledge", ())) or "-",
            "; ".join(where),
        )
    return table


def _held_out(metrics: Mapping[str, float]) -> str:
    """AUC on users that did not train, and on whom; which of these a release states depends on how it was trained."""
    users = {"auc_kept_out": "kept out", "auc_test": "test users", "auc_valid": "validation users"}
    return next((f"{metrics[name]:.4f} ({whom})" for name, whom in users.items() if name in metrics), "-")
