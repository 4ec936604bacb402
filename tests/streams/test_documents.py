"""docs/events.md says what the code does."""

import json
import re

import pytest

from knowledge.base import BehaviorEvent
from knowledge.scenario import load_scenario
from reki.paths import ROOT
from streams.control import parse_roll_out
from streams.events import parse_event
from streams.settings import StreamSettings
from streams.topics import DAY_MS, topic_table

PAGE = (ROOT / "docs" / "events.md").read_text("utf-8")


def blocks(kind):
    return re.findall(rf"```json {kind}\n(.*?)```", PAGE, re.S)


def test_the_topic_table_is_the_one_that_is_created():
    for topic in topic_table("reki", StreamSettings()):
        days = (topic.retention_ms or 0) // DAY_MS
        kept = "\u2013" if not days else f"{days} day{'s' * (days > 1)}"
        row = f"| `{topic.name}` | {topic.key} | {topic.cleanup} | {kept} | {topic.partitions} | {topic.about} |"
        assert row in PAGE


def test_the_schema_is_the_one_that_is_checked():
    (schema,) = blocks("schema")
    assert json.loads(schema) == BehaviorEvent.model_json_schema()


@pytest.mark.parametrize("example", blocks("example"))
def test_the_examples_are_accepted_as_they_stand(example):
    event = parse_event(json.loads(example)["user_id"].encode(), example.encode())
    assert load_scenario("films").outcome(event.action, event.value)


def test_the_roll_out_record_is_readable():
    assert parse_roll_out(blocks("rollout")[0].encode()).open
