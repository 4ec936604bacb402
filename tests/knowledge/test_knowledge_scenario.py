import math

import pytest

from knowledge.base import Action, ItemProfile, Polarity, TerminalError
from knowledge.prompts import item_prompt, user_prompt
from knowledge.scenario import Outcome, load_scenario, parse_scenario, scenario_names

FACTORS = {
    "books": "genre author writing_style theme setting length_complexity time_period literary_quality critical_acclaim",
    "products": "genre functionality quality price design reputation",
}


def test_films_have_the_nine_factors_in_the_order_of_every_vector(scenario):
    assert scenario.factors == (
        "genre",
        "director_cast",
        "country_period",
        "characters",
        "plot_theme",
        "mood_tone",
        "critical_acclaim",
        "production_quality",
        "soundtrack",
    )
    assert set(scenario.user_factors) == set(scenario.item_factors) == set(scenario.factors)


@pytest.mark.parametrize(
    ("action", "value", "outcome"),
    [
        ("rate", 4, Outcome(4.0, Polarity.LIKED)),
        ("rate", 3.5, Outcome(3.5, Polarity.LIKED)),
        ("rate", 3, Outcome(3.0, Polarity.DISLIKED)),
        (Action.RATE, 1, Outcome(1.0, Polarity.DISLIKED)),
        ("view", None, Outcome(3.0, Polarity.NEUTRAL)),
        ("click", 17.5, Outcome(3.0, Polarity.NEUTRAL)),
        ("purchase", None, Outcome(4.0, Polarity.LIKED)),
        ("skip", None, Outcome(2.0, Polarity.DISLIKED)),
    ],
)
def test_an_action_reads_as_the_scenario_says(scenario, action, value, outcome):
    assert scenario.outcome(action, value) == outcome


@pytest.mark.parametrize("value", [None, 0, 0.99, 5.01, -3, math.nan, math.inf])
def test_a_rating_off_the_scale_is_refused_not_learned_from(scenario, value):
    with pytest.raises(TerminalError) as caught:
        scenario.outcome("rate", value)
    assert caught.value.reason == "bad_value"


@pytest.mark.parametrize("action", ["", "RATE", "delete"])
def test_an_unknown_action_is_refused(scenario, action):
    with pytest.raises(TerminalError) as caught:
        scenario.outcome(action, 4)
    assert caught.value.reason == "bad_action"


def test_every_outcome_reads_as_words_without_numbers(scenario):
    values = [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
    readings = [scenario.reading(scenario.outcome("rate", value)) for value in values]
    assert readings == ["hated", "disliked", "disliked", *["found so-so"] * 2, "liked", "liked", "loved", "loved"]
    assert scenario.reading(scenario.outcome("view", None)) == "looked at"


def test_five_domains_are_built_in():
    assert scenario_names() == ["books", "films", "music", "news", "products"]


@pytest.mark.parametrize(("name", "factors"), FACTORS.items())
def test_published_factors_stand_in_the_published_order(name, factors):
    assert load_scenario(name).factors == tuple(factors.split())


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_reads_every_action_and_gives_a_prompt_of_its_own_words(name, catalogue, titles, request_of):
    scenario = load_scenario(name)
    assert scenario.name == name
    low, high = scenario.levels[0], scenario.levels[-1]
    for action in Action:
        outcome = scenario.outcome(action, high if action is Action.RATE else None)
        assert low <= outcome.value <= high
    assert {words.polarity for words in scenario.words if words.at_least <= low} == set(Polarity), (
        "events without words"
    )
    assert scenario.outcome("rate", low).polarity is Polarity.DISLIKED
    assert scenario.outcome("skip", None).polarity is Polarity.DISLIKED
    lines = [*scenario.user_factors.values(), *scenario.item_factors.values()]
    assert len(set(lines)) == len(lines), "two factors that ask the same"

    field = scenario.profile_fields[0]
    shared, own = user_prompt(
        scenario, catalogue, titles, request_of(profile={field: "told", "zip": "hidden"})
    ).messages
    assert "told" in own["content"]
    assert "hidden" not in own["content"]
    assert all(f"- {factor}: {line}" in shared["content"] for factor, line in scenario.user_factors.items())
    item = item_prompt(scenario, ItemProfile(item_id="1", title="T", fields={scenario.item_fields[0]: "known"}))
    assert "known" in item.messages[1]["content"]
    if name != "films":
        told = " ".join(message["content"] for message in item.messages) + shared["content"].split("\n\n")[0]
        assert "film" not in told.lower(), "wording of one domain in another"


@pytest.mark.parametrize("name", ["nothing", "../films", "../scenarios/films", "", "/etc/passwd"])
def test_a_scenario_name_never_becomes_a_path(name):
    with pytest.raises(TerminalError) as caught:
        load_scenario(name)
    assert caught.value.reason == "bad_scenario"


VALID = """
name = "cups"
noun = "cup"
plural = "cups"
profile_fields = ["age"]
words = []
[scale]
lowest = 0
highest = 2
unit = "points"
[actions.rate]
liked_above = 1
[factors.shape]
user = "liked shapes"
item = "shape"
"""


def test_another_domain_is_a_file_and_no_code():
    cups = parse_scenario(VALID, "cups")
    assert cups.factors == ("shape",)
    assert cups.levels == (0, 1, 2)
    assert cups.reading(cups.outcome("rate", 2)) == "liked"


def test_a_scenario_of_ones_own_is_named_by_its_path(tmp_path):
    path = tmp_path / "anything.toml"
    path.write_text(VALID)
    assert load_scenario(str(path)).name == "cups"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", VALID.replace('"cups"', '"films"', 1).encode(), b"noun = 1"])
def test_an_own_file_that_is_missing_or_wrong_or_named_like_a_built_in_one_is_refused_by_path(tmp_path, content):
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TerminalError, match=r"own\.toml") as caught:
        load_scenario(str(path))
    assert caught.value.reason == "bad_scenario"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('noun = "cup"', "", "noun"),
        ("liked_above = 1", "value = 2", "actions.rate"),
        ("liked_above = 1", 'value = 2\npolarity = "liked"\nliked_above = 1', "actions.rate"),
        ("highest = 2", "highest = 0", "scale"),
        ("liked_above = 1", "liked_above = 3", "not from 0 to 2"),
        ("liked_above = 1", 'value = -1\npolarity = "disliked"', "not from 0 to 2"),
        ("[factors.shape]", "[factors.Shape]", "factors"),
        ("[actions.rate]", "[actions.stare]", "actions"),
        ("words = []", "words = [", "TOML"),
    ],
)
def test_a_wrong_scenario_file_is_refused_with_the_place(old, new, told):
    with pytest.raises(TerminalError, match=told) as caught:
        parse_scenario(VALID.replace(old, new), "cups")
    assert caught.value.reason == "bad_scenario"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("deep.toml", b"a=" + b"[" * 100_000, "nested too deeply"),
        ("latin.toml", b'name = "\xe9"', "not UTF-8"),
        ("none.toml", None, "cannot be read: no such file or directory"),
        ("x" * 300 + ".toml", None, "file name too long"),
        ("~nobody-of-that-name/own.toml", None, "home directory"),
    ],
)
def test_a_scenario_file_that_cannot_be_read_is_told_in_words(tmp_path, monkeypatch, name, content, told):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TerminalError) as caught:
        load_scenario(name)
    assert caught.value.reason == "bad_scenario"
    assert told in caught.value.message
    assert "Errno" not in caught.value.message
