"""Claims on a person are taken out, tastes stay: sentences of `sensitive.jsonl`, both ways.

Rules were written and mended against the sentences of set "tuned"; set "held out" was written after them and is not
used to mend anything, so its figures are what to expect of unseen wordings. They stand in docs/knowledge-inside.md.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.sensitive import TOPICS, sensitive_topic, without_sensitive

ROWS = [json.loads(line) for line in (Path(__file__).parent / "sensitive.jsonl").read_text().splitlines()]


def figures(name):
    """(precision, recall) over one set."""
    rows = [(row["topic"] is not None, sensitive_topic(row["text"]) is not None) for row in ROWS if row["set"] == name]
    hits = sum(told and found for told, found in rows)
    return round(hits / sum(found for _, found in rows), 2), round(hits / sum(told for told, _ in rows), 2)


def test_the_set_is_large_and_goes_both_ways():
    assert len(ROWS) == 351
    for name in ("tuned", "held out"):
        assert sum(row["topic"] is None for row in ROWS if row["set"] == name) >= 30
        assert {row["topic"] for row in ROWS if row["set"] == name} == {None, *TOPICS}


@pytest.mark.parametrize(("name", "precision", "recall"), [("tuned", 1.0, 0.96), ("held out", 1.0, 0.5)])
def test_precision_and_recall_are_what_the_docs_say(name, precision, recall):
    assert figures(name) == (precision, recall)


def test_only_the_sentence_that_claims_something_is_dropped():
    text = "Loves quiet dramas. Suffers from depression. Long takes suit."
    assert without_sensitive(text) == ("Loves quiet dramas. Long takes suit.", {"health": 1})


def test_a_text_of_claims_alone_is_left_blank():
    assert without_sensitive("Is gay. Votes Republican.") == ("", {"orientation": 1, "politics": 1})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=160))
def test_a_text_without_claims_stays_word_for_word_whatever_it_is(text):
    left, found = without_sensitive(text)
    assert found or left == text


def test_a_long_text_made_to_be_slow_is_not():
    for text in ("a " * 80, "is " * 53, "he is a " * 20, "suggesting " * 14, "of the same " * 13):
        without_sensitive(text)
