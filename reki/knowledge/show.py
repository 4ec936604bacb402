"""`reki knowledge show`: what is known about one user or item, as a person reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from knowledge.base import Expectations, Knowledge, TerminalError, check_id
from reki.knowledge.opened import knowledge_store, opened
from reki.knowledge.plan import duration
from reki.settings import Settings


@dataclass(frozen=True)
class Found:
    """`origin` says where it stands; `events` how many the user has by now (None: not known)."""

    knowledge: Knowledge
    origin: str
    events: int | None = None
    title: str = ""


def show(entity: str, entity_id: str, folder: Path | None, stored: bool, console: Console | None = None) -> None:
    """Print it: from Feast where a stack is up, else (or with `stored`) from the store of bulk runs.

    `folder` names items where no stack does. Raises `TerminalError` (`no_knowledge`, `not_up`).
    """
    check_id(entity_id)
    console = console or Console(highlight=False)
    found, titles = (None, {}) if stored or folder else _online(entity, entity_id)
    if found is None:
        found = _stored(entity, entity_id)
    if found is None:
        raise TerminalError(
            "no_knowledge",
            f"nothing is known about {entity} {entity_id}: neither in Feast (where a stack is up) nor in the store of "
            "`reki knowledge generate`",
        )
    if not titles:
        titles = _titles(found, folder)
    for line in lines(found, titles, datetime.now(UTC)):
        console.print(line, soft_wrap=True)


def lines(found: Found, titles: Mapping[str, str], now: datetime) -> list[str]:
    """The page, in rich's markup; all that others wrote is escaped."""
    one = found.knowledge
    head = f"[bold]{one.entity} {escape(one.entity_id)}[/]"
    title = found.title or (titles.get(one.entity_id, "") if one.entity == "item" else "")
    age = duration(max(0.0, (now - one.generated_at).total_seconds()))
    seen = ""
    if one.entity == "user":
        seen = f", from {one.source_rev} events"
        if one.source_through is not None:
            seen += f" up to {one.source_through:%Y-%m-%d %H:%M} UTC"
        if found.events is not None:
            seen += f"; {max(0, found.events - one.source_rev)} since"
    page = [
        f"{head}  {escape(title)}".rstrip(),
        f"[dim]{escape(found.origin)}: {one.mode.value}, {escape(one.model)} ({escape(one.template_version)}, "
        f"catalogue {escape(one.catalogue_version)}), {age} old{escape(seen)}[/]",
        "",
    ]
    again = 0 < len(set(one.changed) & set(one.factors)) < len(one.factors)  # all of them: the first generation
    width = max(len(name) for name in one.factors) if one.factors else 0
    for name, text in one.factors.items():
        mark = "*" if again and name in one.changed else " "
        page.append(f" {mark}[cyan]{escape(name):<{width}}[/]  {escape(text)}")
    if again:
        page.append(" [dim]* changed with the last generation[/]")
    if one.expectations is not None:
        page += _expected(one.expectations, titles)
    return page


def _expected(expected: Expectations, titles: Mapping[str, str]) -> list[str]:
    page = []
    for word, ids in (("would like", expected.likes), ("would not", expected.dislikes)):
        page += ["", f"[bold]{word}[/]"]
        for item in ids:
            weight = f"  ({expected.weights[item]:.2f})" if item in expected.weights else ""
            page.append(f"  {_named(item, titles)}{weight}")
    page += ["", "[bold]anchors[/]"]
    ordered = sorted(expected.anchors.items(), key=lambda pair: (-pair[1], pair[0]))
    page += [f"  {value:.1f}  {_named(item, titles)}" for item, value in ordered]
    return page


def _named(item_id: str, titles: Mapping[str, str]) -> str:
    return f"{escape(titles[item_id])} [dim]({escape(item_id)})[/]" if item_id in titles else escape(item_id)


def _items_of(knowledge: Knowledge) -> list[str]:
    if knowledge.entity == "item":
        return [knowledge.entity_id]
    expected = knowledge.expectations or Expectations()
    return [*expected.likes, *expected.dislikes, *expected.anchors]


def _titles(found: Found, folder: Path | None) -> Mapping[str, str]:
    if folder is None:
        return {}
    with opened(folder) as world:
        return world.subjects.titles(_items_of(found.knowledge))


def _stored(entity: str, entity_id: str) -> Found | None:
    from reki.current import current_settings

    stored = knowledge_store(current_settings()).get(entity, entity_id)
    return None if stored is None else Found(stored.knowledge, "stored, as generated or imported")


def _online(entity: str, entity_id: str) -> tuple[Found | None, Mapping[str, str]]:
    from reki.current import reachable_settings

    try:
        settings = reachable_settings()
    except TerminalError as error:
        if error.reason != "not_up":
            raise
        return None, {}
    return in_force(settings, entity, entity_id)


def in_force(settings: Settings, entity: str, entity_id: str) -> tuple[Found | None, Mapping[str, str]]:
    """(what stands in Feast, titles of the items that it names)."""
    import sys

    sys.modules.setdefault("torch", None)  # type: ignore[arg-type] # Feast would load it, for nothing
    from reki.knowledge.in_force import opened_in_force

    with opened_in_force(settings) as source:
        [knowledge] = source.read(entity, [entity_id])
        if knowledge is None:
            return None, {}
        events = source.events(entity_id) if entity == "user" else None
        return Found(knowledge, "in force (Feast)", events), source.titles(_items_of(knowledge))
