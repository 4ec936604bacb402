"""Redis away, or back without its last second (window E7): the worker waits, goes back, and resumes by itself."""

import os
import signal
import time

import pytest

from reki.embedded import valkey as valkey_server
from reki.embedded.ports import draw
from streams.await_applied import Applied, Tier
from streams.redis_calls import connect
from tests.streams.replay import assert_equals_replay, write_item_vectors
from tests.streams.world import event, make_streams, wait_until

pytestmark = pytest.mark.services


def test_state_lost_in_a_redis_crash_before_the_commit_is_applied_again(kafka, nursery, tmp_path):
    port, folder = draw()[0], tmp_path / "redis"
    with valkey_server.start(folder, port) as server:
        # No commit by itself: everything below is applied and not committed when Redis dies.
        streams = make_streams(kafka.bootstrap, server, tmp_path, nursery, stream_commit_interval_s=3.0)
        write_item_vectors(streams)
        worker = streams.start()
        producer = streams.producer()
        first = [event(f"u{k % 3}", k) for k in range(15)]
        published = list(zip(first, producer.publish_many(first), strict=True))
        streams.waiter.wait(published[-1][1], Tier.EXPERIENCED, 30)
        wait_until(lambda: worker.health()[1]["progress"]["commits"] > 0, what="a commit")
        log = next((folder / "data" / "appendonlydir").glob("*.incr.aof"))
        kept = log.stat().st_size
        second = [event(f"u{k % 3}", k) for k in range(15, 30)]
        published += list(zip(second, producer.publish_many(second), strict=True))
        streams.waiter.wait(published[-1][1], Tier.EXPERIENCED, 10)
        os.kill(server.pid, signal.SIGKILL)
        time.sleep(0.5)
        # A crash of the machine: what was not fsynced is gone.
        os.truncate(log, kept)
    try:
        wait_until(lambda: worker.health()[0] == 503, 15, "the worker saying that Redis is away")
        assert "Redis" in worker.health()[1]["problems"][0]
        with valkey_server.start(folder, port):
            streams.client = connect(streams.features.redis_url)
            third = [event(f"u{k % 3}", k) for k in range(30, 36)]
            published += list(zip(third, producer.publish_many(third), strict=True))
            for _, token in published[-3:]:
                assert isinstance(streams.waiter.wait(token, Tier.EXPERIENCED, 30), Applied)
            assert worker.health()[0] == 200
            assert worker.stop() == 0
            assert_equals_replay(streams, published, redis_lost=True)
    finally:
        producer.close()
        streams.close()
