"""`reki knowledge generate --mode collective`, as a person types it. It loads the sentence encoder."""

import json
import signal
import time

import pytest

from knowledge.base import KnowledgeMode
from knowledge.catalogue import recorded_catalogue
from knowledge.store import KnowledgeStore

pytestmark = pytest.mark.services


@pytest.fixture
def crowd(folder):
    """60 users: even ones love what odd ones hate."""
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    for n, item in enumerate(items):
        item["title"] = f"{'Starship Battle' if n % 2 else 'Quiet Village Love'} {n} (1995)"
        item["fields"] = {"genres": "Sci-Fi" if n % 2 else "Romance"}
    events = [
        {
            "event_id": f"e{user}-{n}",
            "user_id": f"u{user:03}",
            "item_id": items[(3 * user + n) % len(items)]["item_id"],
            "action": "rate",
            "value": 5 if ((3 * user + n) + user) % 2 else 1,
            "occurred_at": f"2026-01-0{1 + n}T00:00:00Z",
        }
        for user in range(60)
        for n in range(6)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def test_one_call_a_cluster_serves_everybody_and_is_not_asked_twice(reki, llm, crowd, tmp_path):
    collective = ("generate", "users", "--from", crowd, "--mode", "collective", "--k", "2")
    code, out, err = reki(*collective, "--dry-run", "--price-in", "1")
    assert code == 0, err
    assert llm.prompts == []
    assert "60 users in 2 clusters" in out
    assert [line.split()[1] for line in out.splitlines() if line.strip().startswith("calls")] == ["2"]
    code, out, err = reki(*collective)
    assert code == 0, err
    assert len(llm.prompts) == 2
    assert "60 new records" in out
    store = KnowledgeStore(tmp_path / "data" / "knowledge")
    known = {one.knowledge.entity_id: one.knowledge for one in store.newest("user")}
    assert len(known) == 60
    one = known["u000"]
    assert (one.mode, one.model, one.source_rev) == (KnowledgeMode.COLLECTIVE, "double", 6)
    touched = {json.loads(line)["item_id"] for line in (crowd / "events.jsonl").read_text().splitlines()[:6]}
    assert not touched & {*one.expectations.likes, *one.expectations.dislikes, *one.expectations.anchors}
    assert known["u000"].factors == known["u002"].factors != known["u001"].factors  # by taste
    code, out, err = reki(*collective)
    assert code == 0, err
    assert len(llm.prompts) == 2
    assert "still fit" in out
    assert "0 new records" in out
    assert "collective, double" in reki("show", "user", "u000")[1]
    # Individual knowledge is worth more: clusters do not replace it, unless they are told to.
    assert reki("generate", "users", "--from", crowd, "--limit", "1")[0] == 0
    assert len(llm.prompts) == 3
    assert "1 have individual knowledge stored" in reki(*collective)[1]
    assert store.get("user", "u000").knowledge.mode is KnowledgeMode.INDIVIDUAL
    assert reki(*collective, "--replace")[0] == 0
    assert store.get("user", "u000").knowledge.mode is KnowledgeMode.COLLECTIVE
    # Who is forgotten takes the answers along that were made of them; the others stay served.
    code, out, _ = reki("forget", "u000")
    assert code == 0
    assert "1 cluster(s) are to be asked about again" in out
    text = "".join(path.read_text() for path in (tmp_path / "data" / "knowledge").rglob("*.json*"))
    assert "u000" not in text
    assert reki(*collective)[0] == 0
    assert len(llm.prompts) == 4  # the stale cluster alone


def test_items_and_a_budget(reki, llm, crowd, tmp_path):
    code, out, err = reki("generate", "items", "--from", crowd, "--mode", "collective", "--budget", "4000")
    assert code == 0, err
    assert 1 <= len(llm.prompts) <= 4
    assert "80 new records" in out
    code, _, err = reki("generate", "items", "--from", crowd, "--mode", "collective", "--budget", "10")
    assert code == 2
    assert "do not pay for one call" in err
    code, _, err = reki("generate", "items", "--from", crowd, "--mode", "collective", "--k", "70")
    assert code == 2
    assert "do not fill 70 clusters" in err


def test_items_found_for_one_user_may_be_named_beside_the_shortlist(reki, llm, crowd, environment, tmp_path):
    environment["REKI_LLM_SHORTLIST"] = "20"
    code, _, err = reki("generate", "users", "--from", crowd, "--find", "--limit", "6")
    assert code == 0, err
    assert len(llm.prompts) == 6
    shared = {json.loads(prompt)[0]["content"] for prompt in llm.prompts}
    assert len(shared) == 1  # what was found stands with the user, not in the part that all share
    own = [json.loads(prompt)[-1]["content"] for prompt in llm.prompts]
    assert all(text.count("(1995)") > 20 for text in own)
    shortlist = set(recorded_catalogue().trimmed(20).shortlist)
    store = KnowledgeStore(tmp_path / "data" / "knowledge")
    named = {item for one in store.newest("user") for item in one.knowledge.expectations.likes}
    assert named - shortlist
    assert reki("generate", "items", "--from", crowd, "--find")[0] == 2
    assert reki("generate", "users", "--from", crowd, "--find", "--mode", "collective")[0] == 2


def test_a_killed_collective_run_asks_about_no_cluster_twice(reki, start, llm, crowd, tmp_path):
    collective = ("generate", "users", "--from", crowd, "--mode", "collective", "--k", "3")
    llm.delay_s = 1.5
    killed = start(*collective)
    until = time.monotonic() + 60
    while len(llm.prompts) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    answered = list(llm.prompts)
    llm.delay_s = 0.0
    code, out, err = reki(*collective)
    assert code == 0, err
    assert "60 new records" in out
    assert set(llm.prompts) == set(answered), "the clusters that were cut off are the ones that are used"
    # Two run at once (llm_concurrency): the third was asked when one of them was answered, and that one is paid for.
    assert 3 <= len(llm.prompts) <= 3 + 2
    calls = len(llm.prompts)
    store = KnowledgeStore(tmp_path / "data" / "knowledge")
    known = {one.knowledge.entity_id: one.knowledge for one in store.newest("user")}
    assert reki(*collective)[0] == 0
    assert len(llm.prompts) == calls
    assert {one.knowledge.entity_id: one.knowledge for one in store.newest("user")} == known
