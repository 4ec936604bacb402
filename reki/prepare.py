"""Encode the recorded texts once, so that training and the demo find their vectors: `python -m reki.prepare`.

Run by set-up. What the cache holds is not encoded again, so an interrupted run goes on where it was.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from knowledge.base import RekiError
from knowledge.recorded import RecordedStore
from reki.settings import load_settings

Progress = Callable[[int, int], None]
_LABEL = "encoding the recorded texts"


def recorded_texts(store: RecordedStore) -> list[str]:
    """Every distinct factor text of the recorded items, users and refreshes; short ones first: even batches."""
    texts: set[str] = set()
    for factors in store.items().values():
        texts.update(factors.values())
    for user_id in store.users():
        for record in store.refreshes(user_id):
            texts.update(record.factors.values())
    return sorted(texts, key=lambda text: (len(text), text))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; without one a plain line at every tenth."""
    console = Console()
    if console.is_terminal:
        columns = (TextColumn(f"  {_LABEL}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=console) as bar:
            task = bar.add_task(_LABEL, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    said = 0

    def line(done: int, total: int) -> None:
        nonlocal said
        if total and done * 10 // total > said:
            said = done * 10 // total
            print(f"  {_LABEL}: {done} of {total}", flush=True)

    yield line


def main() -> int:
    """Entry point; returns the exit code."""
    begin = time.monotonic()
    try:
        settings = load_settings()
        texts = recorded_texts(RecordedStore.load())
        # Here and not above: torch takes seconds to load, which an error message should not wait for.
        from encoders.sentence import SentenceEncoder
        from encoders.text_cache import EncodingCache

        encoder = SentenceEncoder(settings.encoders.encoder_id, settings.encoders.encoder_batch)
        with _progress() as progress:
            EncodingCache(settings.encoders.encodings_dir).encode(encoder, texts, progress)
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
