"""Bring Feast's registry to what the definitions say, and write Triton's models where a folder for them is given.

`python -m reki.apply [--models DIR [--release PATH]]`. A process of its own, because Feast takes seconds to import:
started together with the stores, it has applied by the time they are ready.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from knowledge.base import RekiError, TransientError
from reki.paths import ports_file
from reki.settings import Settings, load_settings
from reki.stack.ports import StackPorts
from reki.workers import release_path

_STORE_S = 60.0


def export(settings: Settings, release_path: Path, models_dir: Path) -> None:
    """Write the models of a release; waits for the online store, in which a probe row is compared."""
    from ranking.release import Release
    from serving.export import export_release
    from streams.control import Slots
    from streams.redis_calls import connect

    client = connect(settings.feature_repo.redis_url)
    deadline = time.monotonic() + _STORE_S
    while True:
        try:
            slot = Slots(client, settings.feature_repo.namespace).current()[0]
            break
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    export_release(models_dir, Release.load(release_path), slot, settings.feature_repo, settings.serving)


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="reki.apply", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, help="Triton's model repository to write")
    parser.add_argument("--release", type=Path, help="release to export; by default the one in use")
    chosen = parser.parse_args(arguments)
    if chosen.models is None:
        # Feast imports torch where it finds it and needs nothing of it here. (A release does.)
        sys.modules["torch"] = None  # type: ignore[assignment] # marks a module that is not to be had
    from feature_repo.repo import apply

    try:
        StackPorts.kept(ports_file())  # the addresses in feature_store.yaml stay true from now on
        settings = load_settings()
        apply(settings.feature_repo)
        if chosen.models is not None:
            export(settings, chosen.release or release_path(settings), chosen.models)
    except RekiError as error:
        print(error.message, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
