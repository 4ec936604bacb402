"""What every bulk run does beside asking: keep results, write them on, stop on Ctrl-C, tell what it did."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from knowledge.base import KnowledgeMode, RekiError, TerminalError, TransientError
from knowledge.bulk import Bulk
from knowledge.meter import Meter
from knowledge.store import KnowledgeStore, Stored
from reki.knowledge import measured
from reki.knowledge.learned import Learned
from reki.knowledge.progress import Show, watching

if TYPE_CHECKING:
    from reki.knowledge.client import BulkClient
    from reki.knowledge.feast import Feast


HOPELESS = frozenset({"llm_misconfigured"})  # a command ends at once, a worker waits for its operator
STOPPED = "The same command goes on where this one ended."


@dataclass
class Tally:
    """What a run did."""

    done: int = 0
    answers: int = 0
    recorded: int = 0
    cached: int = 0
    stored: int = 0
    kept: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)  # reason -> the first message
    feast: Counter[str] = field(default_factory=Counter)
    finished: bool = True

    def failed(self, error: TerminalError | None) -> None:
        """Count one that ended with an error."""
        reason = error.reason if error else "unknown"
        self.errors[reason] += 1
        self.example.setdefault(reason, str(error))


async def keep(
    learned: Sequence[Learned],
    tally: Tally,
    store: KnowledgeStore,
    feast: "Feast | None",
    replace_individual: bool = False,
) -> None:
    """Keep a batch: the store first, then Feast; who was forgotten meanwhile leaves the store again."""
    if not learned:
        return
    stored, kept = await asyncio.to_thread(_store, store, learned, replace_individual)
    tally.stored += stored
    tally.kept += kept
    if feast is not None:
        written = await feast.write(learned)
        tally.feast.update(written.outcomes)
        if written.forgotten:
            await asyncio.to_thread(store.forget, written.forgotten)


def _store(store: KnowledgeStore, learned: Sequence[Learned], replace_individual: bool) -> tuple[int, int]:
    """How many were stored, and for how many clusters' knowledge did not replace individual knowledge."""
    stored = kept = 0
    for one in learned:
        knowledge = one.knowledge
        if knowledge.mode is KnowledgeMode.COLLECTIVE and not replace_individual:
            held = store.held(knowledge.entity, knowledge.entity_id)
            if held is not None and held.knowledge.mode is not KnowledgeMode.COLLECTIVE:
                kept += 1
                continue
        stored += store.append(Stored(knowledge, one.prompt_hash))
    store.sync()
    return stored, kept


class Interruptible:
    """Ctrl-C: what is being asked is waited for; a second one ends the command at once."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop_run = stop

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, NotImplementedError, RuntimeError):  # not the main thread
                asyncio.get_running_loop().add_signal_handler(number, self._stop)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, NotImplementedError, RuntimeError):
                asyncio.get_running_loop().remove_signal_handler(number)

    def _stop(self) -> None:
        self._stop_run()
        self.__exit__()  # first: the next one may follow at once
        print("stopping: waiting for the answers that are on their way (again: end at once)", file=sys.stderr)


async def run_through(bulk: Bulk[Any, Any], show: Show, client: "BulkClient | None") -> bool:
    """Run `bulk`, stopped by Ctrl-C; whether nothing is left. Raises what ends it, see `mend_first`."""

    def trouble() -> str:
        return f"waiting: {client.trouble.message}" if client is not None and client.trouble is not None else ""

    with mend_first(), Interruptible(bulk.stop):
        try:
            async with watching(show, trouble):
                return await bulk.run()
        except TransientError as error:
            if error.reason in HOPELESS:
                raise
            if not error.reason.startswith("llm_"):
                told = error.message.removesuffix(": trying again").removesuffix("; trying again")
                raise TransientError(error.reason, f"{told}. What was answered is kept. {STOPPED}") from None
            # Not of the breaker, which only says that others failed.
            cause: RekiError = error if client is None or client.trouble is None else client.trouble
            raise TransientError(error.reason, f"{cause.message}. What was answered is kept. {STOPPED}") from None


@contextmanager
def mend_first() -> Iterator[None]:
    """A command has somebody before it who can mend a wrong key: such an error is `TerminalError` (exit code 2)."""
    try:
        yield
    except TransientError as error:
        if error.reason in HOPELESS:
            raise TerminalError(error.reason, error.message) from None
        raise


@contextmanager
def interruptible(console: Console) -> Iterator[None]:
    """What ends at once (Ctrl-C twice, or before anything was asked) says so too, and that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"Stopped at once. What was answered and had arrived is kept. {STOPPED}", soft_wrap=True)
        raise


def note_cost(client: "BulkClient", model: str, purpose: str, store: KnowledgeStore, seconds: float) -> None:
    """Note what a run's calls cost, for later dry runs."""
    usage = client.meter.of(purpose)
    tokens = (usage.tokens_in, usage.tokens_cached, usage.tokens_out)
    if usage.answers and usage.tokens_in:  # else there is nothing to reckon from
        run = measured.Run(model, purpose, usage.answers, client.bytes_in[purpose], *tokens, seconds)
        measured.note(store.folder, run)


def tell(
    tally: Tally, meter: Meter | None, total: int, seconds: float, store: KnowledgeStore | None, console: Console
) -> None:
    """Print what a run did: with the `meter` what was asked, with the `store` what was kept."""
    lines = []
    if meter is not None:
        calls, tokens_in = meter.total("calls"), meter.total("tokens_in")
        cached, out = meter.total("tokens_cached"), meter.total("tokens_out")
        lines += [
            f"{tally.done:,} of {total:,} in {seconds:.1f} s: {tally.answers:,} answered now, {tally.cached:,} had "
            f"been answered before, {tally.recorded:,} recorded",
            f"{calls:,} calls, {tokens_in:,} tokens in ({cached:,} from the server's cache), {out:,} out, "
            f"{out / max(seconds, 1e-3):.0f} tokens/s",
        ]
    if store is not None:
        lines.append(f"{tally.stored:,} new records in {store.folder}")
    if tally.kept:
        lines.append(f"{tally.kept:,} have individual knowledge stored, which stays (--replace replaces it)")
    if tally.finished and total > tally.done:
        lines.append(
            f"{total - tally.done:,} left out: forgotten, or their events or profile are no longer held by the stores"
        )
    lines += feast_lines(tally.feast)
    for reason, count in sorted(tally.errors.items()):
        lines.append(f"{count:,} without knowledge ({reason}): {tally.example[reason]}")
    repairs = _repairs(meter) if meter is not None else Counter()
    if repairs:
        lines.append("mended: " + ", ".join(f"{count:,} {word}" for word, count in sorted(repairs.items())))
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def tell_stopped(client: "BulkClient | None", console: Console) -> int:
    """The closing line of a run that was stopped, with what it was waiting for; the exit code."""
    if client is not None and client.trouble is not None:
        console.print(f"It was waiting: {client.trouble.message}", soft_wrap=True, markup=False)
    console.print(f"Stopped. {STOPPED}", soft_wrap=True)
    return 130


_WORDS = {
    "in place": "in force already",
    "kept": "knowledge of their own is in force, which knowledge of clusters does not replace (--replace does)",
    "later": "what is in force has seen more of their events",
    "repeated": "written by an earlier run that was cut off",
    "forgotten": "forgotten meanwhile, nothing was written and nothing stays stored",
}


def feast_lines(outcomes: Counter[str]) -> list[str]:
    """What became of records in Feast, in words; nothing where there were none."""
    if not outcomes:
        return []
    lines = ["Feast: " + ", ".join(f"{count:,} {word}" for word, count in sorted(outcomes.items()))]
    lines += [f"  {word}: {_WORDS[word]}" for word in sorted(outcomes) if word in _WORDS]
    if not outcomes["written"] and not outcomes["repeated"]:
        lines.append("  nothing that is in force has changed")
    return lines


def _repairs(meter: Meter) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, labels, value in meter.samples():
        if name == "reki_llm_repairs_total":
            found[labels["reason"]] += value
    return found
