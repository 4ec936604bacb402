"""Feast's duckdb offline store over Lance, made fit for vectors and for many rows.

Feast's own reads the whole data set on every call, joins every row of an entity with every version of its features,
and cannot append vectors to Lance. This thin subclass pushes columns, ids and the time range down into Lance, joins
as of a time in one sorted pass, and casts what is pushed to the data set's schema. Whatever it does not know (other
sources, TTLs, on-demand views, the creation-time cut-off) goes to Feast's code, with the push-down.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import ibis
import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.data_sources.contrib.lance.lance_source import LanceSource
from feast.infra.offline_stores import duckdb as feast_duckdb
from feast.infra.offline_stores import ibis as feast_ibis
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig

from feature_repo.as_of import as_of, entity_times
from feature_repo.lance_scan import append, scan

_TYPE = "feature_repo.lance_store.LanceOfflineStore"


class LanceOfflineStoreConfig(feast_duckdb.DuckDBOfflineStoreConfig):
    """Section `offline_store` of feature_store.yaml."""

    type: Literal["feature_repo.lance_store.LanceOfflineStore"] = _TYPE  # type: ignore[assignment]  # Feast's is str

    folder: str
    """Absolute folder of the Lance data sets, one per view."""


Reader = Callable[[DataSource, str], Any]


class LanceOfflineStore(feast_duckdb.DuckDBOfflineStore):
    """See the module; the methods are Feast's own interface."""

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Newest row per entity in a time range (used by `materialize`)."""
        columns = _columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        return feast_ibis.pull_latest_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(columns, start=start_date, end=end_date),
            data_source_writer=feast_duckdb._write_data_source,  # noqa: SLF001 - Feast offers no public one
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows in a time range."""
        columns = _columns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        return feast_ibis.pull_all_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(columns, start=start_date, end=end_date),
            data_source_writer=feast_duckdb._write_data_source,  # noqa: SLF001
        )

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Features as of each row's time (feature time <= row time); rows keep their order."""
        if not isinstance(entity_df, pd.DataFrame):
            raise ValueError("give entity_df as a pandas DataFrame: this offline store runs no SQL of its own")
        feast_duckdb._validate_lance_feature_views(feature_views)  # noqa: SLF001
        time_column = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        times = entity_times(entity_df, time_column)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        simple = all(isinstance(view.batch_source, LanceSource) and not view.ttl for view in feature_views)
        if on_demand or filter_by_created_timestamp or not simple:
            return feast_ibis.get_historical_features_ibis(
                config=config,
                feature_views=feature_views,
                feature_refs=feature_refs,
                entity_df=entity_df,
                registry=registry,
                project=project,
                full_feature_names=full_feature_names,
                data_source_reader=_reader(None, end=times.max().to_pydatetime() if len(times) else None),
                data_source_writer=feast_duckdb._write_data_source,  # noqa: SLF001
                filter_by_created_timestamp=filter_by_created_timestamp,
            )
        joined = as_of(entity_df, time_column, times, feature_views, feature_refs, full_feature_names)
        return feast_ibis.IbisRetrievalJob(
            ibis.memtable(joined),
            [],
            full_feature_names,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[column for column in entity_df.columns if column != time_column],
                min_event_timestamp=times.min().to_pydatetime() if len(times) else None,
                max_event_timestamp=times.max().to_pydatetime() if len(times) else None,
            ),
            data_source_writer=feast_duckdb._write_data_source,  # noqa: SLF001
            staging_location=None,
            staging_location_endpoint_override=None,
            repo_path=str(config.repo_path),
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Append what another team pushed. Raises ValueError for what could not be read back as it was meant."""
        source = feature_view.batch_source
        if not isinstance(source, LanceSource):
            feast_duckdb.DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)
            return
        source.assert_writable()
        append(source, table)
        if progress is not None:
            progress(len(table))


def _columns(keys: list[str], features: list[str], time: str, created: str | None) -> list[str]:
    return [*keys, *features, time, *([created] if created else [])]


def _reader(columns: list[str] | None, start: datetime | None = None, end: datetime | None = None) -> Reader:
    def read(source: DataSource, repo_path: str) -> Any:  # noqa: ANN401 - an ibis table
        if not isinstance(source, LanceSource):
            return feast_duckdb._read_data_source(source, repo_path)  # noqa: SLF001
        return ibis.memtable(scan(source, columns, start=start, end=end))

    return read
