"""Jobs of the command line: forget, refresh, rebuild, compact, load-sample."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from knowledge.base import RekiError, TerminalError, check_id
from reki.current import current_settings, reachable_settings
from reki.settings import Settings
from reki.stack import control

if TYPE_CHECKING:
    from streams.requests import RefreshRequest

_FORGET_S = 30.0


def _without_torch() -> None:
    # Feast would import it: seconds for nothing in a command that answers at once.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type] # None marks a module that is not to be had


def forget(user_id: str) -> None:
    """Forget in what bulk runs stored, then publish the wish and wait until the stream worker has fulfilled it.

    The stream worker forgets in those files, too; but they need no broker and no worker, and may lie here alone. Raises
    `TerminalError` (`bad_id`, `not_up`), `TransientError` where a store is away: do it again.
    """
    check_id(user_id)
    _without_torch()
    from reki.knowledge.forgetting import forget_stored

    stored, failure = "", None
    try:
        stored = forget_stored(user_id)
    except RekiError as error:
        failure = error
    try:
        _forget_in_stack(user_id)
    except RekiError:
        if failure is not None:
            print(f"reki: {failure.message}", file=sys.stderr)
        raise
    finally:
        print(stored, end="\n" if stored else "")
    if failure is not None:
        raise failure


def _forget_in_stack(user_id: str) -> None:
    from feature_repo.keys import Keys
    from streams.await_applied import AppliedWaiter, Tier
    from streams.producer import BehaviorProducer
    from streams.redis_calls import connect
    from streams.store import StateStore

    settings = reachable_settings()
    streams, namespace = settings.streams, settings.feature_repo.namespace
    client = connect(settings.feature_repo.redis_url)
    state = StateStore(client, Keys(namespace), streams.ring_size).read(user_id)
    known = state is not None and bool(state.rev)
    with BehaviorProducer(streams.kafka_bootstrap, namespace, last_resort=streams.kafka_last_resort) as producer:
        token = producer.forget(user_id)
    waiter = AppliedWaiter(client, namespace)
    waiter.wait(token, Tier.HISTORY, _FORGET_S)
    print(forgotten(user_id, known))


def forgotten(user_id: str, known: bool) -> str:
    """What is said once the wish is fulfilled. It is published for unknown users too: events may be on their way."""
    if not known:
        return f"nothing was known about {user_id}; whatever was still on its way is forgotten too"
    return f"{user_id} is forgotten: state, features online and offline, cached answers"


def who_answers(settings: Settings, is_recorded: bool) -> str:
    """Who makes a user's new knowledge, in one sentence. `is_recorded`: whether recorded refreshes exist for them."""
    knowledge = settings.knowledge
    if is_recorded:
        return "the recorded knowledge answers"
    if knowledge.llm == "recorded":
        return "nobody will answer: this user has no recorded refresh, and REKI_LLM is `recorded`"
    if knowledge.llm == "openai":
        return f"{knowledge.llm_model} at {knowledge.llm_base_url} answers"
    return (
        f"the embedded LLM ({knowledge.model_name}) answers: its answer is stored and shown, and replaces the recorded "
        "knowledge in force, but the ranker does not use it"
    )


def refresh(user_id: str) -> None:
    """Publish a refresh request for all that is known of the user now."""
    check_id(user_id)
    _without_torch()
    from feature_repo.keys import Keys
    from streams.due import DueSet
    from streams.redis_calls import connect
    from streams.requests import RefreshRequest
    from streams.store import StateStore

    settings = reachable_settings()
    client = connect(settings.feature_repo.redis_url)
    namespace = settings.feature_repo.namespace
    state = StateStore(client, Keys(namespace), settings.streams.ring_size).read(user_id)
    if state is None or not state.rev:
        raise TerminalError("no_user", f"nothing is known about user {user_id}: publish events first")
    if state.refreshed_rev >= state.rev:
        print(f"{user_id}: the knowledge in force has seen all {state.rev} events already")
        return
    request = RefreshRequest(
        user_id=user_id,
        source_rev=state.rev,
        epoch=state.epoch,
        requested_at=datetime.now(UTC),
        reason="asked for by hand",
    )
    asyncio.run(_publish(settings, request))
    DueSet(client, namespace).requested(user_id, state.rev, settings.streams.refresh_deadline_s)
    print(f"{user_id}: new knowledge from {state.rev} events is asked for (in force: {state.refreshed_rev})")
    print(who_answers(settings, settings.knowledge.uses_recorded and _is_recorded(user_id)))


def _is_recorded(user_id: str) -> bool:
    from knowledge.recorded import RecordedStore

    return RecordedStore.load().is_refreshed(user_id)


async def _publish(settings: Settings, request: "RefreshRequest") -> None:
    from streams.publisher import Publisher
    from streams.requests import encode_request
    from streams.topics import TopicNames

    streams = settings.streams
    publisher = Publisher(streams.kafka_bootstrap, last_resort=streams.kafka_last_resort)
    try:
        key, value = encode_request(request)
        await publisher.send(TopicNames(settings.feature_repo.namespace).refresh_requests, key, value)
    finally:
        await publisher.stop()


def rebuild() -> None:
    """Restore states first, then rows: a row is written under its user's epoch."""
    from reki.paths import run_dirs

    _without_torch()
    from feature_repo.keys import Keys
    from feature_repo.offline import OfflineBuffer
    from feature_repo.writer import FeatureWriter
    from streams.rebuild import rebuild_rows, rebuild_states
    from streams.redis_calls import connect
    from streams.store import StateStore

    settings = reachable_settings()
    for command, run_dir in run_dirs().items():
        working = [one.name for one in control.status(run_dir) if one.state == "running"]
        if {"stream", "refresh"} & set(working):
            raise TerminalError(
                "workers_running",
                f"the workers of `{command}` are running and would write at the same time: stop them with `reki down`, "
                "run the stores alone with `reki up --stores`, and try again",
            )
    client = connect(settings.feature_repo.redis_url)
    keys = Keys(settings.feature_repo.namespace)
    offline = OfflineBuffer(settings.feature_repo.offline_dir)
    states = rebuild_states(StateStore(client, keys, settings.streams.ring_size), offline)
    rows = rebuild_rows(FeatureWriter(client, keys, None), offline)
    print(f"states: {states.states} restored, {states.kept} were as new already")
    for view, count in rows.items():
        print(f"{view}: {count} rows offered")


def compact(purge: bool = False) -> None:
    """Compact every view of the offline store; `purge` leaves neither deleted rows nor the versions that had them.

    Raises `TransientError` (`offline_busy`) where a worker is at the same view.
    """
    from feature_repo.offline import OfflineBuffer

    features = current_settings().feature_repo
    offline = OfflineBuffer(features.offline_dir, features.offline_flush_rows, features.offline_flush_s)
    done = offline.compact_all(0.0 if purge else features.offline_keep_versions_s, purge)
    if not done:
        raise TerminalError("no_offline", f"there is no offline store in {features.offline_dir}: `reki up` makes one")
    for view, one in done.items():
        print(
            f"{view}: {one.rows} rows, {one.doubles_removed} doubles less, {one.fragments_before} files before and "
            f"{one.fragments_after} now, {one.versions_removed} old versions less"
        )


def load_sample() -> None:
    """Load all films, then all users with the history and the knowledge that the release was trained to expect.

    Raises `TerminalError` (`not_up`, `no_release`, `no_data`), `TransientError` where a store is away.
    """
    from reki.demo.screen import Screen
    from reki.up import release_or_train

    settings, screen = reachable_settings(), Screen()
    path = release_or_train(settings, screen)
    from ranking.release import Release  # loads torch: after all that may be wrong already
    from reki.loading import Sample, load_into

    with screen.stage("MovieLens-100K and its recorded knowledge"):
        sample = Sample.load(settings.ranking.movielens_dir)
        release = Release.load(path)
    with screen.stage("Histories and knowledge into Feast") as tick:
        items, users = load_into(
            settings,
            release,
            sample,
            lambda done, total: tick(done, total, "films"),
            lambda done, total: tick(done, total, "users"),
        )
        tick(users.entities, users.entities, f"{items.entities} films, {users.entities} users, online and offline")
    if not users.seeded:
        screen.line("They were there already; what is newer by now was kept.")
    screen.line(f"Users have the vectors of release {release.release_id}; `reki settings` says where to ask.")
