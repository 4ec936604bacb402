"""What `feast apply` puts into the registry: entities, views, push sources, services and permissions.

The names, types and widths stand in `feature_repo.schema`; paths and the active slot in the generated
feature_store.yaml beside this file. The one module of this folder that Feast imports.
"""

from pathlib import Path
from typing import Any

import yaml
from feast import Entity, FeatureService, FeatureView, Field, Project, PushSource, ValueType
from feast.data_source import DataSource
from feast.permissions.action import READ, WRITE, AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.types import Array, FeastType, Float32, Int64, String

from feature_repo import schema
from feature_repo.lance_source import ViewSource
from feature_repo.offline import OfflineBuffer

_CONFIG = yaml.safe_load(Path(__file__).with_name("feature_store.yaml").read_text())
_ACTIVE = _CONFIG["reki"]["active_slot"]
_OFFLINE = OfflineBuffer(Path(_CONFIG["offline_store"]["folder"]))
_OFFLINE.create()  # Feast looks at the data sets' schemas when it applies

_TYPES: dict[schema.Kind, FeastType] = {
    schema.Kind.STRING: String,
    schema.Kind.INT: Int64,
    schema.Kind.STRINGS: Array(String),
    schema.Kind.FLOATS: Array(Float32),
}

project = Project(
    name=_CONFIG["project"],
    description="REKI: knowledge from an LLM as features, kept fresh by streams",
)
user = Entity(name="user", join_keys=[schema.JOIN_KEYS["user"]], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=[schema.JOIN_KEYS["item"]], value_type=ValueType.STRING)


def _view(view: schema.View, slot: str | None = None) -> FeatureView:
    name = view.physical(slot)
    entity = {"user": user, "item": item}[view.entity]
    source = PushSource(
        name=f"{name}_push",
        batch_source=ViewSource(
            name=f"{name}_rows",
            uri=str(_OFFLINE.path(name)),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
    )
    features = [
        Field(
            name=view.feature(feature.name, slot),
            dtype=_TYPES[feature.kind],
            description=feature.about,
            vector_length=feature.width or 0,
        )
        for feature in view.features
    ]
    tags = {"writer": view.writer, "personal": str(view.personal).lower()}
    if slot is not None:
        tags |= {"slot": slot, "active": str(slot == _ACTIVE).lower()}
    # No TTL: Feast does not enforce one online; readers check the age themselves and report it.
    return FeatureView(
        name=name,
        entities=[entity],
        schema=[Field(name=schema.JOIN_KEYS[view.entity], dtype=String), *features],
        source=source,
        online=True,
        tags=tags,
    )


user_history = _view(schema.USER_HISTORY)
user_experienced_blue = _view(schema.USER_EXPERIENCED, "blue")
user_experienced_green = _view(schema.USER_EXPERIENCED, "green")
user_knowledge = _view(schema.USER_KNOWLEDGE)
user_expected_blue = _view(schema.USER_EXPECTED, "blue")
user_expected_green = _view(schema.USER_EXPECTED, "green")
item_profile = _view(schema.ITEM_PROFILE)
item_knowledge = _view(schema.ITEM_KNOWLEDGE)
item_vector_blue = _view(schema.ITEM_VECTOR, "blue")
item_vector_green = _view(schema.ITEM_VECTOR, "green")

ranking = FeatureService(
    name="ranking",
    description=f"What the ranker of the active slot ({_ACTIVE}) reads; applied again at a roll-out",
    features=[
        user_history,
        {"blue": user_experienced_blue, "green": user_experienced_green}[_ACTIVE],
        {"blue": user_expected_blue, "green": user_expected_green}[_ACTIVE],
        {"blue": item_vector_blue, "green": item_vector_green}[_ACTIVE],
    ],
)
knowledge = FeatureService(
    name="knowledge",
    description="Texts: what is known about a user (inferred personal data) and an item",
    features=[user_knowledge, item_profile, item_knowledge],
)

# As soon as one Permission exists, Feast's servers deny what none of them allows. Roles come from the login (OIDC or
# Kubernetes) that `auth` in feature_store.yaml names; without one, whoever reaches a store may read it.
_PERSONAL = [view.name for view in schema.VIEWS if view.personal] + [knowledge.name]
_READABLE: list[Any] = [FeatureView, FeatureService]  # Any: Feast annotates types as instances
_WRITABLE: list[Any] = [FeatureView, DataSource]
_OPEN = f"(?!({'|'.join(_PERSONAL)})$).*"

describe = Permission(
    name="describe",
    actions=[AuthzedAction.DESCRIBE],
    policy=RoleBasedPolicy(["reki_reader", "reki_personal", "reki_writer", "reki_admin"]),
)
read_features = Permission(
    name="read_features",
    types=_READABLE,
    name_patterns=[_OPEN],
    actions=READ,
    policy=RoleBasedPolicy(["reki_reader", "reki_personal", "reki_writer", "reki_admin"]),
)
read_personal = Permission(
    name="read_personal",
    types=_READABLE,
    name_patterns=_PERSONAL,
    actions=READ,
    policy=RoleBasedPolicy(["reki_personal", "reki_admin"]),
)
write_features = Permission(
    name="write_features",
    types=_WRITABLE,
    actions=WRITE,
    policy=RoleBasedPolicy(["reki_writer", "reki_admin"]),
)
manage = Permission(
    name="manage",
    actions=[AuthzedAction.CREATE, AuthzedAction.UPDATE, AuthzedAction.DELETE],
    policy=RoleBasedPolicy(["reki_admin"]),
)
