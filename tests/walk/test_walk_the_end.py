"""After everything that the tests before have done; alphabetically last, for the stack ends here."""

from pathlib import Path

import pytest

from feature_repo.consistency import compare
from reki.stack import processes
from reki.stack.control import is_up

pytestmark = pytest.mark.services


def test_the_online_store_equals_the_offline_store(world, refreshed):
    reports = compare(world.redis, world.keys, world.offline)
    assert {report.view: report for report in reports if not report.ok} == {}
    compared = {report.view: report.compared for report in reports}
    assert compared["user_expected_blue"] >= 59
    assert compared["item_vector_blue"] == len(world.cast.sample.data.items)
    assert compared["user_expected_green"] == 0


def test_nothing_is_left_of_a_stack_that_was_stopped(world):
    world.look_at_files()
    assert processes.marked(world.stack.run_dir)
    assert any(name.startswith("/dev/shm/") for name in world.mapped), "Triton uses shared memory"
    world.stack.down()
    assert processes.marked(world.stack.run_dir) == []
    assert not is_up(world.stack.run_dir)
    assert [name for name in world.mapped if Path(name).exists()] == []
    # torch's own cache, one folder a person and not one a run, is no leftover.
    assert [file for file in world.temporary.iterdir() if not file.name.startswith("torchinductor_")] == []
