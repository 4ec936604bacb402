"""A mapping file reads any table, and refuses what it would have to guess."""

import re
from datetime import UTC, datetime

import pytest

from knowledge.base import TerminalError
from ranking.datasets import load_dataset
from ranking.datasets.mapping import read_mapping
from reki.paths import ROOT

HEAD = 'file = "log.tsv"\nseparator = "\\t"\nuser = "u"\nitem = "i"\ntime = "t"\n'
NOON = datetime(2001, 1, 1, 12, tzinfo=UTC)


def read(folder, log, events, rest=""):
    (folder / "log.tsv").write_text(log, encoding="utf-8")
    (folder / "map.toml").write_text(f"[events]\n{HEAD}{events}\n{rest}", encoding="utf-8")
    return load_dataset(str(folder / "map.toml"), folder)


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        ("978350400", 'time_unit = "s"'),
        ("978350400000", 'time_unit = "ms"'),
        ("978350400000000", 'time_unit = "us"'),
        ("2001-01-01T13:00:00+01:00", 'time_unit = "iso"'),
        ("2001-01-01T12:00:00Z", 'time_unit = "iso"\ntime_zone = "Europe/Berlin"'),
        ("2001-01-01 13:00:00", 'time_unit = "iso"\ntime_zone = "Europe/Berlin"'),
    ],
)
def test_the_same_moment_in_any_unit(tmp_path, time, unit):
    data = read(tmp_path, f"u\ti\tt\tv\n1\t2\t{time}\t4.5\n", f'value = "v"\n{unit}')
    assert [tuple(rating) for rating in data.ratings] == [("1", "2", 4.5, NOON)]
    assert (data.items["2"].title, data.users["1"].fields) == ("", {})


def test_clicks_without_a_value_get_the_one_that_the_mapping_states(tmp_path):
    data = read(tmp_path, "u\ti\tt\n1\t2\t5\n", 'constant_value = 4.0\ntime_unit = "s"')
    assert data.ratings[0].value == 4.0


def test_profile_fields_are_those_of_the_mapping_alone(tmp_path):
    (tmp_path / "people.csv").write_text("id,age,email\n1,30,a@b.example\n3,,\n")
    rest = '[users]\nfile = "people.csv"\nuser = "id"\nfields = { age = "age" }\n'
    data = read(tmp_path, "u\ti\tt\n1\t2\t5\n", 'constant_value = 4.0\ntime_unit = "s"', rest)
    assert {user: profile.fields for user, profile in data.users.items()} == {"1": {"age": "30"}, "3": {}}
    assert list(data.by_user()) == ["1"]


def test_equal_rows_are_refused_or_dropped_as_the_mapping_says(tmp_path):
    log = "u\ti\tt\tv\n1\t2\t5\t3\n1\t2\t5\t4\n1\t2\t6\t5\n"
    with pytest.raises(TerminalError, match=r'log.tsv:3: a second row of user 1 .* duplicates = "drop"'):
        read(tmp_path, log, 'value = "v"\ntime_unit = "s"')
    data = read(tmp_path, log, 'value = "v"\ntime_unit = "s"\nduplicates = "drop"')
    assert [rating.value for rating in data.ratings] == [3.0, 5.0]  # rated again later is no double


@pytest.mark.parametrize(
    ("log", "events", "reason", "says"),
    [
        ("u\ti\tt\n1\t2\t2001-01-01\n", 'time_unit = "iso"', "naive_time", "no time zone: add time_zone"),
        ("u\ti\tt\n1\t2\tnoon\n", 'time_unit = "iso"', "bad_data", r"log.tsv:2: 'noon' is no ISO 8601 time"),
        ("u\ti\tt\n1\t2\t978350400000\n", 'time_unit = "s"', "bad_data", "is the unit really 's'"),
        ("u\tx\tt\n1\t2\t5\n", 'time_unit = "s"', "bad_data", "no column 'i': it has u, x, t"),
        ("u\ti\tt\n", 'time_unit = "s"', "no_data", "no ratings"),
        ("u\ti\tt\n1\t2\n", 'time_unit = "s"', "bad_data", "2 columns where 3 are named"),
        ("u\ti\tt\n1\t\t5\n", 'time_unit = "s"', "bad_data", "'' is no item id"),
        ("u\ti\tt\n1\t2\t5\n", 'time_unit = "days"', "bad_mapping", "events.time_unit: Input should be 's', 'ms'"),
        ("u\ti\tt\n1\t2\t5\n", 'time_unit = "s"\nvalue = "v"', "bad_mapping", "either value or constant_value"),
        ("u\ti\tt\n1\t2\t5\n", 'time_unit = "s"\ntime_zone = "Mars"', "bad_mapping", "no time zone 'Mars'"),
        ("u\ti\tt\n1\t2\t5\n", 'time_unit = "s"\nstars = "v"', "bad_mapping", "events.stars: Extra inputs"),
        ("u\ti\tt\n1\t2\t5\n", 'time_unit = "s', "bad_mapping", "is not TOML"),
        ("u\ti\tt\n1\t2\t5\n", "x = " + "[" * 100_000, "bad_mapping", "is not TOML"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_in_a_sentence(tmp_path, log, events, reason, says):
    with pytest.raises(TerminalError, match=says) as caught:
        read(tmp_path, log, f"constant_value = 4.0\n{events}")
    assert caught.value.reason == reason
    assert "\n" not in caught.value.message


def test_a_folder_in_the_place_of_a_mapping_is_told(tmp_path):
    (tmp_path / "map.toml").mkdir()
    with pytest.raises(TerminalError, match="is a directory"):
        read_mapping(tmp_path / "map.toml")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(TerminalError, match=r"mapping file .*map.toml is missing"):
        load_dataset(tmp_path / "map.toml", tmp_path)
    read(tmp_path, "u\ti\tt\n1\t2\t5\n", 'constant_value = 4.0\ntime_unit = "s"')
    (tmp_path / "log.tsv").unlink()
    with pytest.raises(TerminalError, match=r"log.tsv is missing"):
        load_dataset(tmp_path / "map.toml", tmp_path)


def test_the_mapping_in_the_documentation_is_one(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/datasets.md").read_text(), re.DOTALL)
    (tmp_path / "map.toml").write_text(example)
    told = read_mapping(tmp_path / "map.toml")
    assert (told.events.time_zone, told.items.fields["genres"], told.users.user) == ("Europe/Berlin", "tags", "id")
