"""Which release's vectors each slot of the online store holds."""

from collections.abc import Sequence

from knowledge.base import TransientError
from reki.paths import run_dirs
from reki.settings import Settings
from reki.stack import control


def slot_releases(settings: Settings, items: Sequence[str]) -> dict[str, list[str]] | None:
    """Release id -> where it is, as "blue, active"; None where no store can be asked.

    `items` are sampled (a release's anchors): a slot that a roll-out is just filling may hold two releases.
    """
    if not settings.is_explicit("redis_url") and not any(control.is_up(run_dir) for run_dir in run_dirs().values()):
        return None
    # Not at the top: Feast takes seconds to import, and without a stack nothing is asked.
    from feature_repo.keys import Keys
    from feature_repo.reader import FeatureReader
    from feature_repo.schema import SLOTS
    from streams.control import Slots
    from streams.redis_calls import connect

    client = connect(settings.feature_repo.redis_url)
    try:
        active = Slots(client, settings.feature_repo.namespace).current()[0]
        reader = FeatureReader(client, Keys(settings.feature_repo.namespace))
        found: dict[str, list[str]] = {}
        for slot in SLOTS:
            rows = reader.read("item_vector", list(items), ["item_release"], slot)
            for release_id in sorted({row["item_release"] for row in rows if row is not None}):
                found.setdefault(release_id, []).append(f"{slot}, active" if slot == active else slot)
        return found
    except TransientError:
        return None
    finally:
        client.close()
