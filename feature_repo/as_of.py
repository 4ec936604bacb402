"""The point-in-time join: for each row the newest feature row at or before its time."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.data_sources.contrib.lance.lance_source import LanceSource

from feature_repo.lance_scan import scan


def entity_times(entity_df: pd.DataFrame, time_column: str) -> pd.Series:
    """The rows' times in UTC, µs; a time without a zone counts as UTC, as everywhere in Feast's historical reads."""
    return pd.to_datetime(entity_df[time_column], utc=True).dt.as_unit("us")


def as_of(
    entity_df: pd.DataFrame,
    time_column: str,
    times: pd.Series,
    views: Sequence[FeatureView],
    feature_refs: Sequence[str],
    full_feature_names: bool,
) -> pa.Table:
    """`entity_df` with the requested features beside it, in its own row order; no match gives nulls.

    Of several rows with one event time the last created counts. Memory: the requested columns of the matching
    entities' rows, and of the result.
    """
    frame = entity_df.reset_index(drop=True).copy()
    frame[time_column] = times.to_numpy()
    frame[time_column] = pd.to_datetime(frame[time_column], utc=True)
    result = pa.Table.from_pandas(frame, preserve_index=False)
    for view in views:
        source = view.batch_source
        if not isinstance(source, LanceSource):
            raise TypeError(f"view {view.name} is not over Lance")
        prefix = str(view.projection.name_to_use())  # type: ignore[no-untyped-call] # Feast is partly untyped
        features = [ref.split(":")[1] for ref in feature_refs if ref.startswith(f"{prefix}:")]
        key_map = view.projection.join_key_map or {column.name: column.name for column in view.entity_columns}
        ((key, entity_column),) = key_map.items()
        ids = frame[entity_column].astype(str)
        columns = [key, source.timestamp_field, *features]
        if source.created_timestamp_column:
            columns.append(source.created_timestamp_column)
        end = times.max().to_pydatetime() if len(times) else None
        rows = scan(source, list(dict.fromkeys(columns)), end=end, key=key, ids=ids.unique().tolist())
        positions = _positions(rows, key, source.timestamp_field, source.created_timestamp_column, ids, times)
        name = view.projection.name_alias or view.name
        for feature in features:
            label = f"{name}__{feature}" if full_feature_names else feature
            result = result.append_column(label, rows.column(feature).take(positions))
    return result


def _positions(
    rows: pa.Table,
    key: str,
    time_field: str,
    created_field: str | None,
    ids: pd.Series,
    times: pd.Series,
) -> pa.Array:
    """For each entity row the index of its feature row; null where there is none."""
    right = pd.DataFrame(
        {
            "id": rows.column(key).to_pandas().astype(str),
            "at": pd.to_datetime(rows.column(time_field).to_pandas(), utc=True).dt.as_unit("us"),
            "created": rows.column(created_field).to_pandas() if created_field else 0,
            "position": range(len(rows)),
        }
    ).sort_values(["at", "created", "position"])
    left = pd.DataFrame({"id": ids.to_numpy(), "at": times.to_numpy(), "row": range(len(ids))})
    left["at"] = pd.to_datetime(left["at"], utc=True).dt.as_unit("us")
    # Of equal times merge_asof takes the last in order: the last created.
    matched = pd.merge_asof(
        left.sort_values("at", kind="stable"), right.drop(columns="created"), on="at", by="id"
    ).sort_values("row")
    return pa.array(matched["position"].to_numpy(), pa.int64(), from_pandas=True)
