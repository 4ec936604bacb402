import math

import pytest

from knowledge.base import Action, Polarity, TerminalError
from knowledge.scenario import Outcome, load_scenario, parse_scenario


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


@pytest.mark.parametrize("name", ["nothing", "../films", "films.toml", "", "/etc/passwd"])
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


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('noun = "cup"', "", "noun"),
        ("liked_above = 1", "value = 2", "actions.rate"),
        ("liked_above = 1", 'value = 2\npolarity = "liked"\nliked_above = 1', "actions.rate"),
        ("highest = 2", "highest = 0", "scale"),
        ("[factors.shape]", "[factors.Shape]", "factors"),
        ("[actions.rate]", "[actions.stare]", "actions"),
        ("words = []", "words = [", "TOML"),
    ],
)
def test_a_wrong_scenario_file_is_refused_with_the_place(old, new, told):
    with pytest.raises(TerminalError, match=told) as caught:
        parse_scenario(VALID.replace(old, new), "cups")
    assert caught.value.reason == "bad_scenario"
