"""The walk of one event through the stream worker."""

import pytest

from streams.await_applied import Applied, Tier
from tests.streams.conftest import event

pytestmark = pytest.mark.services


def test_smoke(streams):
    worker = streams.start()
    with streams.producer() as producer:
        token = producer.publish(event("u1", 1))
        try:
            result = streams.waiter.wait(token, Tier.EXPERIENCED, 25)
        except Exception:
            import os, signal, time

            os.kill(worker.pid, signal.SIGUSR1)
            time.sleep(1)
            print(worker.health())
            print(worker.log.read_text())
            raise
        assert isinstance(result, Applied)
        import time

        waits = []
        for n in range(2, 60):
            t = time.perf_counter()
            token = producer.publish(event("u1", n))
            mid = time.perf_counter()
            streams.waiter.wait(token, Tier.EXPERIENCED, 20)
            waits.append((1000 * (mid - t), 1000 * (time.perf_counter() - mid)))
            time.sleep(0.02)
        print(sorted(waits)[:3], sorted(w for _, w in waits)[29], sorted(w for _, w in waits)[55])
    print(worker.health())
    print(worker.stop())
    print(worker.log.read_text())
