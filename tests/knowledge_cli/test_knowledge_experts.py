"""`discover` and `names`: what the expert looks at."""

import json
from datetime import UTC, datetime

import pytest

from knowledge.base import Expectations, Knowledge
from knowledge.catalogue import recorded_catalogue
from knowledge.scenario import load_scenario
from knowledge.store import KnowledgeStore, Stored


@pytest.fixture
def sample(tmp_path):
    file = tmp_path / "wines.jsonl"
    file.write_text(
        "".join(json.dumps({"title": f"Wine {n}", "fields": {"grape": "Riesling"}}) + "\n" for n in range(8))
    )
    return file


def test_a_discovered_scenario_can_be_used_at_once_and_is_never_overwritten(reki, llm, sample, tmp_path, environment):
    code, out, err = reki("discover", "--scenario", "wines", "--sample", sample)
    assert code == 0, err
    assert len(llm.prompts) == 1
    assert "REKI_SCENARIO=wines.toml" in out
    assert load_scenario(str(tmp_path / "wines.toml")).name == "wines"
    code, _, err = reki("discover", "--scenario", "wines", "--sample", sample)
    assert code == 2
    assert "exists already" in err
    assert len(llm.prompts) == 1  # looked at before anybody was asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scenario", "films", "--sample", "wines.jsonl"), "built in"),
        (("--scenario", "A b", "--sample", "wines.jsonl"), "no name of a scenario"),
        (("--scenario", "wines", "--sample", "none.jsonl"), "none.jsonl"),
    ],
)
def test_a_wrong_discovery_asks_nothing(reki, llm, sample, arguments, words):
    code, _, err = reki("discover", *arguments)
    assert code == 2
    assert words in err
    assert llm.prompts == []


def test_discovery_needs_somebody_to_ask(reki, sample, environment):
    del environment["REKI_LLM_BASE_URL"], environment["REKI_LLM_MODEL"]
    code, _, err = reki("discover", "--scenario", "wines", "--sample", sample)
    assert code == 2
    assert "set REKI_LLM" in err


def test_an_item_that_is_everybodys_like_is_flagged(reki, tmp_path):
    films = recorded_catalogue().trimmed(60).shortlist
    with KnowledgeStore(tmp_path / "data" / "knowledge") as store:
        for n in range(8):
            store.append(
                Stored(
                    Knowledge(
                        entity="user",
                        entity_id=f"u{n}",
                        factors={"genre": "x"},
                        expectations=Expectations(likes=(films[0], films[n + 1]), dislikes=(films[30],) * (n < 2)),
                        mode="individual",
                        model="m",
                        template_version="t",
                        catalogue_version="c",
                        source_rev=1,
                        generated_at=datetime(2026, 1, 1, tzinfo=UTC),
                    )
                )
            )
    code, out, err = reki("names")
    assert code == 0, err
    assert "8 users, 10 items named" in out
    assert "1 named for more than 25%" in out
    [flagged] = [line for line in out.splitlines() if "flagged" in line]
    assert "100.0%" in flagged
    assert films[0] in flagged.split()
    assert "943 users" in reki("names", "--recorded", "--most", "1")[1]


def test_without_users_there_is_nothing_to_report(reki):
    code, _, err = reki("names")
    assert code == 2
    assert "nothing is stored about users" in err
