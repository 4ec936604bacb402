"""Keys and hash fields: Feast's own, and in one cluster slot with the user's state."""

import pytest
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.helpers import _mmh3
from redis.crc import key_slot

from feature_repo.keys import Keys
from knowledge.base import TerminalError

LONGEST = "x" * 100


@pytest.mark.parametrize("user_id", ["1", "a:b@c.d-e_f", LONGEST])
def test_a_users_state_shares_the_cluster_slot_of_the_features(user_id):
    keys = Keys("reki")
    assert key_slot(keys.state_key(user_id)) == key_slot(keys.row_key("user", user_id))


def test_the_key_is_feasts_own():
    key = Keys("reki").row_key("item", "42")
    parsed = deserialize_entity_key(key.removesuffix(b"reki"), 3)
    assert (list(parsed.join_keys), parsed.entity_values[0].string_val) == (["item_id"], "42")


def test_users_items_and_projects_do_not_meet():
    rows = {Keys(project).row_key(entity, "1") for project in ("reki", "rekj") for entity in ("user", "item")}
    assert len(rows) == 4


@pytest.mark.parametrize("bad", ["", "a}b", "{", "a b", "é", "x" * 101])
def test_an_id_that_would_break_a_key_is_refused(bad):
    with pytest.raises(TerminalError, match="is not an id"):
        Keys("reki").row_key("user", bad)


def test_fields_are_feasts_hash_of_view_and_feature():
    assert Keys.field("user_history", "history_rev") == _mmh3("user_history:history_rev")
    assert Keys("reki").row_key("user", "77").startswith(Keys("reki").prefix("user"))
