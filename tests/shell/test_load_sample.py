"""`reki load-sample` as a person types it: on real stores, with a small excerpt of the data."""

import os
import subprocess
import sys

import pytest

from encoders.sentence import resolve_encoder_id
from feature_repo.keys import Keys
from feature_repo.offline import OfflineBuffer
from feature_repo.reader import FeatureReader
from knowledge.catalogue import recorded_catalogue
from knowledge.scenario import load_scenario
from reki.paths import cache_dir
from streams.redis_calls import connect
from streams.store import StateStore
from tests.serving.world import drawn_release

pytestmark = pytest.mark.services
NAMESPACE = "load_sample"
USER = "13"


@pytest.fixture
def sample(tmp_path):
    """One user, the anchors and twelve ratings, in GroupLens' format."""
    folder = tmp_path / "ml"
    folder.mkdir()
    anchors = recorded_catalogue().anchors
    (folder / "u.data").write_text(
        "".join(f"{USER}\t{item}\t{3 + n % 3}\t{100 + n}\n" for n, item in enumerate(anchors[:12]))
    )
    (folder / "u.item").write_text("".join(f"{item}|Film {item} (1995)|01-Jan-1995|||0|1\n" for item in anchors))
    (folder / "u.user").write_text(f"{USER}|47|M|educator|29206\n")
    return folder


def test_the_sample_is_loaded_once_and_a_second_run_says_so(valkey, tmp_path, sample):
    release = drawn_release(
        tmp_path / "releases",
        {"1": 2},
        encoder_id=resolve_encoder_id(),
        factors=load_scenario("films").factors,
        anchors=recorded_catalogue().anchors,
    )
    environment = {
        **os.environ,
        "REKI_STATE_DIR": str(tmp_path / "state"),
        "REKI_DATA_DIR": str(tmp_path / "data"),
        "REKI_CACHE": str(cache_dir()),
        "REKI_RELEASES_DIR": str(tmp_path / "releases"),
        "REKI_MOVIELENS_DIR": str(sample),
        "REKI_NAMESPACE": NAMESPACE,
        "REKI_REDIS_URL": valkey.url,
        "REKI_KAFKA_BOOTSTRAP": "127.0.0.1:9",  # nothing is published
    }

    def load():
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from reki.cli import main; sys.exit(main())", "load-sample"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = load()
    assert "40 films, 1 users, online and offline" in first
    assert "there already" not in first
    assert release.release_id in first
    client, keys = connect(valkey.url), Keys(NAMESPACE)
    reader, offline = FeatureReader(client, keys), OfflineBuffer(tmp_path / "data" / "offline")
    state = StateStore(client, keys, 100).read(USER)
    assert (state.rev, state.refreshed_rev) == (6, 30)  # half of the ratings; the knowledge of the whole data set
    [expected] = reader.read("user_expected", [USER], None, "blue")
    assert expected["expected_release"] == release.release_id
    counts = {view: offline.count(view) for view in ("item_profile", "user_history", "user_expected_blue")}
    times = reader.event_times("user_history", [USER])
    assert "They were there already" in load()
    assert reader.event_times("user_history", [USER]) == times
    assert StateStore(client, keys, 100).read(USER).rev == 6
    offline.compact_all(0.0)
    assert (
        {view: offline.count(view) for view in counts}
        == counts
        == {"item_profile": 40, "user_history": 1, "user_expected_blue": 1}
    )
    client.close()
