"""What `reki evaluate` says to options: followed or refused, never ignored; and what a plan leaves alone."""

import fcntl
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from knowledge.base import TerminalError
from ranking.evaluate.runs import Runs
from ranking.evaluate.store import Result, SampleTable
from reki.cli import app
from reki.evaluate import ablations, ctr, rerank, robust
from reki.evaluate.places import DATASETS, places
from reki.evaluate.show import processes
from reki.paths import cache_dir

COMMANDS = ("ctr", "rerank", "freshness", "robust", "ablations")


@pytest.fixture
def fetched() -> Path:
    """The folder of the data set."""
    folder = cache_dir() / DATASETS["ml-100k"]
    if not folder.is_dir():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    return folder


def refused(*said: str) -> str:
    return refused_by("evaluate", *said)


def refused_by(*said: str) -> str:
    done = CliRunner().invoke(app, said)
    assert isinstance(done.exception, TerminalError), done.output
    return done.exception.message


@pytest.mark.parametrize("command", ["ctr", "rerank", "robust", "ablations"])
def test_a_quick_run_refuses_folds_and_seeds_that_it_would_not_follow(command: str, tmp_path: Path) -> None:
    said = [command, "--quick", "--out", str(tmp_path)]
    assert "--quick decides --folds itself (folds 1, seeds 1" in refused(*said, "--folds", "3")
    assert "--quick decides --folds, --seeds itself" in refused(*said, "--folds", "3", "--seeds", "2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [
        ("ctr", "--splits", "time"),
        ("ctr", "--deeper", "din"),
        ("ctr", "--page-blind"),
        ("rerank", "--uniform-seeds", "2"),
    ],
)
def test_a_quick_run_refuses_whatever_else_it_decides(more: tuple[str, ...], tmp_path: Path) -> None:
    assert f"--quick decides {more[1]} itself" in refused(*more, "--quick", "--out", str(tmp_path))


def test_a_quick_run_follows_names_that_were_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = []
    for module in (ctr, rerank, robust, ablations):
        monkeypatch.setattr(
            module, "run", lambda said, *_: chosen.append((said.backbones, said.folds, said.seeds)) or 0
        )
    for command, names in (("ctr", "dcn,din"), ("rerank", "prm,mir"), ("robust", "dcn,din"), ("ablations", "dcn,din")):
        said = ["evaluate", command, "--quick", "--out", str(tmp_path), "--folds", "1"]
        assert CliRunner().invoke(app, [*said, "--backbones", names]).exit_code == 0
        assert chosen.pop()[0] == names
        assert CliRunner().invoke(app, said).exit_code == 0
        assert chosen.pop()[0] == {"rerank": "dlcm", "ablations": "din,dcnv2"}.get(command, "din")


def test_options_that_choose_from_others_are_not_ignored_in_silence(tmp_path: Path) -> None:
    out = ("--plan", "--out", str(tmp_path))
    assert "dcnv2 is not among --backbones (din)" in refused("ctr", *out, "--backbones", "din", "--deeper", "dcnv2")
    assert "nothing would be trained for kar" in refused("ctr", *out, "--backbones", "dcn", "--variants", "ours,kar")
    assert "nothing would be trained for plain" in refused("ctr", *out, "--folds", "0", "--splits", "none")
    lists = refused("rerank", *out, "--variants", "ours", "--uniform-variants", "plain")
    assert "plain is not among --variants (ours)" in lists
    assert "there are 1 --seeds" in refused("rerank", *out, "--seeds", "1", "--uniform-seeds", "2")
    for command in COMMANDS:
        assert "--report and --plan exclude each other" in refused(command, *out, "--report")


@pytest.mark.parametrize(
    "command", [(name,) for name in COMMANDS] + [(n, "--quick") for n in COMMANDS if n != "freshness"]
)
def test_a_plan_makes_nothing_and_runs_beside_an_evaluation(
    command: tuple[str, ...], tmp_path: Path, fetched: Path
) -> None:
    out = tmp_path / "out"
    assert fetched.is_dir()
    done = CliRunner().invoke(app, ["evaluate", *command, "--out", str(out), "--plan"])
    assert done.exit_code == 0, done.output
    assert " 0 there already" in done.output
    assert not out.exists()
    refused(*command, "--out", str(out), "--report")
    assert not out.exists()
    held = out / "quick" if "--quick" in command else out
    held.mkdir(parents=True)
    with (held / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = CliRunner().invoke(app, ["evaluate", *command, "--out", str(out), "--plan"])
        assert done.exit_code == 0, done.output
        assert "another evaluation is writing" in refused(*command, "--out", str(out), "--report")
    assert list(held.iterdir()) == [held / ".lock"]


def test_a_second_quick_run_leaves_the_data_of_the_first_whole(tmp_path: Path, fetched: Path) -> None:
    data = places("ml-100k", tmp_path, quick=True).data
    ratings = data / f"{fetched.name}.inter"
    with ratings.open() as reading:
        places("ml-100k", tmp_path, quick=True)
        assert len(reading.readlines()) > 40 * 60  # truncated, it would be empty for whoever opened it before
    assert {path.suffix for path in data.iterdir()} == {".inter", ".item", ".user"}


def test_out_that_is_a_file_is_named(tmp_path: Path, fetched: Path) -> None:
    (tmp_path / "out").write_text("")
    for command in COMMANDS:
        assert "is a file: --out names a folder" in refused(command, "--out", str(tmp_path / "out"), "--plan")


def test_a_data_set_without_its_files_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REKI_CACHE", str(tmp_path))
    folder, out = tmp_path / DATASETS["ml-100k"], ("--out", str(tmp_path / "out"))
    commands = [("ctr", "--quick"), *((name,) for name in COMMANDS), ("contamination",)]
    for command in commands:
        assert "`sh scripts/setup` fetches it" in refused(*command, *out)
    folder.mkdir(parents=True)
    for command in commands:
        assert "lacks ml-100k.inter, ml-100k.item, ml-100k.user" in refused(*command, *out)
    assert "lacks" in refused("ctr", *out, "--plan")
    (folder / "ml-100k.inter").write_text("")
    for command in commands:
        assert "lacks ml-100k.item, ml-100k.user" in refused(*command, *out)
    assert "lacks ml-100k.item, ml-100k.user" in refused_by("release", "settle", *out)
    for name in ("ml-100k.item", "ml-100k.user"):
        (folder / name).write_text("")
    assert "has no ratings" in refused("ctr", "--quick", *out)
    assert not (tmp_path / "out").exists()


def test_a_data_set_in_which_nobody_rated_much_has_no_quick_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REKI_CACHE", str(tmp_path))
    folder = tmp_path / DATASETS["ml-100k"]
    folder.mkdir(parents=True)
    (folder / "ml-100k.item").write_text("id\ttitle\tyear\tgenres\n1\tHeat\t1995\tCrime\n")
    (folder / "ml-100k.user").write_text("id\tage\tgender\toccupation\n1\t30\tM\twriter\n")
    (folder / "ml-100k.inter").write_text("user\titem\trating\ttime\n1\t1\t4\t900000000\n\n")
    assert "nobody in" in refused("ctr", "--quick", "--out", str(tmp_path / "out"))


@pytest.mark.parametrize(
    "command", [("evaluate", "ctr"), ("evaluate", "rerank"), ("evaluate", "ablations"), ("release", "settle")]
)
def test_results_to_reuse_that_are_not_there_are_refused(
    command: tuple[str, str], tmp_path: Path, fetched: Path
) -> None:
    out = ("--out", str(tmp_path), *(("--plan",) if command[0] == "evaluate" else ()))
    assert "--reuse nonsense: no results of this code in" in refused_by(*command, *out, "--reuse", "nonsense")
    assert list(tmp_path.iterdir()) == []
    for name in ("ml-100k", "ml-100k-lists-popularity"):
        where = places("ml-100k", tmp_path, quick=False, make=False)
        (Runs(name, where, [], "ranking.evaluate.models", "ranking.backbones").store.folder / "0123456789ab").mkdir(
            parents=True
        )
    assert "there are 0123456789ab" in refused_by(*command, *out, "--reuse", "0123456789ab,nonsense")
    assert "--reuse ..:" in refused_by(*command, *out, "--reuse", "..")
    if command[0] == "evaluate":
        done = CliRunner().invoke(app, [*command, *out, "--reuse", "0123456789ab"])
        assert done.exit_code == 0, done.output


def test_more_processes_than_cores_and_seeds_beyond_number_are_not_begun(tmp_path: Path, fetched: Path) -> None:
    cores = processes(0)
    assert [processes(1), processes(cores), processes(1000)] == [1, cores, cores]
    done = CliRunner().invoke(app, ["evaluate", "ctr", "--plan", "--workers", "1000", "--out", str(tmp_path)])
    assert f"--workers 1000: {cores} of them, one a core" in done.output
    for command, more in (("ctr", "--seeds"), ("rerank", "--uniform-seeds"), ("freshness", "--seeds")):
        done = CliRunner().invoke(app, ["evaluate", command, "--plan", more, "1000000000", "--out", str(tmp_path)])
        assert done.exit_code == 2
    done = CliRunner().invoke(app, ["evaluate", "rerank", "--plan", "--folds", "0", "--out", str(tmp_path)])
    assert done.exit_code == 2


def test_results_of_other_code_alone_give_no_report_in_the_place_of_an_earlier_one(
    tmp_path: Path, fetched: Path
) -> None:
    store = Runs("ml-100k", places("ml-100k", tmp_path, False, make=False), [], "", "").store
    numbers = np.zeros(1, dtype=np.int32)
    store.write("0123456789ab", "0-s0-din-ours", Result(np.zeros(1), np.zeros(1), numbers, numbers, {}))
    store.write_samples(SampleTable(numbers, np.zeros(1), numbers))
    (tmp_path / "ctr.md").write_text("## Earlier\n")
    assert "nothing was evaluated" in refused("ctr", "--out", str(tmp_path), "--report")
    assert (tmp_path / "ctr.md").read_text() == "## Earlier\n"
