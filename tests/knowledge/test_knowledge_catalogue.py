import json

import pytest

from knowledge.base import TerminalError
from knowledge.catalogue import Catalogue, chosen_catalogue, load_catalogue, recorded_catalogue
from knowledge.settings import KnowledgeSettings
from knowledge.source import LiveSource, open_source


def test_the_recorded_catalogue_has_the_forty_anchors_in_the_order_of_the_records():
    catalogue = recorded_catalogue()
    assert len(catalogue.anchors) == 40
    assert catalogue.anchors[:3] == ("50", "100", "258")
    assert len(catalogue.shortlist) == 560
    assert set(catalogue.anchors) < set(catalogue.shortlist)


def test_a_trimmed_catalogue_keeps_the_anchors_and_has_its_own_version():
    whole = recorded_catalogue()
    short = whole.trimmed(60)
    assert len(short.shortlist) == 60
    assert set(short.anchors) <= set(short.shortlist) <= set(whole.shortlist)
    assert short.anchors == whole.anchors
    assert short.version != whole.version
    assert short == whole.trimmed(60)
    assert whole.trimmed(560) is whole


def test_a_longer_trim_contains_the_shorter_so_that_growing_it_voids_little():
    whole = recorded_catalogue()
    assert set(whole.trimmed(60).shortlist) < set(whole.trimmed(100).shortlist)


def test_items_without_a_title_are_not_offered():
    known = Catalogue("v", ("1", "2"), ("1", "2", "3")).known({"2": "b", "3": "c"})
    assert known.anchors == ("2",)
    assert known.shortlist == ("2", "3")


def test_no_titles_at_all_is_an_error_that_says_so():
    with pytest.raises(TerminalError) as caught:
        Catalogue("v", ("1",), ("1", "2")).known({})
    assert caught.value.reason == "no_titles"


@pytest.mark.parametrize(("anchors", "shortlist"), [((), ("1",)), (("1",), ()), (("1", "1"), ("1",))])
def test_an_empty_or_doubled_catalogue_is_refused(anchors, shortlist):
    with pytest.raises(TerminalError):
        Catalogue("v", anchors, shortlist)


def test_an_id_that_is_none_is_refused():
    with pytest.raises(TerminalError) as caught:
        Catalogue("v", ("1",), ("1", "two words"))
    assert caught.value.reason == "bad_id"


MADE = {"rule": "most-touched items of 2 clusters", "seed": 7}


def test_what_is_written_is_read_back_with_how_it_was_made(tmp_path):
    written = Catalogue.named("shop", ("1", "2"), ("2", "3"), MADE)
    path = tmp_path / "new" / "catalogue.json"
    written.write(path)
    read = load_catalogue(path)
    assert read == written
    assert dict(read.made) == MADE
    assert [file.name for file in path.parent.iterdir()] == ["catalogue.json"]
    assert hash(read) == hash(written)


def test_the_version_follows_anchors_and_making_but_not_the_shortlist_so_that_old_answers_stay_valid():
    version = Catalogue.named("shop", ("1", "2"), ("2", "3"), MADE).version
    assert version.startswith("shop-")
    assert Catalogue.named("shop", ("1", "2"), ("2", "3", "4"), dict(reversed(MADE.items()))).version == version
    assert Catalogue.named("shop", ("2", "1"), ("2", "3"), MADE).version != version
    assert Catalogue.named("shop", ("1", "2"), ("2", "3"), {**MADE, "seed": 8}).version != version


def test_items_found_for_one_user_join_the_shortlist_without_a_new_version():
    catalogue = Catalogue("v", ("1",), ("1", "2"))
    assert catalogue.with_retrieved(("9", "2", "9")).shortlist == ("1", "2", "9")
    assert catalogue.with_retrieved(("9",)).version == "v"
    assert catalogue.with_retrieved(()) == catalogue


GOOD = {"format": 1, "version": "v", "made": {}, "anchors": ["1"], "shortlist": ["1", "2"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "must be a JSON object"),
        ("[" * 300_000, "nested too deeply"),
        (json.dumps(GOOD | {"format": 2}), "another release"),
        (json.dumps({name: part for name, part in GOOD.items() if name != "anchors"}), "'anchors' is missing"),
        (json.dumps(GOOD | {"anchors": "123"}), "lists of ids"),
        (json.dumps(GOOD | {"shortlist": [1, 2]}), "lists of ids"),
        (json.dumps(GOOD | {"shortlist": ["1", "1"]}), "named twice"),
        (json.dumps(GOOD | {"shortlist": ["two words"]}), "two words"),
        (json.dumps(GOOD | {"version": "a|b"}), "no version"),
        (json.dumps(GOOD | {"version": None}), "version must be a text"),
        (json.dumps(GOOD | {"version": 7}), "version must be a text"),
        (json.dumps(GOOD | {"made": 3}), "made an object"),
        (json.dumps(GOOD | {"made": []}), "made an object"),
    ],
)
def test_a_wrong_catalogue_file_is_refused_with_its_name_and_the_fault(tmp_path, content, told):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TerminalError, match=told) as caught:
        load_catalogue(path)
    assert caught.value.reason == "bad_catalogue"
    assert "own.json" in caught.value.message


async def test_another_scenario_takes_its_own_catalogue_and_never_films_recorded_knowledge(
    server, settings, tmp_path, request_of, good
):
    path = tmp_path / "catalogue.json"
    Catalogue.named("shop", ("1", "2", "3", "4"), tuple(str(n) for n in range(1, 25)), MADE).write(path)
    own = KnowledgeSettings(**settings.model_dump() | {"scenario": "music", "llm": "embedded", "catalogue_file": path})
    source = open_source(own, {str(n): f"Track {n}" for n in range(1, 25)})
    assert isinstance(source, LiveSource)
    factors = ("genre", "artist", "era")
    server.plan = [json.dumps(good | {"factors": dict.fromkeys(factors, "warm")}), json.dumps(good)]
    with pytest.raises(TerminalError):  # the factors of films are no answer about music
        await source.user(request_of())
    asked = server.requests[0]["messages"][0]["content"]
    assert asked.startswith("You know tracks well")
    assert '24 "Track 24"' in asked
    await source.close()
    assert chosen_catalogue(path) != chosen_catalogue(None) == recorded_catalogue()


@pytest.mark.parametrize("wrong", [{}, {"llm": "embedded", "knowledge_recorded": True}])
def test_recorded_knowledge_of_films_is_refused_for_another_scenario(wrong):
    with pytest.raises(ValueError, match="recorded knowledge is about films"):
        KnowledgeSettings(scenario="music", **wrong)


def test_a_name_that_no_file_can_have_is_refused_with_words(tmp_path):
    with pytest.raises(TerminalError, match="file name too long"):
        Catalogue("v", ("1",), ("1",)).write(tmp_path / ("x" * 300 + ".json"))
    with pytest.raises(TerminalError, match="file name too long"):
        load_catalogue(tmp_path / ("x" * 300 + ".json"))
