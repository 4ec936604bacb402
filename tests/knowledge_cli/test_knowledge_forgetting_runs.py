"""Whom a run's data outlived: forgotten while it goes on, or before it by somebody whose folder still tells of them."""

import json
import re
import sys
from datetime import UTC, datetime

import pytest

from knowledge.base import TransientError
from knowledge.cache import AnswerCache
from knowledge.store import KnowledgeStore
from reki.jobs import forget
from reki.knowledge.forgetting import forget_user
from tests.knowledge_cli.test_knowledge_collective_command import crowd  # noqa: F401 - a fixture

AGE = re.compile(r"age\W+20\b")


@pytest.fixture
def store(tmp_path):
    return KnowledgeStore(tmp_path / "data" / "knowledge")


@pytest.fixture
def forget_at_first_prompt(llm, tmp_path, store, environment):
    """Forget these users while the run's first question is being answered."""
    environment["REKI_LLM_CONCURRENCY"] = "1"

    def plan(*users):
        class Prompts(list):
            def append(self, prompt):
                super().append(prompt)
                if len(self) == 1:
                    for user in users:
                        forget_user(store.folder, AnswerCache(tmp_path / "data" / "answers"), user)

        llm.prompts = Prompts()

    return plan


def left(tmp_path, *users):
    return [
        (user, path.name)
        for path in (tmp_path / "data").rglob("*")
        for user in users
        if path.is_file() and user.encode() in path.read_bytes()
    ]


def test_who_is_forgotten_during_a_first_run_is_neither_kept_nor_asked_about(
    reki, llm, folder, store, forget_at_first_prompt, tmp_path
):
    forget_at_first_prompt("u000", "u002")
    code, out, err = reki("generate", "users", "--from", folder, "--limit", "3")
    assert (code, err) == (0, "")
    assert len(llm.prompts) == 2
    assert "1 without knowledge (forgotten)" in out
    assert store.ids("user") == ["u001"]
    assert left(tmp_path, "u000", "u002") == []
    assert len(list((tmp_path / "data" / "answers").rglob("*.json"))) == 1


def test_the_stacks_command_forgets_what_is_stored_though_no_broker_answers(
    reki, folder, store, environment, monkeypatch, capsys
):
    assert reki("generate", "users", "--from", folder, "--limit", "2")[0] == 0
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch"))  # the command does without; later tests may not
    for name in ("REKI_REDIS_URL", "REKI_KAFKA_BOOTSTRAP"):
        environment[name] = "redis://127.0.0.1:9/0" if "REDIS" in name else "127.0.0.1:9"
        monkeypatch.setenv(name, environment[name])
    for said in ("u000 is taken out of", "nothing was stored about u000"):
        with pytest.raises(TransientError):
            forget("u000")
        assert said in capsys.readouterr().out
    assert store.ids("user") == ["u001"]
    code, out, err = reki("forget", "u001")
    assert (code, err) == (0, "")
    assert "whether Feast knows u001 cannot be asked" in out


@pytest.mark.services
def test_a_run_about_clusters_keeps_nobody_who_was_forgotten_during_it(
    reki,
    llm,
    crowd,  # noqa: F811
    store,
    forget_at_first_prompt,
    tmp_path,
):
    forget_at_first_prompt("u000", "u001")
    code, _, err = reki("generate", "users", "--from", crowd, "--mode", "collective", "--k", "2")
    assert code == 0, err
    assert len(store.ids("user")) == 58
    assert left(tmp_path, "u000", "u001") == []
    assert len(list((tmp_path / "data" / "answers").rglob("*.json"))) == 1
    # The cluster that was asked with one of them is asked about again; the other was asked without.
    code, _, err = reki("generate", "users", "--from", crowd, "--mode", "collective", "--k", "2")
    assert code == 0, err
    assert len(llm.prompts) == 3
    assert left(tmp_path, "u000", "u001") == []


def test_a_folder_does_not_bring_back_whom_it_knew_before_and_tells_of_a_new_life(reki, llm, folder, store):
    command = ("generate", "users", "--from", folder, "--limit", "2")
    assert reki(*command)[0] == 0
    assert any(AGE.search(prompt) for prompt in llm.prompts)
    assert reki("forget", "u000")[0] == 0
    code, out, err = reki(*command)
    assert (code, err) == (0, "")
    assert "1 left out, who were forgotten" in out
    assert store.ids("user") == ["u001", "u002"]
    lines = (folder / "events.jsonl").read_text().splitlines()
    new = json.loads(lines[0]) | {"event_id": "new", "occurred_at": datetime.now(UTC).isoformat()}
    (folder / "events.jsonl").write_text("\n".join([*lines, json.dumps(new)]) + "\n")
    assert reki(*command)[0] == 0
    assert store.get("user", "u000").knowledge.source_rev == 1
    assert not AGE.search(llm.prompts[-1])  # a profile of the old life
