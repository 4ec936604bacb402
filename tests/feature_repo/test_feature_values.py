"""What may become a feature, and how Feast would store it."""

import numpy as np
import pytest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from feature_rows import expected, experienced, history, item_vector, knowledge
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.records import FeatureRow
from feature_repo.schema import Kind
from feature_repo.values import check_row, decode, encode, physical_values
from knowledge.base import TerminalError

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60)


def changed(row, **values):
    return FeatureRow(row.view, {**row.values, **values}, row.source_rev, row.release, row.generation, row.slot)


@pytest.mark.parametrize(
    ("row", "entity", "says"),
    [
        (changed(experienced(1), experienced_stats=[1, 2, 3]), "user", "must have 4 numbers, not 3"),
        (changed(experienced(1), experienced_stats=[[1, 2, 3, 4]]), "user", "must be flat"),
        (changed(experienced(1), experienced_stats=[1, 2, 3, float("nan")]), "user", "not finite"),
        (changed(experienced(1), experienced_stats=[1, 2, 3, float("-inf")]), "user", "not finite"),
        (changed(experienced(1), experienced_stats=[1, 2, 3, 1e39]), "user", "not finite"),  # beyond float32
        (changed(experienced(1), experienced_stats=["a", 2, 3, 4]), "user", "must be numbers"),
        (changed(experienced(1), experienced_stats="1234"), "user", "must be a list"),
        (changed(experienced(1), experienced_stats=None), "user", "lacks feature experienced_stats"),
        (changed(history(1), history_item_ids=["a", 1]), "user", "strings"),
        (changed(history(1), history_item_ids=["a"] * 1001), "user", "at most 1000"),
        (changed(history(1), history_values=[1.0] * 1001), "user", "at most 1000"),
        (changed(history(1), history_through=1.5), "user", "whole number"),
        (changed(history(1), history_through=True), "user", "whole number"),
        (changed(history(1), history_through=2**63), "user", "whole number"),
        (changed(history(1), nonsense=1), "user", "has no feature"),
        (changed(history(1), history_rev=2), "user", "the row's own is 1"),
        (changed(expected(1), expected_release="r2"), "user", "the row's own is 'r1'"),
        (changed(knowledge(1), knowledge_mode="\ud800"), "user", "not valid text"),
        (changed(knowledge(1), knowledge_mode="x" * 65_537), "user", "at most 65536"),
        (changed(knowledge(1), knowledge_mode=b"x"), "user", "must be a string"),
        (FeatureRow("user_history", history(1).values, -1), "user", "source_rev"),
        (FeatureRow("user_history", history(1).values, 1, generation=-1), "user", "generation"),
        (FeatureRow("user_history", history(1).values, 1.0), "user", "source_rev"),
        (FeatureRow("user_history", history(1).values, 1, slot="blue"), "user", "has no slots"),
        (FeatureRow("item_vector", item_vector(1).values, 0), "item", "needs a slot"),
        (history(1), "item", "belongs to entity user"),
        (FeatureRow("no_such_view", {}, 0), "user", "no view"),
    ],
)
def test_a_bad_row_is_refused_with_what_is_wrong_with_it(row, entity, says):
    with pytest.raises(TerminalError, match=says) as refused:
        check_row(row, entity, written_at=7)
    assert refused.value.reason == "bad_row"


def test_rev_release_and_wall_clock_are_filled_in():
    checked = check_row(experienced(3), "user", written_at=7)
    assert (checked["experienced_rev"], checked["experienced_release"], checked["experienced_written_at"]) == (
        3,
        "r1",
        7,
    )


def test_slot_features_carry_their_slot():
    row = experienced(3, slot="green")
    assert set(physical_values(row, check_row(row, "user", 7))) == {
        f"experienced_{name}_green" for name in ("vec", "stats", "rev", "release", "written_at")
    }


@given(FLOATS)
def test_floats_are_stored_as_feast_stores_them(values):
    array = np.asarray(values, np.float32)
    (feast,) = python_values_to_proto_values([array.tolist()], ValueType.FLOAT_LIST)
    if values:  # of an empty list Feast itself makes a null
        assert encode(Kind.FLOATS, array) == feast.SerializeToString()
    back = decode(Kind.FLOATS, encode(Kind.FLOATS, array))
    assert back.dtype == np.float32
    assert back.tobytes() == array.tobytes()


@given(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1), st.lists(st.text(max_size=9), min_size=1, max_size=9))
def test_texts_and_numbers_are_stored_as_feast_stores_them(text, number, texts):
    for kind, value, feast_type in (
        (Kind.STRING, text, ValueType.STRING),
        (Kind.INT, number, ValueType.INT64),
        (Kind.STRINGS, texts, ValueType.STRING_LIST),
    ):
        (feast,) = python_values_to_proto_values([value], feast_type)
        assert encode(kind, value) == feast.SerializeToString()
        assert decode(kind, encode(kind, value)) == value


def test_a_field_of_another_kind_reads_as_nothing():
    assert decode(Kind.INT, encode(Kind.STRING, "1")) is None
    assert decode(Kind.FLOATS, None) is None
