"""Feast's Lance source, with the columns that only our writer fills kept out of other teams' sight."""

from collections.abc import Iterable
from typing import Any

from feast.infra.data_sources.contrib.lance.lance_source import LanceSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig

# What the offline rows carry beside Feast's columns; null in rows that another team pushed.
BOOKKEEPING = ("source_rev", "epoch", "write_id", "release", "written_at", "state_json")

_CLASS = "feature_repo.lance_source.ViewSource"


class ViewSource(LanceSource):
    """A Lance data set of ours. `store.push(..., to=PushMode.ONLINE_AND_OFFLINE)` needs Feast's columns alone."""

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Feast's columns: join key, times and features."""
        columns = super().get_table_column_names_and_types(config)
        return [(name, kind) for name, kind in columns if name not in BOOKKEEPING]

    def _to_proto_impl(self) -> DataSourceProto:
        proto = super()._to_proto_impl()
        proto.data_source_class_type = _CLASS
        return proto

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "ViewSource":
        """Rebuild the source as Feast's registry stored it."""
        plain: Any = LanceSource.from_proto(data_source)
        return ViewSource(
            name=plain.name,
            uri=plain.uri,
            timestamp_field=plain.timestamp_field,
            created_timestamp_column=plain.created_timestamp_column,
            storage_options=plain.storage_options,
            table_format=plain.table_format,
            field_mapping=plain.field_mapping,
            description=plain.description,
            tags=plain.tags,
            owner=plain.owner,
        )
