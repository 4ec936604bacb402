import json

import pytest

from knowledge.base import TerminalError
from reki.settings import FIELD_ROOM, ROOMS, Source, load_settings, unknown_variables
from reki.stack.ports import StackPorts

PORTS = StackPorts(1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_every_field_name_belongs_to_one_room_alone():
    assert len(FIELD_ROOM) == sum(len(model.model_fields) for model in ROOMS.values())


def test_every_field_says_what_it_is():
    silent = [name for model in ROOMS.values() for name, field in model.model_fields.items() if not field.description]
    assert silent == []


def test_the_environment_beats_the_file_and_the_file_the_default(tmp_path):
    (tmp_path / "reki.toml").write_text("[streams]\nring_size = 50\nkafka_session_timeout_s = 9\n")
    settings = load_settings(tmp_path, {"REKI_RING_SIZE": "60"})
    assert (settings.streams.ring_size, settings.sources["ring_size"]) == (60, Source.ENVIRONMENT)
    assert settings.streams.kafka_session_timeout_s == 9
    assert settings.sources["kafka_session_timeout_s"] is Source.FILE
    assert settings.sources["refresh_min_events"] is Source.DEFAULT


def test_folders_do_not_depend_on_where_a_command_is_called(tmp_path):
    settings = load_settings(tmp_path, {})
    assert settings.feature_repo.offline_dir == tmp_path / ".reki/data/offline"
    assert settings.encoders.encodings_dir == tmp_path / ".reki/cache/encodings"


def test_answers_of_the_llm_are_personal_data_and_lie_with_the_data(tmp_path):
    assert load_settings(tmp_path, {}).knowledge.knowledge_cache_dir == tmp_path / ".reki/data/answers"
    moved = load_settings(tmp_path, {"REKI_DATA_DIR": "/elsewhere", "REKI_CACHE": "/shared"})
    assert str(moved.knowledge.knowledge_cache_dir) == "/elsewhere/answers"


def test_folders_in_the_cache_follow_the_cache(tmp_path):
    settings = load_settings(tmp_path, {"REKI_CACHE": "/elsewhere", "REKI_RELEASES_DIR": "mine"})
    assert str(settings.encoders.encodings_dir) == "/elsewhere/encodings"
    assert settings.ranking.releases_dir == tmp_path / "mine"


def test_without_own_services_the_addresses_are_those_of_the_stack(tmp_path):
    settings = load_settings(tmp_path, {"REKI_REDIS_URL": "redis://mine:6379/0"}, ports=PORTS)
    assert settings.streams.kafka_bootstrap == "127.0.0.1:2"
    assert settings.sources["kafka_bootstrap"] is Source.STACK
    assert settings.feature_repo.redis_url == "redis://mine:6379/0"
    assert settings.knowledge.llm == "embedded"


@pytest.mark.parametrize("port", [0, 70_000, "many", 6379.5, True, None])
def test_unreadable_ports_are_named_and_not_taken_for_none(tmp_path, port):
    file = tmp_path / ".reki" / "ports.json"
    assert StackPorts.kept(file) == StackPorts.read(file)
    load_settings(tmp_path, {})
    file.write_text(json.dumps({**json.loads(file.read_text()), "kafka": port}))
    assert StackPorts.read(file) is None
    with pytest.raises(TerminalError, match=r"ports\.json does not hold the ports of a stack: .*remove it"):
        load_settings(tmp_path, {})
    assert StackPorts.kept(file).kafka > 1
    load_settings(tmp_path, {})


def test_the_embedded_llm_is_never_taken_for_somebodys_own(tmp_path):
    with pytest.raises(TerminalError, match="llm_base_url"):
        load_settings(tmp_path, {"REKI_LLM": "openai", "REKI_LLM_MODEL": "m"}, ports=PORTS)


def test_a_named_llm_server_is_asked(tmp_path):
    settings = load_settings(tmp_path, {"REKI_LLM_BASE_URL": "http://gpu:8000/v1", "REKI_LLM_MODEL": "m"}, ports=PORTS)
    assert settings.knowledge.llm == "openai"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[streams]\nring_sise = 1\n", "no setting ring_sise in \\[streams\\]"),
        ("[serving]\nring_size = 1\n", "belongs into \\[streams\\]"),
        ("[kafka]\nx = 1\n", "not a table of settings"),
        ("[streams\n", "cannot be read"),
        ("a=" + "[" * 100_000, "cannot be read"),
        ("# caf\xe9\n", "cannot be read: 'utf-8' codec"),
        ("[streams]\nring_size = 0\n", "\\[streams\\] ring_size is not usable"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, said):
    (tmp_path / "reki.toml").write_text(text, encoding="latin-1")
    with pytest.raises(TerminalError, match=said):
        load_settings(tmp_path, {})


def test_a_bad_variable_is_named_without_its_value(tmp_path):
    with pytest.raises(TerminalError, match="REKI_RING_SIZE is not usable") as caught:
        load_settings(tmp_path, {"REKI_RING_SIZE": "hunter2"})
    assert "hunter2" not in caught.value.message


def test_a_misspelt_variable_is_found():
    assert unknown_variables({"REKI_RING_SISE": "1", "REKI_RING_SIZE": "1", "HOME": "/"}) == ["REKI_RING_SISE"]


def test_secrets_never_reach_the_file_of_a_child(tmp_path):
    settings = load_settings(tmp_path, {"REKI_LLM_API_KEY": "hunter2", "REKI_RING_SIZE": "7"})
    file = tmp_path / "run" / "settings.json"
    settings.write(file)
    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    again = load_settings(tmp_path, {"REKI_SETTINGS": str(file), "REKI_LLM_API_KEY": "hunter2"})
    assert again.streams == settings.streams
    assert again.knowledge.llm_api_key.get_secret_value() == "hunter2"


def test_a_replaced_value_is_checked(tmp_path):
    settings = load_settings(tmp_path, {})
    assert settings.replaced(ring_size=9).streams.ring_size == 9
    with pytest.raises(TerminalError, match="ring_size"):
        settings.replaced(ring_size=0)
    with pytest.raises(TerminalError, match="no setting"):
        settings.replaced(ring_sise=9)


def test_a_request_is_not_due_again_while_the_llm_may_still_answer_it(tmp_path):
    settings = load_settings(tmp_path, {})
    assert settings.streams.refresh_deadline_s > settings.knowledge.llm_deadline_s


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"needs llm_base_url \(.*\) and llm_model .*, which are not set"),
        ({"REKI_LLM_MODEL": "m"}, r"needs llm_base_url \([^)]*\), which is not set"),
        ({"REKI_LLM_BASE_URL": "http://h/v1"}, r"needs llm_model \([^)]*\), which is not set"),
    ],
)
def test_settings_that_lack_another_name_it(tmp_path, given, said):
    with pytest.raises(TerminalError, match=said) as caught:
        load_settings(tmp_path, {"REKI_LLM": "openai", **given})
    assert caught.value.message.startswith("settings of [knowledge]: llm = openai")
    assert "REKI_LLM" in caught.value.message
    assert "?" not in caught.value.message
