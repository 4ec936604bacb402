"""Process entry points: `python -m reki.workers stream` and `python -m reki.workers refresh`."""

import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from knowledge.base import RekiError, TerminalError
from knowledge.cache import AnswerCache
from reki.knowledge.forgetting import UserEraser
from reki.settings import Settings, load_settings

if TYPE_CHECKING:
    from encoders.finder import Finder

WORKERS = ("stream", "refresh")


def stream(settings: Settings) -> NoReturn:
    """Run the stream worker until SIGTERM."""
    # Feast imports torch where it finds it, and needs nothing of it here: 490 MB and seconds of start saved.
    sys.modules["torch"] = None  # type: ignore[assignment] # None is how Python marks a module that is not to be had
    from knowledge.scenario import load_scenario
    from streams.stream_app import run

    run(settings.streams, settings.feature_repo, load_scenario(settings.knowledge.scenario), _answers(settings).forget)


def refresh(settings: Settings) -> NoReturn:
    """Run the refresh worker, with the encoder and HEIN of the release, until SIGTERM."""
    finder = _finder(settings)  # first: a wrong file is known at once
    from encoders.sentence import SentenceEncoder
    from encoders.text_cache import EncodingCache
    from knowledge.catalogue import chosen_catalogue
    from knowledge.scenario import load_scenario
    from knowledge.source import open_source
    from ranking.release import Release
    from reki.recorded import recorded_store
    from streams.refresh_app import OnlineTitles, RefreshRelease, run

    release = Release.load(release_path(settings))
    encoder = SentenceEncoder(release.encoder_id, settings.encoders.encoder_batch)
    encoder.encode(["ready"])  # loads the model now: the first user should not wait for it
    condenser = release.condenser(encoder, EncodingCache(settings.encoders.encodings_dir))
    catalogue = chosen_catalogue(settings.knowledge.catalogue_file)
    titles = OnlineTitles([*catalogue.anchors, *catalogue.shortlist])
    store = recorded_store(settings.ranking.movielens_dir) if settings.knowledge.uses_recorded else None
    source = open_source(settings.knowledge, titles, store=store)
    needed = RefreshRelease(release.release_id, release.anchors, (len(release.factors), release.dim), condenser)
    scenario = load_scenario(settings.knowledge.scenario)
    erase = _answers(settings).forget
    run(settings.streams, settings.feature_repo, needed, source, titles, erase, scenario, finder)


def _finder(settings: Settings) -> "Finder | None":
    """Who finds items for each user, from the file that the settings name; None where nobody would be told of them."""
    if settings.knowledge.find_file is None:
        return None
    from encoders.finder import Finder
    from encoders.item_index import load_index

    return Finder(load_index(settings.knowledge.find_file))


def _answers(settings: Settings) -> UserEraser:
    return UserEraser(settings.reki.data_dir / "knowledge", AnswerCache(settings.knowledge.knowledge_cache_dir))


def release_path(settings: Settings) -> Path:
    """The release in use: the one that is named, else the newest.

    Raises `TerminalError` (`no_release`) where there is none.
    """
    folder = settings.ranking.releases_dir
    named = settings.reki.release
    if named:
        path = Path(named) if "/" in named else folder / named
        if not path.is_dir():
            raise TerminalError("no_release", f"there is no release at {path}: `reki settings` shows where it is named")
        return path
    # Named by their content's hash; anything else there is being written or somebody's own.
    found = [path for path in folder.glob("*/") if re.fullmatch("[0-9a-f]{12}", path.name)]
    if not found:
        raise TerminalError("no_release", f"there is no release in {folder}: `reki up` trains one")
    return max(found, key=lambda path: path.stat().st_mtime)


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code of what failed before the worker ran."""
    if len(arguments) != 1 or arguments[0] not in WORKERS:
        print(f"usage: python -m reki.workers {'|'.join(WORKERS)}", file=sys.stderr)
        return 2
    try:
        settings = load_settings()
        logging.basicConfig(
            level=settings.reki.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout
        )
        if arguments[0] == "stream":
            stream(settings)
        refresh(settings)
    except RekiError as error:
        print(f"{arguments[0]} worker: {error.message}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
