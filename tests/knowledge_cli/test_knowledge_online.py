"""`reki knowledge` on real stores: what it writes is what the refresh worker would have written."""

import json

import pytest

from encoders.item_index import load_index
from encoders.sentence import resolve_encoder_id
from feature_repo.keys import Keys
from feature_repo.reader import FeatureReader
from knowledge.base import TransientError
from knowledge.catalogue import recorded_catalogue
from knowledge.scenario import load_scenario
from knowledge.store import KnowledgeStore
from reki.current import current_settings
from reki.jobs import load_sample
from reki.knowledge.writing import with_own_knowledge
from streams.redis_calls import connect
from streams.store import StateStore
from tests.serving.world import drawn_release

pytestmark = pytest.mark.services
NAMESPACE = "knowledge_cli"
USERS = ("13", "14", "15")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Three users who rated 60 films each: 30 are history, as many as their recorded knowledge has seen."""
    folder = tmp_path_factory.mktemp("ml")
    catalogue = recorded_catalogue()
    films = list(dict.fromkeys([*catalogue.anchors, *catalogue.shortlist]))[:60]
    ratings = [f"{user}\t{film}\t{1 + n % 5}\t{100 + n}\n" for user in USERS for n, film in enumerate(films)]
    (folder / "u.data").write_text("".join(ratings))
    (folder / "u.item").write_text("".join(f"{film}|Film {film} (1995)|01-Jan-1995|||0|1\n" for film in films))
    (folder / "u.user").write_text("".join(f"{user}|47|M|educator|29206\n" for user in USERS))
    return folder


@pytest.fixture
def world(environment, tmp_path, sample, valkey, kafka, monkeypatch, reki):
    """The stores with the sample in it; `world()` reads a user's rows and state."""
    drawn_release(
        tmp_path / "releases",
        {"1": 2},
        encoder_id=resolve_encoder_id(),
        factors=load_scenario("films").factors,
        anchors=recorded_catalogue().anchors,
    )
    environment |= {
        "REKI_RELEASES_DIR": str(tmp_path / "releases"),
        "REKI_MOVIELENS_DIR": str(sample),
        "REKI_NAMESPACE": NAMESPACE,
        "REKI_REDIS_URL": valkey.url,
        "REKI_KAFKA_BOOTSTRAP": kafka.bootstrap,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = connect(valkey.url)
    client.flushall()
    load_sample()
    keys = Keys(NAMESPACE)
    reader, store = FeatureReader(client, keys), StateStore(client, keys, 100)

    def read(user):
        return (
            reader.read("user_knowledge", [user])[0],
            reader.read("user_expected", [user], None, "blue")[0],
            store.read(user),
        )

    read.client, read.reader = client, reader
    yield read
    client.close()


def test_whoever_is_taken_out_of_what_is_stored_is_said_to_be_in_feast_still(world, reki):
    assert "still in Feast: `reki forget 15`" in reki("forget", "15")[1]
    assert "Feast" not in reki("forget", "nobody")[1]


def test_generated_knowledge_is_in_force_and_a_second_run_changes_nothing(world, reki, llm, tmp_path):
    client = world.client
    client.hset(Keys(NAMESPACE).state_key("14"), "forgotten", "1")  # in a stub nothing else counts
    code, out, err = reki("generate", "users")
    assert code == 0, err
    assert "2 written" in out
    assert len(llm.prompts) == 2
    texts, expected, state = world("13")
    assert (texts["knowledge_mode"], texts["knowledge_model"], texts["knowledge_rev"]) == ("individual", "double", 30)
    named = json.loads(texts["knowledge_expectations"])
    assert named["likes"]
    assert expected["expected_source"].startswith("double|")
    assert expected["expected_anchors"].any()
    assert state.refreshed_rev == 30
    [stored] = [
        one for one in KnowledgeStore(tmp_path / "data" / "knowledge").newest("user") if one.knowledge.entity_id == "13"
    ]
    assert state.prompt_hashes == (stored.prompt_hash,)
    assert json.loads(texts["knowledge_factors"]) == stored.knowledge.factors
    times = world.reader.event_times("user_knowledge", list(USERS))
    code, out, err = reki("generate", "users")
    assert code == 0, err
    assert "2 in place" in out
    assert len(llm.prompts) == 2
    assert world.reader.event_times("user_knowledge", list(USERS)) == times
    code, out, err = reki("generate", "users", "--missing")
    assert (code, out) == (0, "Nothing is missing: all users have knowledge in force.\n"), err
    # Knowledge of clusters would replace none of theirs, which a dry run says before it is paid for.
    assert with_own_knowledge(current_settings().feature_repo, ["13", "nobody", "15"]) == 2
    code, out, err = reki("show", "user", "13")
    assert code == 0, err
    assert "in force (Feast): individual, double" in out
    assert f"Film {named['likes'][0]} (1995)" in out
    assert "0 since" in out


def test_rows_that_were_cut_off_before_their_announcement_are_announced_by_the_next_run(world, reki, llm, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("reki.knowledge.feast._ATTEMPTS", 1)

        async def away(*_):
            raise TransientError("broker_unavailable", "the broker did not take a record (gone): trying again")

        broken.setattr("streams.publisher.Publisher.send", away)
        code, _, err = reki("generate", "users")
    assert code == 1
    assert "The same command goes on where this one ended" in err
    assert "trying again" not in err
    assert world("13")[2].generation == 0
    calls = len(llm.prompts)
    code, _, err = reki("generate", "users")
    assert code == 0, err
    assert [world(user)[2].generation for user in USERS] == [1, 1, 1]
    assert len(llm.prompts) == calls, "nothing is paid for twice"  # the three have the same events: one prompt
    assert "3 in place" in reki("generate", "users")[1]


def test_items_are_written_with_vectors_of_the_release(world, reki, llm):
    code, out, err = reki("generate", "items", "--limit", "4")
    assert code == 0, err
    assert "4 written" in out
    ids = sorted({"13", *(one for one in recorded_catalogue().anchors)}, key=int)
    rows = [row for row in world.reader.read("item_knowledge", ids) if row and row["item_knowledge_model"] == "double"]
    assert rows
    assert "4 in place" in reki("generate", "items", "--limit", "4")[1]
    assert len(llm.prompts) == 4


def test_imported_knowledge_reaches_feast_but_not_for_users_whom_it_knows_more_of(world, reki, tmp_path):
    assert reki("generate", "users")[0] == 0
    file = tmp_path / "users.jsonl"
    assert reki("export", file)[0] == 0
    records = [json.loads(line) for line in file.read_text().splitlines()]
    changed = [record | {"factors": {"genre": "told by somebody else"}, "model": "other"} for record in records]
    changed[1]["source_rev"] = 99
    changed.append(changed[0] | {"entity_id": "nobody"})
    file.write_text("".join(json.dumps(record) + "\n" for record in changed))
    code, out, err = reki("import", file, "--feast")
    assert code == 0, err
    assert "4 records taken" in out
    assert "1 ahead" in out
    assert "Stored, not in force: 1 ahead. They were made from more events" in out
    assert "1 without a user" in out
    assert "2 written" in out
    assert world(changed[0]["entity_id"])[0]["knowledge_model"] == "other"
    assert world(changed[1]["entity_id"])[0]["knowledge_model"] == "double"


def test_knowledge_of_clusters_replaces_no_knowledge_of_the_item_itself(world, reki):
    before = world.reader.read("item_knowledge", ["50"])
    code, out, err = reki("generate", "items", "--mode", "collective", "--k", "2")
    assert code == 0, err
    assert "60 kept" in out
    assert world.reader.read("item_knowledge", ["50"]) == before
    code, out, err = reki("generate", "items", "--mode", "collective", "--k", "2", "--replace")
    assert code == 0, err
    assert "60 written" in out
    assert world.reader.read("item_knowledge", ["50"])[0]["item_knowledge_mode"] == "collective"


def test_what_is_in_force_though_nothing_is_stored_is_exported_and_taken_elsewhere(world, reki, environment, tmp_path):
    file = tmp_path / "in-force.jsonl"
    code, _, err = reki("export", file)
    assert code == 2
    assert "--in-force writes what the running stack uses" in err
    code, out, err = reki("export", file, "--in-force")
    assert code == 0, err
    records = {(one["entity"], one["entity_id"]): one for one in map(json.loads, file.read_text().splitlines())}
    assert {user for kind, user in records if kind == "user"} == set(USERS)
    assert sum(kind == "item" for kind, _ in records) == 60
    assert records["user", "13"]["factors"] == json.loads(world("13")[0]["knowledge_factors"])
    assert records["user", "13"]["mode"] == records["item", "50"]["mode"] == "recorded"
    environment["REKI_DATA_DIR"] = str(tmp_path / "elsewhere")
    code, out, err = reki("import", file)
    assert code == 0, err
    assert "63 records taken" in out


def test_a_catalogue_of_the_stacks_items_is_used_and_vectors_that_say_nothing_are_not(
    world, reki, llm, environment, tmp_path
):
    make = ("catalogue", "--out", tmp_path / "own.json", "--anchors", "6", "--shortlist", "20")
    code, out, err = reki(*make, "--find-file", tmp_path / "find.json")
    assert code == 0, err
    assert "of 60 items by titles and genres" in out  # the drawn release's projections are zeros
    assert "touched by 3 people" in out
    index = load_index(tmp_path / "find.json")
    assert index.shape == (1, 384)
    # Of 60 films the three have rated the first 30 that the history holds: the other 30 are found for them.
    assert sorted(index.touches.tolist()) == [0] * 30 + [3] * 30
    environment |= {
        "REKI_CATALOGUE_FILE": str(tmp_path / "own.json"),
        "REKI_CATALOGUE_FIND_FILE": str(tmp_path / "find.json"),
    }
    code, out, err = reki("generate", "users")
    assert code == 0, err
    assert llm.prompts
    assert all("Found for this person" in prompt for prompt in llm.prompts)
