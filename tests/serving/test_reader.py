"""The fast reader against Feast itself, and against a store that goes away."""

import socket
import threading
import time

import numpy as np
import pytest

from feature_repo import schema
from knowledge.base import TerminalError
from serving.connection import StoreConnection, StoreUnavailable
from serving.layout import ITEM_FEATURES, USER_FEATURES, feast_layout
from serving.layout_probe import verify_layout
from serving.reader import ITEM_NOT_IN_VOCABULARY, ITEM_OTHER_RELEASE, ITEM_UNKNOWN, StoreReader
from serving.store_layout import StoreLayout
from tests.serving.world import ITEMS, RELEASE

pytestmark = pytest.mark.services

VOCABULARY = {item_id.encode(): 2 + number for number, item_id in enumerate(ITEMS[:190])}


@pytest.fixture(scope="session")
def layout(catalogue):
    return feast_layout(catalogue.keys, "blue")


@pytest.fixture
def reader(layout, catalogue):
    made = StoreReader(layout, StoreConnection(catalogue.settings.redis_url, 2.0), RELEASE, VOCABULARY, 1000, 30)
    yield made
    made.close()


def through_feast(store, join_key, entity_id, views):
    asked = {f"{view.physical('blue')}:{view.feature(name, 'blue')}": name for view in views for name in views[view]}
    answer = store.get_online_features(list(asked), [{join_key: entity_id}]).to_dict()
    return {name: answer[full.partition(":")[2]][0] for full, name in asked.items()}


def floats(value):
    return None if value is None else np.asarray(value, np.float32).tobytes()


def assert_equals_feast(reader, store, user_id, item_id):
    read = reader.read([user_id.encode()], [[item_id.encode()]])
    user, row = read.users[0], read.rows([item_id.encode()])[0]
    feast = through_feast(store, "user_id", user_id, USER_FEATURES)
    assert [one.decode() for one in user.history] == (feast["history_item_ids"] or [])
    assert user.history_values.tobytes() == (floats(feast["history_values"]) or b"")
    assert user.history_written_us == feast["history_written_at"]
    assert floats(user.experienced) == floats(feast["experienced_vec"])
    assert floats(user.stats) == floats(feast["experienced_stats"])
    assert user.experienced_release == (feast["experienced_release"] or "")
    assert floats(user.expected) == floats(feast["expected_vec"])
    assert floats(user.anchors) == floats(feast["expected_anchors"])
    assert floats(user.summary) == floats(feast["expected_summary"])
    assert user.expected_source == (feast["expected_source"] or "")
    assert user.expected_written_us == feast["expected_written_at"]
    feast = through_feast(store, "item_id", item_id, ITEM_FEATURES)
    assert (feast["item_vec"] is None) == bool(read.items.bits[row] & ITEM_UNKNOWN)
    if feast["item_vec"] is not None:
        assert read.items.vec[row].tobytes() == floats(feast["item_vec"])
        assert read.items.summary[row].tobytes() == floats(feast["item_summary"])


@pytest.mark.parametrize("seed", range(8))
def test_random_rows_read_bit_for_bit_as_feast_reads_them(seed, reader, catalogue, feast_store):
    draw = np.random.default_rng(seed)
    user_id, item_id = f"random:{seed}", f"random-item:{seed}" + "x" * int(draw.integers(0, 80))
    if seed % 4:  # some have no history, no vectors, no item
        count = int(draw.integers(0, 51))
        catalogue.history(user_id, [f"i{n}" for n in range(count)], draw.standard_normal(count), rev=seed)
    if seed % 3:
        catalogue.experienced(user_id, catalogue.numbers(2, 9, 16), catalogue.numbers(4), rev=seed)
    if seed % 2:
        catalogue.expected(user_id, rev=seed, source="ä|ö|1")
    if seed != 5:
        catalogue.item(item_id)
    assert_equals_feast(reader, feast_store, user_id, item_id)


def test_rows_written_by_plain_feast_are_read_alike(reader, catalogue, feast_store):
    import pandas as pd

    vec, summary, now = catalogue.numbers(144), catalogue.numbers(32), pd.Timestamp.now(tz="UTC")
    frame = pd.DataFrame(
        {
            "item_id": ["plain-feast"],
            "item_vec_blue": [vec.tolist()],
            "item_summary_blue": [summary.tolist()],
            "item_release_blue": [RELEASE],
            "event_timestamp": [now],
            "created_timestamp": [now],
        }
    )
    feast_store.write_to_online_store("item_vector_blue", frame)
    assert_equals_feast(reader, feast_store, "nobody", "plain-feast")
    read = reader.read([b"nobody"], [[b"plain-feast"]])
    assert read.items.vec[1].tobytes() == vec.tobytes()


def test_a_batch_gives_every_user_their_own_row_and_history(reader, catalogue):
    for number in range(20):
        catalogue.history(f"many:{number}", [ITEMS[number], ITEMS[number + 1]], [number, 1.0], rev=number + 1)
    users = [f"many:{number}".encode() for number in range(20)]
    candidates = [[ITEMS[50 + number].encode()] for number in range(20)]
    for _ in ("cold", "warm"):
        read = reader.read(users, candidates)
        for number, user in enumerate(read.users):
            assert user.rev == number + 1
            assert user.history == [ITEMS[number].encode(), ITEMS[number + 1].encode()]
            for item_id in (*user.history, *candidates[number]):
                row = read.row[item_id]
                assert np.array_equal(read.items.vec[row], catalogue.vec[item_id.decode()].reshape(-1))
                assert read.items.index[row] == VOCABULARY[item_id]


def test_item_bits_say_what_is_missing(reader, catalogue):
    catalogue.item("other-release", release="ffffffffffff")
    read = reader.read([b"nobody"], [[b"other-release", b"never-written", ITEMS[195].encode(), ITEMS[0].encode()]])
    assert read.items.bits[1:5].tolist() == [
        ITEM_OTHER_RELEASE | ITEM_NOT_IN_VOCABULARY,
        ITEM_UNKNOWN | ITEM_NOT_IN_VOCABULARY,
        ITEM_NOT_IN_VOCABULARY,
        0,
    ]
    assert not read.items.vec[1:3].any()
    assert not read.items.vec[0].any()  # padding


def test_a_warm_cache_asks_the_store_for_nothing_but_the_user(layout, catalogue):
    sent = []

    class Counting(StoreConnection):
        def call(self, commands):
            sent.append(len(commands))
            return super().call(commands)

    reader = StoreReader(layout, Counting(catalogue.settings.redis_url, 2.0), RELEASE, VOCABULARY, 1000, 30)
    catalogue.history("warm", ITEMS[100:150], [3.0] * 50, rev=50)
    candidates = [item_id.encode() for item_id in ITEMS[:100]]
    reader.read([b"warm"], [candidates])
    assert sent == [101, 50]
    reader.read([b"warm"], [candidates])
    assert sent[2:] == [1]
    reader.close()


def test_the_probe_fails_if_one_field_name_is_not_feasts(layout, catalogue, feast_store):
    verify_layout(layout, catalogue.client, catalogue.settings.redis_url, feast_store)
    data = layout.to_json()
    data["fields"]["user"]["experienced_vec"] = data["fields"]["user"]["expected_vec"]
    wrong = StoreLayout.from_json(data)
    with pytest.raises(TerminalError, match="feature experienced_vec of the probe row") as error:
        verify_layout(wrong, catalogue.client, catalogue.settings.redis_url, feast_store)
    assert error.value.reason == "layout_mismatch"
    assert not list(catalogue.client.scan_iter(match="*layout-probe*"))


def test_the_key_template_equals_feasts_own_key_for_every_length_of_id(layout, catalogue):
    for size in range(1, 101):
        entity_id = ("aZ9_.:@-" * 13)[:size]
        for entity in ("user", "item"):
            assert layout.key(entity, entity_id.encode()) == catalogue.keys.row_key(entity, entity_id)


def test_a_restarted_store_is_read_on_a_new_socket_without_an_error(reader, online_store):
    reader.read([b"nobody"], [[ITEMS[0].encode()]])
    online_store.stop()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            reader.read([b"nobody"], [[ITEMS[1].encode()]])
    finally:
        online_store.start()
    assert reader.read([b"nobody"], [[ITEMS[1].encode()]]).items.bits[1] == 0
    online_store.stop()
    online_store.start()
    assert reader.read([b"nobody"], [[ITEMS[2].encode()]]).items.bits[1] == 0  # the stale socket is not an error


def test_a_store_that_does_not_answer_fails_at_the_deadline_not_later():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        connection = StoreConnection(f"redis://127.0.0.1:{port}/0", deadline_s=0.2)
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable):
            connection.call([b"*1\r\n$4\r\nPING\r\n"])
        assert 0.15 < time.monotonic() - begin < 1.0


def test_a_refused_command_is_an_error_and_the_next_call_does_not_see_its_leftovers(catalogue):
    connection = StoreConnection(catalogue.settings.redis_url, 2.0)
    ping, wrong = b"*1\r\n$4\r\nPING\r\n", b"*1\r\n$6\r\nNOTACM\r\n"
    with pytest.raises(StoreUnavailable, match="refused a read"):
        connection.call([wrong, ping, ping])
    assert connection.call([ping]) == [b"PONG"]
    connection.close()


@pytest.mark.parametrize("digits", [b"9" * 400, b"9" * 5000, b"1" + b"0" * 11, b"2147483648", b"-5", b"x"])
def test_an_odd_revision_counts_as_none_and_does_not_fail_the_read(digits, reader, layout, catalogue):
    catalogue.history("odd-rev", [ITEMS[0]], [4.0], rev=7)
    catalogue.history("good-rev", [ITEMS[0]], [4.0], rev=2**31 - 1)
    key = catalogue.keys.row_key("user", "odd-rev")
    catalogue.client.hset(key, layout.fields["user"]["rev:user_history"], digits)
    try:
        odd, good = reader.read([b"odd-rev", b"good-rev"], [[], []]).users
    finally:
        catalogue.client.delete(key, catalogue.keys.row_key("user", "good-rev"))
    assert odd.rev == 0
    assert odd.history == [ITEMS[0].encode()]
    assert good.rev == 2**31 - 1


def test_a_key_of_another_type_reads_as_absent_and_the_rest_of_the_batch_goes_on(reader, catalogue):
    catalogue.history("good-type", [ITEMS[0]], [4.0], rev=1)
    user, item = catalogue.keys.row_key("user", "wrong-type"), catalogue.keys.row_key("item", "wrong-type")
    catalogue.client.set(user, b"x")
    catalogue.client.rpush(item, b"x")
    try:
        read = reader.read([b"wrong-type", b"good-type"], [[b"wrong-type", ITEMS[1].encode()], [b"wrong-type"]])
    finally:
        catalogue.client.delete(user, item)
    assert [one.known for one in read.users] == [False, True]
    assert [one.history for one in read.users] == [[], [ITEMS[0].encode()]]
    assert read.items.bits[read.row[b"wrong-type"]] == ITEM_UNKNOWN | ITEM_NOT_IN_VOCABULARY
    assert read.items.bits[read.row[ITEMS[1].encode()]] == 0


def test_password_and_database_of_the_address_are_used(catalogue):
    client = catalogue.client
    client.execute_command("ACL", "SETUSER", "ranker", "on", ">pass word", "~*", "+@all")
    try:
        port = catalogue.settings.redis_url.rsplit(":", 1)[1].split("/")[0]
        good = StoreConnection(f"redis://ranker:pass%20word@127.0.0.1:{port}/3", 2.0)
        good.call([b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\n1\r\n"])
        assert client.get("x") is None  # it went to database 3
        good.call([b"*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n"])
        good.close()
        with pytest.raises(StoreUnavailable, match="refused"):
            StoreConnection(f"redis://ranker:wrong@127.0.0.1:{port}/0", 2.0).call([b"*1\r\n$4\r\nPING\r\n"])
    finally:
        client.execute_command("ACL", "DELUSER", "ranker")


def test_a_large_pipeline_does_not_deadlock_with_its_own_replies(reader, catalogue):
    done = []

    def read():
        ids = [f"absent:{number}".encode() for number in range(30_000)]
        done.append(len(reader.read([b"nobody"], [ids]).row))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(20)
    assert done == [30_001]


def test_every_feature_of_the_layout_exists_in_the_schema():
    for views in (USER_FEATURES, ITEM_FEATURES):
        for view, names in views.items():
            assert set(names) <= {feature.name for feature in view.features}
    assert schema.HISTORY <= schema.RING
