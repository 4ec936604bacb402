"""`reki knowledge names`: which items expectations name too often."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from knowledge.base import TerminalError
from knowledge.catalogue import chosen_catalogue
from knowledge.naming import FLAGGED_ABOVE, naming_report
from knowledge.recorded import RecordedStore
from reki.current import current_settings
from reki.knowledge.opened import knowledge_store, opened


def run(most: int, recorded: bool, folder: Path | None) -> None:
    """Print the report over what is stored, or over the initial recorded knowledge. Raises `no_knowledge`."""
    settings = current_settings()
    catalogue = chosen_catalogue(settings.knowledge.catalogue_file)
    if recorded:
        store = RecordedStore.load()
        catalogue, expectations = store.catalogue, [one.expectations for one in store.users().values()]
        report = naming_report(expectations, catalogue.shortlist)
    else:
        # By `trimmed`, too, the LLM is shown a part of the shortlist, in the same order.
        shown = catalogue.trimmed(settings.knowledge.shortlist_size).shortlist
        stored = (one.knowledge.expectations for one in knowledge_store(settings).newest("user"))
        report = naming_report(stored, shown)
    if not report.users:
        raise TerminalError("no_knowledge", "nothing is stored about users: `reki knowledge generate users` does that")
    titles = _titles([one.item_id for one in report.items[:most]], folder)
    console = Console(highlight=False)
    console.print(
        f"{report.users:,} users, {len(report.items):,} items named, {report.never:,} of the shortlist never; "
        f"{len(report.flagged)} named for more than {FLAGGED_ABOVE:.0%} of users",
        soft_wrap=True,
    )
    for item in report.items[:most]:
        mark = "[red]flagged[/]" if item.flagged else "       "
        title = escape(titles.get(item.item_id, ""))
        line = (
            f"  {mark}  {item.share:6.1%}  {item.likes:>6} likes  {item.dislikes:>6} dislikes  {item.item_id}  {title}"
        )
        console.print(line.rstrip(), soft_wrap=True)
    if report.by_place:
        shares = "  ".join(f"{share:.0%}" for share in report.by_place)
        console.print(f"share of namings by tenth of the shortlist: {shares}", soft_wrap=True)


def _titles(ids: list[str], folder: Path | None) -> Mapping[str, str]:
    if folder is None:
        return {}
    with opened(folder) as world:
        return world.subjects.titles(ids)
