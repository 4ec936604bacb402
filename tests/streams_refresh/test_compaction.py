"""The compactor on a real Valkey and real Lance files: one works, and a forgotten user leaves the files."""

import asyncio
import fcntl
from contextlib import suppress
from datetime import UTC, datetime

import lance
import pytest

from feature_repo.offline import OfflineBuffer
from streams.compaction import Compactor
from streams.forget import LateRows

pytestmark = pytest.mark.services
VIEW = "user_history"


@pytest.fixture
def offline(tmp_path):
    return OfflineBuffer(tmp_path / "offline", flush_rows=1)


def write(offline, user, epoch=0):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    offline.append(
        VIEW,
        [
            {
                "user_id": user,
                "event_timestamp": at,
                "created_timestamp": at,
                "written_at": at,
                "source_rev": 1,
                "epoch": epoch,
                "write_id": f"{user}:{epoch}",
            }
        ],
    )


def users(offline):
    return sorted(lance.dataset(str(offline.path(VIEW))).to_table(columns=["user_id"])["user_id"].to_pylist())


def in_files(offline, user):
    return any(user.encode() in path.read_bytes() for path in offline.path(VIEW).rglob("*") if path.is_file())


def late(client, namespace, offline):
    return LateRows(client, namespace, lambda user, epoch: offline.delete("user", [user], below_epoch=epoch))


def compactor(client, namespace, offline, every_s=600.0):
    return Compactor(client, namespace, offline, every_s, keep_versions_s=0)


async def test_doubles_go_and_one_worker_does_it(client, namespace, offline):
    for user in ("a", "a", "b"):
        write(offline, user)
    first, second = compactor(client, namespace, offline), compactor(client, namespace, offline)
    done = await first.round()
    assert (done[VIEW].doubles_removed, done[VIEW].rows, done[VIEW].fragments_after) == (1, 2, 1)
    assert await second.round() == {}
    assert (first.leading, second.leading) == (True, False)
    assert await first.round() != {}


async def test_a_forgotten_user_is_gone_from_the_files_after_the_second_deletion(client, namespace, offline):
    for user in ("user-1-secret", "user-2-kept", *map(str, range(30))):
        write(offline, user)
    write(offline, "user-1-secret", epoch=1)  # a new life: not to be touched
    worker = compactor(client, namespace, offline)
    waiting = late(client, namespace, offline)
    waiting.expect("user-1-secret", 1, 3600)
    await worker.round()
    assert users(offline).count("user-1-secret") == 2, "deleted before a writer's deadline has passed"
    waiting.expect("user-1-secret", 1, 0)
    await worker.round()
    assert users(offline).count("user-1-secret") == 1
    waiting.expect("user-1-secret", 2, 0)
    await worker.round()
    await worker.round()  # lets the versions go that still hold the rows
    assert not in_files(offline, "user-1-secret")
    assert in_files(offline, "user-2-kept")
    assert waiting.purge_wanted() is None


async def test_a_view_that_somebody_else_compacts_keeps_the_wish_to_purge(client, namespace, offline):
    write(offline, "a")
    waiting = late(client, namespace, offline)
    waiting.expect("a", 1, 0)
    worker = compactor(client, namespace, offline)
    with offline.path(VIEW).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = await worker.round()
    assert VIEW not in done
    assert len(done) > 5
    assert waiting.purge_wanted() is not None
    await worker.round()
    assert waiting.purge_wanted() is None


def test_a_wish_that_comes_during_a_purge_is_not_taken_for_fulfilled(client, namespace, offline):
    offline.create()
    waiting = late(client, namespace, offline)
    waiting.expect("a", 1, 0)
    waiting.delete()
    first = waiting.purge_wanted()
    waiting.expect("b", 1, 0)
    waiting.delete()
    waiting.purged(first)
    second = waiting.purge_wanted()
    assert second not in {None, first}
    waiting.purged(second)
    assert waiting.purge_wanted() is None


async def test_it_goes_round_outlives_trouble_and_gives_its_lease_back(client, namespace, offline, caplog):
    write(offline, "a")
    worker = compactor(client, namespace, offline, every_s=0.05)
    compact, troubles = offline.compact, [OSError("disk full")]

    def troubled(*arguments, **options):
        if troubles:
            raise troubles.pop()
        return compact(*arguments, **options)

    offline.compact = troubled
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(30):
        while worker.rounds < 2:
            assert not task.done()
            await asyncio.sleep(0.02)
    assert "disk full" in caplog.text
    assert await compactor(client, namespace, offline).round() == {}
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await compactor(client, namespace, offline).round() != {}
