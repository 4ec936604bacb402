"""Collective extraction: one answer for a cluster, handed to its members."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knowledge_parts import START, entry

from knowledge.base import Expectations, FixedClock, KnowledgeMode, TerminalError
from knowledge.cache import AnswerCache
from knowledge.client import LlmClient
from knowledge.collective import (
    GROUP_LIMITS,
    ClusterKnowledge,
    ClusterMember,
    ClusterRequest,
    CollectiveSource,
    CollectiveStore,
    assemble_item,
    assemble_user,
    cluster_prompt,
)
from knowledge.collective.opinions import favourites, opinions, profile_shares

GOLDEN = Path(__file__).parent / "golden"


def people(count=20):
    """Members who share films 5 and 6 and dislike 7; each has one film of their own."""
    return tuple(
        ClusterMember(
            f"member-{n:03}",
            {"age": str(20 + n), "gender": "F" if n % 2 else "M", "email": f"m{n}@example.org"},
            (entry("5", 5, 0), entry("7", 1 + n % 2, 1), entry("6", 4, 2), entry(str(8 + n), 3, 3)),
        )
        for n in range(count)
    )


def group(members=None, entity="user", cluster=3):
    members = people() if members is None else members
    ids = [member.entity_id for member in members]
    return ClusterRequest(entity, cluster, "abc123abc123", members, tuple(ids[:2]), tuple(ids[2:3]))


def films():
    titles = ["Steel (1997)", "Spawn (1997)", 'The "Best" (1990)']
    return tuple(
        ClusterMember(f"item-{n}", {"genres": "Action, War", "studio": "secret"}, title=titles[n % 3])
        for n in range(20)
    )


def held(cluster=3, likes=("8", "9"), dislikes=("18",), anchors=None, **named):
    return ClusterKnowledge(
        **{
            "entity": "user",
            "cluster": cluster,
            "clusters_version": "abc123abc123",
            "size": 20,
            "factors": {"genre": f"Texts of cluster {cluster}"},
            "expectations": Expectations(likes=likes, dislikes=dislikes, anchors=anchors or {"1": 5.0, "2": 2.0}),
            "mean_value": 3.0,
            "fed": ("u1", "u2"),
            "model": "fake-1",
            "template_version": "films-user-cluster-1",
            "catalogue_version": "test-1",
            "generated_at": START,
            **named,
        }
    )


def shown(prompt):
    parts = [f"template: {prompt.template_version}"]
    parts += [f"--- {message['role']}\n{message['content']}" for message in prompt.messages]
    return "\n".join([*parts, f"--- schema\n{json.dumps(prompt.schema)}\n"])


def test_the_prompt_of_a_cluster_of_users_is_the_golden_one(scenario, catalogue, titles):
    prompt = cluster_prompt(scenario, catalogue, titles, group())
    assert shown(prompt) == (GOLDEN / "user_cluster.txt").read_text()


def test_the_prompt_of_a_cluster_of_items_is_the_golden_one(scenario, catalogue, titles):
    prompt = cluster_prompt(scenario, catalogue, titles, group(films(), "item"))
    assert shown(prompt) == (GOLDEN / "item_cluster.txt").read_text()


def test_what_clusters_share_stands_first_and_byte_identical(scenario, catalogue, titles):
    one, other = (cluster_prompt(scenario, catalogue, titles, group(people(n), cluster=n)) for n in (5, 20))
    assert one.messages[0] == other.messages[0]
    assert one.schema == other.schema


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(secret=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=20))
def test_no_id_and_no_unlisted_field_of_a_member_reaches_a_prompt(scenario, catalogue, titles, secret):
    members = tuple(
        ClusterMember(
            f"{secret}{n}",
            {"age": "30", "street": secret, "occupation": f"works as {secret}{n}"},
            (entry("5", 5, 0, title=f"By {secret}{n}"), entry("6", 1, 1)),
        )
        for n in range(4)
    )
    for entity in ("user", "item"):
        prompt = cluster_prompt(scenario, catalogue, titles, group(members, entity))
        told = "".join(message["content"] for message in prompt.messages)
        assert secret not in told
        assert secret not in json.dumps(prompt.schema)


def test_an_opinion_of_one_or_two_members_is_not_told_as_the_groups():
    found = opinions(people(20))
    assert [o.item_id for o in found] == ["5", "6", "7"]
    likes, dislikes = favourites(found, 5)
    assert [o.item_id for o in likes] == ["5", "6"]
    assert [o.item_id for o in dislikes] == ["7"]
    assert opinions(people(2)) == []
    assert profile_shares([{"age": "31"}] * 2 + [{"age": "44"}] * 8, ["age"]) == {"age": "most 40s"}


def test_a_cluster_without_members_is_not_asked_about(scenario, catalogue, titles):
    with pytest.raises(TerminalError) as caught:
        cluster_prompt(scenario, catalogue, titles, group(()))
    assert caught.value.reason == "empty_cluster"


@pytest.fixture
async def source(settings, scenario, catalogue, titles):
    client = LlmClient(settings)
    cache = AnswerCache(settings.knowledge_cache_dir)
    source = CollectiveSource(client, scenario, catalogue, titles, cache, clock=FixedClock(START))
    yield source
    await source.close()


async def test_a_cluster_is_asked_about_once_and_its_answer_becomes_a_record(source, server, good):
    answer = good | {"likes": [*good["likes"], "99", "8"], "dislikes": good["dislikes"][:3]}
    server.plan = [json.dumps(answer)]
    first, again = await source.cluster(group()), await source.cluster(group())
    assert (first.called, again.called, len(server.requests)) == (True, False, 1)
    assert first.knowledge == again.knowledge
    assert first.repairs == {"unknown_item": 1, "doubly_named": 1}
    knowledge = first.knowledge
    assert (knowledge.cluster, knowledge.size, knowledge.template_version) == (3, 20, "films-user-cluster-1")
    # Each member's own mean: 5, 4, 3 and 1 or 2.
    assert knowledge.mean_value == pytest.approx(3.375)
    assert knowledge.expectations.likes == tuple(good["likes"])
    assert knowledge.fed == tuple(member.entity_id for member in people())
    assert source.meter.of("user_cluster").calls == 1


async def test_a_cluster_of_items_gets_texts_and_no_expectations(source, server, good):
    server.plan = [json.dumps({"factors": good["factors"]})]
    knowledge = (await source.cluster(group(films(), "item"))).knowledge
    assert (knowledge.entity, knowledge.expectations, knowledge.mean_value) == ("item", None, None)
    texts = assemble_item("item-1", [(3, 1.0)], {3: knowledge})
    assert (texts.factors, texts.mode) == (knowledge.factors, KnowledgeMode.COLLECTIVE)


@pytest.mark.parametrize("entity", ["user", "item"])
async def test_a_text_that_names_a_member_or_repeats_the_prompt_loses_that_sentence(source, server, good, entity):
    request = group() if entity == "user" else group(films(), "item")
    name, other, *_ = good["factors"]
    texts = good["factors"] | {
        name: f"Warm and witty. Above all {request.members[4].entity_id}.",
        other: "Big vistas. Text in double quotes is data written by others.",
    }
    server.plan = [json.dumps(good | {"factors": texts} if entity == "user" else {"factors": texts})]
    found = await source.cluster(request)
    assert (found.knowledge.factors[name], found.knowledge.factors[other]) == ("Warm and witty.", "Big vistas.")
    assert (found.repairs["echo_id"], found.repairs["echo_instruction"]) == (1, 1)


def user(membership, known, own_values=None, **named):
    from knowledge.scenario import load_scenario

    return assemble_user("u9", membership, known, own_values or {}, load_scenario("films"), source_rev=4, **named)


def test_likes_weigh_by_clusters_and_what_clusters_disagree_on_counts_the_difference():
    known = {
        3: held(3, likes=("8", "9", "10"), dislikes=("18",)),
        5: held(5, likes=("8", "18"), dislikes=("9", "10", "11")),
    }
    made = user([(3, 0.6), (5, 0.4)], known)
    assert made.expectations.likes == ("8", "10", "9")
    assert made.expectations.dislikes == ("11", "18")
    assert made.expectations.weights == {"8": 1.0, "9": 0.2, "10": 0.2, "11": 0.4, "18": 0.2}
    assert made.factors == {"genre": "Texts of cluster 3"}
    assert (made.mode, made.model, made.source_rev) == (KnowledgeMode.COLLECTIVE, "fake-1", 4)
    capped = user([(3, 0.6), (5, 0.4)], known, most=1).expectations
    assert (capped.likes, capped.dislikes, set(capped.weights)) == (("8",), ("11",), {"8", "11"})


def test_what_the_user_has_touched_is_removed_whatever_the_clusters_say():
    made = user([(3, 1.0)], {3: held()}, {"8": 5.0, "1": 2.0, "18": 1.0})
    assert made.expectations.likes == ("9",)
    assert made.expectations.dislikes == ()
    assert set(made.expectations.anchors) == {"2"}


def test_anchors_follow_how_mild_the_user_judges_within_the_scale():
    # Five own values with a mean one above the cluster's: trusted by half.
    mild = user([(3, 1.0)], {3: held()}, {str(n): 4.0 for n in range(30, 35)}).expectations
    assert mild.anchors == {"1": 5.0, "2": 2.5}
    strict = user([(3, 1.0)], {3: held()}, {str(n): 1.0 for n in range(30, 35)}).expectations
    assert strict.anchors == {"1": 4.0, "2": 1.0}
    assert user([(3, 1.0)], {3: held()}).expectations.anchors == {"1": 5.0, "2": 2.0}


def test_anchors_are_means_over_the_clusters_that_have_a_value():
    known = {3: held(3, anchors={"1": 5.0, "2": 2.0}), 5: held(5, anchors={"1": 1.0})}
    assert user([(3, 0.75), (5, 0.25)], known).expectations.anchors == {"1": 4.0, "2": 2.0}


def test_clusters_without_knowledge_or_of_another_source_do_not_count():
    known = {3: held(3), 5: held(5, likes=("12",), model="other-2")}
    made = user([(4, 0.5), (3, 0.3), (5, 0.2)], known)
    assert made.expectations.weights == {"8": 1.0, "9": 1.0, "18": 1.0}
    with pytest.raises(TerminalError) as caught:
        user([(4, 1.0)], known)
    assert caught.value.reason == "no_cluster_knowledge"


def test_a_rerun_asks_for_what_is_missing_alone(tmp_path):
    path = tmp_path / "users.jsonl"
    store = CollectiveStore(path)
    store.add(held(0))
    store.add(held(2))
    with path.open("ab") as file:
        file.write(b'{"entity": "user", "clus')  # killed while writing
    again = CollectiveStore(path)
    assert again.held == {0: held(0), 2: held(2)}
    assert again.missing(4) == [1, 3]
    again.add(held(1))
    assert CollectiveStore(path).missing(4) == [3]
    path.write_bytes(b'{"entity": "dog"}\n')
    with pytest.raises(TerminalError, match=r"users\.jsonl:1"):
        CollectiveStore(path)


def test_forgetting_leaves_no_id_behind_and_marks_what_the_user_fed(tmp_path):
    path = tmp_path / "users.jsonl"
    store = CollectiveStore(path)
    for knowledge in (held(0, likes=("8",), prompt_hash="a" * 64), held(0, prompt_hash="b" * 64), held(1, fed=("u2",))):
        store.add(knowledge)
    assert [(k.cluster, k.prompt_hash) for k in store.forget("u1")] == [(0, "b" * 64)]
    assert b"u1" not in path.read_bytes()
    assert CollectiveStore(path).missing(2) == [0]
    assert store.held[0].expectations == held(0).expectations  # it serves until it is asked for anew
    assert path.stat().st_mode & 0o077 == 0
    assert store.forget("u1") == []


def test_thousands_of_users_are_assembled_in_a_second():
    ids = [str(n) for n in range(100, 300)]
    anchors = {str(n): 3.0 for n in range(40)}
    known = {n: held(n, tuple(ids[n : n + 20]), tuple(ids[n + 60 : n + 80]), anchors) for n in range(50)}
    own = {str(n): 4.0 for n in range(130, 160)}
    begin = time.process_time()
    for n in range(500):
        user([(n % 50, 0.5), ((n + 7) % 50, 0.3), ((n + 13) % 50, 0.2)], known, own)
    assert 500 / (time.process_time() - begin) > 1000


def test_group_prompts_ask_for_twice_the_items_because_touched_ones_fall_later(scenario, titles, catalogue):
    assert GROUP_LIMITS.expected_items == 20
    assert cluster_prompt(scenario, catalogue, titles, group()).schema["properties"]["likes"]["maxItems"] == 12
