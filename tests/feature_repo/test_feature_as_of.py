"""The point-in-time join against a plain loop, and against Feast's own join."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import lance
import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.as_of import as_of, entity_times
from feature_repo.lance_scan import scan
from feature_repo.lance_source import ViewSource

START = datetime(2026, 1, 1, tzinfo=UTC)
IDS = st.sampled_from(["a", "b", "c"])
MICROS = st.integers(0, 6)
ROWS = st.lists(st.tuples(IDS, MICROS, st.integers(0, 3)), max_size=15)  # id, event time, created time
ASKED = st.lists(st.tuples(IDS, MICROS), min_size=1, max_size=12)


def at(micros):
    return START + timedelta(microseconds=micros)


def source_with(folder, rows):
    stamp = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "user_id": pa.array([entity for entity, _, _ in rows], pa.string()),
            "event_timestamp": pa.array([at(event) for _, event, _ in rows], stamp),
            "created_timestamp": pa.array([at(created) for _, _, created in rows], stamp),
            "vec": pa.array([[float(n), 1.0] for n in range(len(rows))], pa.list_(pa.float32(), 2)),
            "unasked": pa.array(["x"] * len(rows)),
        }
    )
    lance.write_dataset(table, str(folder), mode="overwrite")
    return ViewSource(
        name="rows",
        uri=str(folder),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


def view_over(source):
    projection = SimpleNamespace(name_to_use=lambda: "view", join_key_map={}, name_alias=None)
    return SimpleNamespace(
        name="view", batch_source=source, projection=projection, entity_columns=[SimpleNamespace(name="user_id")]
    )


def plain_loop(rows, asked):
    """Index of the row that was readable at the asked time: newest event time, then last created, then last."""
    answers = []
    for entity, moment in asked:
        fits = [
            (event, created, n) for n, (who, event, created) in enumerate(rows) if who == entity and event <= moment
        ]
        answers.append(max(fits)[2] if fits else None)
    return answers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ASKED)
def test_each_row_gets_what_was_readable_at_its_time(tmp_path, rows, asked):
    view = view_over(source_with(tmp_path / "rows.lance", rows))
    frame = pd.DataFrame(
        {
            "when": [at(moment) for _, moment in asked],
            "user_id": [entity for entity, _ in asked],
            "mine": list(range(len(asked))),
        }
    )
    frame.index = frame.index[::-1]  # a caller's index says nothing
    table = as_of(frame, "when", entity_times(frame, "when"), [view], ["view:vec"], full_feature_names=False)
    assert table.column_names == ["when", "user_id", "mine", "vec"]
    assert table["mine"].to_pylist() == list(range(len(asked)))  # rows keep their order
    found = [None if vec is None else int(vec[0]) for vec in table["vec"].to_pylist()]
    assert found == plain_loop(rows, asked)


def test_only_what_is_asked_for_leaves_lance(tmp_path):
    source = source_with(tmp_path / "rows.lance", [("a", 1, 1), ("a", 4, 4), ("b", 2, 2)])
    read = scan(source, ["user_id", "vec"], start=at(2), end=at(4), key="user_id", ids=["a"])
    assert read.column_names == ["user_id", "vec"]
    assert read["vec"].to_pylist() == [[1.0, 1.0]]
    assert pa.types.is_list(read["vec"].type)


def test_times_without_a_zone_count_as_utc_in_historical_reads():
    naive = pd.DataFrame({"when": [datetime(2026, 1, 1)]})
    assert entity_times(naive, "when")[0] == pd.Timestamp("2026-01-01", tz="UTC")
