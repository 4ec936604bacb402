"""What a platform team sees with plain Feast while the stack runs."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.schema import DIM, FACTORS, physical_views

pytestmark = pytest.mark.services

_FEAST = str(Path(sys.executable).with_name("feast"))
_SCRIPT = """
import json, sys
from feast import FeatureStore
read = FeatureStore(".").get_online_features(
    ["user_history:history_rev", "user_experienced_blue:experienced_vec_blue", "user_knowledge:knowledge_mode"],
    [{"user_id": sys.argv[1]}, {"user_id": "nobody"}],
).to_dict()
print(json.dumps(read))
"""


def _start(world, *command):
    return subprocess.Popen(command, cwd=world.feast_repo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_plain_feast_commands_and_scripts_work_beside_the_stack(world):
    user_id = world.cast.steady[6]
    world.publish(*world.cast.later(user_id, 2))
    script = world.feast_repo.parent / "plain.py"
    script.write_text(_SCRIPT)
    # Together, for each spends its time importing Feast.
    processes = {
        "views": _start(world, _FEAST, "feature-views", "list"),
        "entities": _start(world, _FEAST, "entities", "list"),
        "script": _start(world, sys.executable, str(script), user_id),
    }
    said = {name: process.communicate(timeout=120)[0] for name, process in processes.items()}
    assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(said, 0), said
    listed = {line.split()[0] for line in said["views"].splitlines() if line.strip()}
    assert set(physical_views()) <= listed, said["views"]
    assert {"user", "item"} <= {line.split()[0] for line in said["entities"].splitlines() if line.strip()}
    read = json.loads(said["script"].splitlines()[-1])
    assert read["history_rev"] == [world.cast.loaded(user_id) + 2, None]
    assert read["knowledge_mode"] == ["recorded", None]
    own = world.read("user_experienced", user_id)["experienced_vec"]
    assert np.array_equal(np.asarray(read["experienced_vec_blue"][0], np.float32), own)
    assert len(own) == 2 * FACTORS * DIM


def test_a_historical_read_gives_what_was_in_force_at_that_time(world, refreshed):
    from feast import FeatureStore

    moments = [refreshed.at, refreshed.done_at, refreshed.at - timedelta(days=1)]
    rows = pd.DataFrame({"user_id": [refreshed.user_id] * 3, "event_timestamp": moments})
    store = FeatureStore(repo_path=str(world.feast_repo))
    features = [
        "user_expected_blue:expected_vec_blue",
        "user_expected_blue:expected_rev_blue",
        "user_experienced_blue:experienced_rev_blue",
    ]
    read = store.get_historical_features(rows, features).to_df().sort_values("event_timestamp")
    never, before, after = read.to_dict("records")
    assert pd.isna(never["expected_rev_blue"])
    rev = refreshed.loaded
    assert (before["expected_rev_blue"], after["expected_rev_blue"]) == (rev, rev + 10)
    assert (before["experienced_rev_blue"], after["experienced_rev_blue"]) == (rev, rev + 10)
    assert not np.array_equal(before["expected_vec_blue"], after["expected_vec_blue"])
    online = world.read("user_expected", refreshed.user_id)["expected_vec"]
    assert np.array_equal(np.asarray(after["expected_vec_blue"], np.float32), online)
