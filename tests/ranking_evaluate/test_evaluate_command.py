"""What `reki evaluate` says to options: followed or refused, never ignored; and what a plan leaves alone."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from knowledge.base import TerminalError
from reki.cli import app
from reki.evaluate import ablations, ctr, rerank, robust


def refused(*said: str) -> str:
    done = CliRunner().invoke(app, ["evaluate", *said])
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
    for command in ("ctr", "rerank", "freshness", "robust", "ablations"):
        assert "--report and --plan exclude each other" in refused(command, *out, "--report")
