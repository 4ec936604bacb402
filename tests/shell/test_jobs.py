import pytest

from reki.jobs import _is_recorded, forgotten, who_answers
from reki.settings import load_settings


def test_forgetting_somebody_unknown_does_not_claim_that_there_was_something():
    assert "nothing was known about nobody" in forgotten("nobody", known=False)
    assert forgotten("u1", known=True).startswith("u1 is forgotten")


@pytest.mark.parametrize(
    ("environ", "is_recorded", "said"),
    [
        ({}, True, "recorded knowledge answers"),
        ({}, False, "nobody will answer"),
        ({"REKI_LLM": "embedded"}, False, "the ranker does not use it"),
        ({"REKI_LLM": "embedded"}, True, "recorded knowledge answers"),
        (
            {"REKI_LLM_BASE_URL": "http://gpu:8000/v1", "REKI_LLM_MODEL": "big"},
            False,
            "big at http://gpu:8000/v1 answers",
        ),
    ],
)
def test_who_asks_for_a_refresh_learns_who_will_answer(tmp_path, environ, is_recorded, said):
    assert said in who_answers(load_settings(tmp_path, environ), is_recorded)


def test_only_users_with_recorded_refreshes_are_answered_from_the_records():
    refreshed = next(user for user in map(str, range(1, 944)) if _is_recorded(user))
    assert (bool(refreshed), _is_recorded("nobody")) == (True, False)
