"""Encode the recorded texts once, so that training and the demo find their vectors: `python -m reki.prepare`.

Run by set-up. What the cache holds is not encoded again, so an interrupted run goes on where it was.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from knowledge.base import RekiError
from knowledge.recorded import RecordedStore

# Written to the cache after each: what an interrupted run loses at most (about 3 s of work).
CHUNK = 1024
_LABEL = "encoding the recorded texts"


class _Report(Protocol):
    def __call__(self, done: int) -> None: ...


def recorded_texts(store: RecordedStore) -> list[str]:
    """Every distinct factor text of the recorded items and users; short ones first, so that batches are even."""
    texts: set[str] = set()
    for factors in store.items().values():
        texts.update(factors.values())
    for user in store.users().values():
        texts.update(user.factors.values())
    return sorted(texts, key=lambda text: (len(text), text))


@contextmanager
def _progress(total: int) -> Iterator[_Report]:
    """A bar on a terminal; without one a plain line at every tenth."""
    console = Console()
    if console.is_terminal:
        columns = (TextColumn(f"  {_LABEL}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(_LABEL, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    tenth = 0

    def line(done: int) -> None:
        nonlocal tenth
        if done * 10 // total > tenth:
            tenth = done * 10 // total
            print(f"  {_LABEL}: {done} of {total}", flush=True)

    yield line


def encode_recorded(texts: Sequence[str], report: _Report) -> None:
    """Bring `texts` into the encoding cache."""
    # Here and not above: they load torch, which takes seconds that an error message should not wait for.
    from encoders.sentence import SentenceEncoder
    from encoders.text_cache import EncodingCache

    from reki.settings import load_settings

    settings = load_settings()
    encoder = SentenceEncoder()
    cache = EncodingCache(settings.encodings_dir)
    for start in range(0, len(texts), CHUNK):
        cache.encode(encoder, texts[start : start + CHUNK])
        report(min(start + CHUNK, len(texts)))


def main() -> int:
    """Entry point; returns the exit code."""
    begin = time.monotonic()
    try:
        texts = recorded_texts(RecordedStore.load())
        with _progress(len(texts)) as report:
            encode_recorded(texts, report)
    except RekiError as error:
        print(f"set-up: {error.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nset-up: interrupted; run it again, it goes on from here", file=sys.stderr)
        return 130
    print(f"  {_LABEL}: done in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
