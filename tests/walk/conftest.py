"""One full stack for the session: everything in a temporary folder, nothing of this clone's own is touched."""

import pytest

from ranking.training import TrainOptions, train
from reki.loading import Sample, load_into
from reki.paths import cache_dir
from reki.settings import load_settings
from reki.stack import services
from reki.stack.stack import Stack
from reki.up import finish_apply, start_apply
from tests.walk.cast import ENOUGH, choose
from tests.walk.change import begin, finish
from tests.walk.world import LIVE_S, TIMEOUT_S, World

STORES = ("valkey", "broker", "llm")


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The stack, up and loaded."""
    home = tmp_path_factory.mktemp("walk").resolve()
    settings = _settings(home)
    if not settings.ranking.movielens_dir.exists():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    temporary = home / "tmp"
    temporary.mkdir()
    stack = Stack(settings, home / "run", home / "data", home / "logs")
    try:
        with pytest.MonkeyPatch.context() as patch:
            # All processes of the stack inherit it: whatever they forget to remove is found there.
            patch.setenv("TMPDIR", str(temporary))
            stack.up(only=STORES)
        cast = choose(Sample.load(settings.ranking.movielens_dir))
        release = train(_options(settings))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REKI_STATE_DIR", str(home / "state"))
            applying = start_apply(services.settings_file(stack.run_dir), release.path, stack.models_dir)
        try:
            load_into(stack.settings, release, cast.sample)
            finish_apply(applying)
        finally:
            applying.kill()
            applying.wait()
        stack.up()
        made = World(stack, cast, release, temporary)
        made.look_at_files()
        yield made
        made.close()
    finally:
        stack.down()


def _settings(home):
    """A policy quick enough to wait for, and every folder in `home` but those of what set-up fetched and encoded."""
    return load_settings(home, {"REKI_CACHE": str(cache_dir())}).replaced(
        namespace="walk_test",
        knowledge_cache_dir=home / "answers",
        releases_dir=home / "releases",
        refresh_min_events=ENOUGH,
        refresh_debounce_s=1.0,
        refresh_settle_s=0.5,
        refresh_max_delay_s=5.0,
    )


def _options(settings):
    """A release that is real in every part and good at nothing."""
    return TrainOptions(
        settings.ranking.movielens_dir,
        settings.encoders.encodings_dir,
        settings.ranking.releases_dir,
        epochs=1,
        plain_epochs=1,
        most_users=12,
    )


@pytest.fixture(scope="session")
def asked(world):
    """A user whose events have made the embedded LLM begin; other tests go on while it thinks."""
    return begin(world, world.cast.live[0])


@pytest.fixture(scope="session", autouse=True)
def _ask_early(request):
    # Only where somebody will look at the answer: it is most of a minute's work for a busy machine.
    if any({"lived", "asked"} & set(item.fixturenames) for item in request.session.items):
        request.getfixturevalue("asked")


@pytest.fixture(scope="session")
def lived(world, asked):
    """A user about whom the embedded LLM was asked, and answered."""
    return finish(world, asked, LIVE_S)


@pytest.fixture(scope="session")
def refreshed(world):
    """A user for whom recorded knowledge of all their events was waiting."""
    return finish(world, begin(world, world.cast.changing[0]), TIMEOUT_S)
