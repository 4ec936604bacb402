"""Model `recommend` in a real Triton, through the public clients."""

import asyncio
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from knowledge.base import SystemClock, TerminalError, TransientError, micros
from serving.answer import ItemFallback, UserFallback
from serving.client import AsyncRekiClient, RekiClient
from serving.launcher import probe, shared_memory_prefix
from serving.settings import ServingSettings
from tests.serving.world import ITEMS, RELEASE, SOURCE, direct

pytestmark = pytest.mark.services

NOTHING = UserFallback.NO_HISTORY | UserFallback.NO_EXPERIENCED | UserFallback.NO_EXPECTATIONS | UserFallback.NO_SUMMARY


@pytest.fixture(scope="session")
def user(catalogue):
    """A user with every part; returns (experienced f32[2, F, d], the expected row's values)."""
    experienced = catalogue.numbers(2, 9, 16)
    now = micros(SystemClock().now())
    catalogue.history("full", ITEMS[20:70], [4.0] * 50, rev=60, written_at=now - 30_000_000)
    catalogue.experienced("full", experienced, [4.0, 0.9, 0.5, math.log1p(60)], rev=60)
    expected = catalogue.expected("full", rev=48, written_at=now - 3_600_000_000)
    return experienced, expected


def test_scores_equal_a_direct_computation_from_what_was_written(client, catalogue, user):
    experienced, expected = user
    answer = client.recommend("full", ITEMS[:100])
    truth = direct(catalogue, ITEMS[:100], experienced, expected["expected_vec"].reshape(2, 9, 16))
    np.testing.assert_allclose(answer.scores, truth, atol=1e-5)
    assert answer.scores.std() > 0.05
    assert answer.user_fallback == 0
    assert not answer.item_fallback.any()
    assert answer.order.tolist() == np.argsort(-answer.scores, kind="stable").tolist()
    assert answer.top[0] == ITEMS[int(answer.scores.argmax())]
    assert (answer.release, answer.knowledge_version, answer.explanation) == (RELEASE, SOURCE, "")


def test_ages_and_events_since_knowledge_tell_how_fresh_the_answer_is(client, user):
    answer = client.recommend("full", ITEMS[:2])
    assert 30 <= answer.history_age_s < 600
    assert 3600 <= answer.knowledge_age_s < 4200
    assert answer.events_since_knowledge == 12


def test_an_unknown_user_gets_an_answer_that_says_so(client):
    answer = client.recommend("never-seen", ITEMS[:5])
    assert answer.user_fallback == UserFallback.UNKNOWN | NOTHING
    assert np.isfinite(answer.scores).all()
    assert math.isnan(answer.history_age_s)
    assert math.isnan(answer.knowledge_age_s)
    assert (answer.events_since_knowledge, answer.knowledge_version) == (0, "")


def test_unknown_items_are_flagged_and_scored_beside_known_ones(client, catalogue, user):
    answer = client.recommend("full", ["never-written", ITEMS[0], ITEMS[195]])
    no_vector, unseen = ItemFallback.NO_VECTOR, ItemFallback.NOT_IN_VOCABULARY
    assert answer.item_fallback.tolist() == [no_vector | unseen, 0, unseen]
    assert answer.scores[0] == 0.5  # the cosine ranker knows nothing about it
    assert answer.scores[1] != 0.5 != answer.scores[2]


def test_vectors_of_another_release_are_never_mixed_in(client, catalogue, user):
    catalogue.history("old", ITEMS[:3], [5.0, 4.0, 1.0], rev=3)
    catalogue.experienced("old", catalogue.numbers(2, 9, 16), [3, 0.5, 1, 1], rev=3, release="eeeeeeeeeeee")
    answer = client.recommend("old", ITEMS[:5])
    missing = UserFallback.NO_EXPECTATIONS | UserFallback.NO_SUMMARY
    assert answer.user_fallback == UserFallback.OTHER_RELEASE | missing
    assert (answer.scores == 0.5).all()

    catalogue.expected("old", rev=3, release="eeeeeeeeeeee")
    assert client.recommend("old", ITEMS[:5]).user_fallback == UserFallback.OTHER_RELEASE

    catalogue.item("old-item", release="eeeeeeeeeeee")
    answer = client.recommend("full", ["old-item"])
    assert answer.item_fallback.tolist() == [ItemFallback.OTHER_RELEASE | ItemFallback.NOT_IN_VOCABULARY]
    assert answer.scores.tolist() == [0.5]


def test_expectations_of_a_source_it_was_not_trained_for_are_shown_and_not_used(client, catalogue):
    catalogue.expected("embedded", rev=2, source="SmolLM2|t1|c1")
    answer = client.recommend("embedded", ITEMS[:5])
    assert answer.user_fallback == (
        UserFallback.SOURCE_NOT_ACCEPTED | UserFallback.NO_HISTORY | UserFallback.NO_EXPERIENCED
    )
    assert answer.knowledge_version == "SmolLM2|t1|c1"
    assert answer.knowledge_age_s < 600
    assert (answer.scores == 0.5).all()


def test_requests_of_every_length_at_once_each_get_their_own_answer(client, triton, catalogue, user):
    experienced, expected = user
    draw = np.random.default_rng(3)
    lists = [draw.choice(ITEMS, count).tolist() for count in [0, 1, 2, 99, 100, 500, 2000, 7, 3, 1000] * 6]
    settings = ServingSettings(recommend_deadline_s=60)
    with RekiClient(settings, triton.grpc_url) as shared, ThreadPoolExecutor(16) as pool:
        users = ["full" if number % 3 else "never-seen" for number in range(len(lists))]
        answers = list(pool.map(shared.recommend, users, lists))
    truth = direct(catalogue, ITEMS, experienced, expected["expected_vec"].reshape(2, 9, 16))
    position = {item_id: place for place, item_id in enumerate(ITEMS)}
    for user_id, item_ids, answer in zip(users, lists, answers, strict=True):
        assert len(answer.scores) == len(answer.order) == len(answer.item_fallback) == len(item_ids)
        wanted = truth[[position[item_id] for item_id in item_ids]] if user_id == "full" else 0.5
        np.testing.assert_allclose(answer.scores, wanted, atol=1e-5)


def test_triton_puts_waiting_requests_of_different_lengths_into_one_batch(triton, user):
    async def burst():
        async with AsyncRekiClient(ServingSettings(recommend_deadline_s=60), triton.grpc_url) as client:
            await asyncio.gather(*(client.recommend("full", ITEMS[: 1 + n % 50]) for n in range(60)))

    before = batches(triton)
    asyncio.run(burst())
    after = batches(triton)
    assert after["features"] - before["features"] < 60
    assert after["ranker"] - before["ranker"] < 60


def batches(triton):
    with urlopen(f"{triton.http_url}/v2/models/stats") as answer:  # noqa: S310 - our own Triton
        models = json.load(answer)["model_stats"]
    return {model["name"].split("_")[0]: model["execution_count"] for model in models}


def test_the_longest_lists_at_once_fit_into_the_64_mb_of_shared_memory_that_containers_get(triton, user):
    async def burst():
        settings = ServingSettings(recommend_deadline_s=90)
        async with AsyncRekiClient(settings, triton.grpc_url) as client:
            return await asyncio.gather(*(client.recommend("full", ITEMS * 10) for _ in range(40)))

    answers = asyncio.run(burst())
    assert {len(answer.scores) for answer in answers} == {2000}
    regions = Path("/dev/shm").glob(f"{shared_memory_prefix(triton.run_dir)}*")
    assert sum(region.stat().st_blocks * 512 for region in regions) < 64 * 2**20


def test_doubles_are_scored_alike_and_keep_their_places(client, user):
    answer = client.recommend("full", [ITEMS[3], ITEMS[4], ITEMS[3], ITEMS[3]])
    assert answer.scores[0] == answer.scores[2] == answer.scores[3]
    places = answer.order.tolist()
    assert [place for place in places if place != 1] == [0, 2, 3]


def test_top_k_limits_the_order_and_not_the_scores(client, user):
    whole = client.recommend("full", ITEMS[:30])
    answer = client.recommend("full", ITEMS[:30], top_k=10)
    assert answer.order.tolist() == whole.order[:10].tolist()
    assert len(answer.scores) == 30
    assert len(client.recommend("full", ITEMS[:3], top_k=10).order) == 3


def test_no_candidates_are_answered_with_nothing(client, user):
    answer = client.recommend("full", [], top_k=3, explain=True)
    assert (answer.scores.size, answer.order.size, answer.item_fallback.size) == (0, 0, 0)
    assert answer.user_fallback == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("full", [ITEMS[0]] * 2001), "at most 2000"),
        (("not an id", ITEMS[:1]), "user_id holds"),
        (("full", [ITEMS[0], "x" * 101]), "item_ids holds"),
        (("full", ["{brace}"]), "item_ids holds"),
        (("full", ITEMS[:1], 0), "top_k is 0"),
        (("full", ITEMS[:1], -3), "top_k is -3"),
        (("full", ITEMS[:1], None, [(ITEMS[1], 9.0)]), "the scale goes from 1 to 5"),
        (("full", ITEMS[0]), "give a list of ids"),
        (("full", [1, 2]), "must be strings"),
    ],
)
def test_a_bad_request_says_what_is_wrong_and_is_not_worth_a_retry(client, arguments, message):
    with pytest.raises(TerminalError, match=message) as error:
        client.recommend(*arguments)
    assert error.value.reason == "invalid_argument"


def test_a_bad_request_does_not_fail_the_good_ones_of_its_batch(triton, user):
    async def both():
        async with AsyncRekiClient(ServingSettings(recommend_deadline_s=60), triton.grpc_url) as client:
            calls = [client.recommend("full", ["bad id"] if n % 2 else ITEMS[:5]) for n in range(40)]
            return await asyncio.gather(*calls, return_exceptions=True)

    for number, answer in enumerate(asyncio.run(both())):
        if number % 2:
            assert isinstance(answer, TerminalError)
        else:
            assert len(answer.scores) == 5


def test_session_events_change_the_answer_as_if_they_had_been_written(client, catalogue):
    recent = [(ITEMS[1], 5.0), (ITEMS[2], 1.0)]
    cold = client.recommend("session-user", ITEMS[:20], recent=recent)
    assert cold.user_fallback == UserFallback.UNKNOWN | UserFallback.NO_EXPECTATIONS | UserFallback.NO_SUMMARY
    assert cold.events_since_knowledge == 2
    experienced = np.stack([catalogue.vec[ITEMS[1]], catalogue.vec[ITEMS[2]]])
    np.testing.assert_allclose(cold.scores, direct(catalogue, ITEMS[:20], experienced), atol=1e-5)
    assert client.recommend("session-user", ITEMS[:20]).user_fallback == UserFallback.UNKNOWN | NOTHING


def test_a_users_damaged_rows_do_not_fail_the_other_requests_of_the_batch(triton, catalogue, user):
    """A history without statistics, whose session divided by zero, and a key of another type."""
    catalogue.history("no-stats", [ITEMS[1]], [5.0], rev=1)
    wrong = catalogue.keys.row_key("user", "wrong-type-user")
    catalogue.client.set(wrong, b"x")
    recent = [(ITEMS[1], 4.0)]

    async def together():
        async with AsyncRekiClient(ServingSettings(recommend_deadline_s=60), triton.grpc_url) as client:
            calls = [
                client.recommend(user_id, ITEMS[:5], recent=recent if user_id == "no-stats" else ())
                for user_id in ["no-stats", "wrong-type-user", "full"] * 8
            ]
            return await asyncio.gather(*calls)

    try:
        answers = asyncio.run(together())
    finally:
        catalogue.client.delete(wrong)
    experienced = np.stack([catalogue.vec[ITEMS[1]], np.zeros((9, 16), np.float32)])
    for no_stats, wrong_type, full in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
        np.testing.assert_allclose(no_stats.scores, direct(catalogue, ITEMS[:5], experienced), atol=1e-5)
        assert not no_stats.user_fallback & UserFallback.NO_EXPERIENCED
        assert wrong_type.user_fallback == UserFallback.UNKNOWN | NOTHING
        assert full.user_fallback == 0


def test_an_explanation_names_what_each_part_added(client, user):
    answer = client.recommend("full", ITEMS[:4], explain=True)
    told = json.loads(answer.explanation)
    assert set(told) == {"history", "experienced", "expected", "summary"}
    logits = np.log(answer.scores / (1 - answer.scores))
    np.testing.assert_allclose(np.add(told["experienced"], told["expected"]), logits, atol=1e-3)


def test_a_new_item_vector_is_served_after_the_caches_time_to_live(client, catalogue, user):
    assert client.recommend("full", ["late"]).item_fallback[0] & ItemFallback.NO_VECTOR
    catalogue.item("late")
    deadline = time.monotonic() + 10
    while client.recommend("full", ["late"]).item_fallback[0] & ItemFallback.NO_VECTOR:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_while_the_store_is_down_callers_get_a_clear_error_and_then_answers_again(client, online_store, user, triton):
    before = client.recommend("full", ITEMS[:10])
    online_store.stop()
    try:
        with pytest.raises(TransientError, match=r"the online store at .* does not answer") as error:
            client.recommend("full", ITEMS[:10])
        assert error.value.reason == "unavailable"
        assert "does not answer" in probe(triton.http_url)
        with pytest.raises(TerminalError):  # bad requests are still told apart
            client.recommend("not an id", ITEMS[:10])
    finally:
        online_store.start()
    assert client.recommend("full", ITEMS[:10]).scores.tolist() == before.scores.tolist()
    assert probe(triton.http_url) is None


def test_a_deadline_that_passes_is_told_apart_from_a_server_that_is_gone(client):
    with pytest.raises(TransientError) as late:
        client.recommend("full", ITEMS * 10, deadline_s=0.0005)
    with RekiClient(url="127.0.0.1:9") as nowhere, pytest.raises(TransientError) as gone:
        nowhere.recommend("full", ITEMS[:1])
    assert (late.value.reason, gone.value.reason) == ("deadline", "unavailable")


def test_more_requests_than_allowed_are_refused_in_the_caller(triton):
    async def burst():
        settings = ServingSettings(recommend_in_flight=2, recommend_deadline_s=30)
        async with AsyncRekiClient(settings, triton.grpc_url) as client:
            calls = [client.recommend("full", ITEMS[:5]) for _ in range(6)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            again = await client.recommend("full", ITEMS[:5])
        return answers, again

    answers, again = asyncio.run(burst())
    refused = [answer for answer in answers if isinstance(answer, TransientError)]
    assert [error.reason for error in refused] == ["overloaded"] * 4
    assert len(again.scores) == 5
