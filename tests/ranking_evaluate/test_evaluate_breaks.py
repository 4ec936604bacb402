"""What the evaluation commands say to damaged files and odd options: one sentence, and no claim without evidence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from knowledge.base import TerminalError
from ranking.evaluate.runs import wrong
from ranking.evaluate.store import Result, ResultStore, take
from ranking.settled import FILE, load_settled
from reki.cli import app
from reki.evaluate.ctr import Chosen, _wanted
from reki.evaluate.options import every
from reki.evaluate.places import QUICK, mark_quick, say_written
from reki.evaluate.publish import publish


def test_an_empty_or_half_written_result_is_named_as_damaged(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, "data", "version")
    numbers = np.zeros(1, dtype=np.int32)
    store.write("code", "run", Result(np.zeros(1), np.zeros(1), numbers, numbers, {"epochs": 1}))
    path = store.path("code", "run")
    arrays = take(path)
    for content in ({**arrays, "about": np.frombuffer(b'{"epo', dtype=np.uint8)}, {"about": arrays["about"]}):
        np.savez(path, **content)
        with pytest.raises(TerminalError, match="damaged"):
            store.read("code", "run")
    path.write_bytes(b"")
    with pytest.raises(TerminalError, match="damaged"):
        store.read("code", "run")


@pytest.mark.parametrize(
    "broken",
    [
        {"about": [1]},
        {"about": {"epochs": 3}},
        {"test": np.zeros(3)},
        {"test": np.full(4, np.nan)},
        {"test_numbers": np.arange(4.0)},
        {"test_numbers": np.arange(6, 10)},
        {"valid_numbers": np.arange(-1, 3)},
    ],
)
def test_a_result_that_does_not_fit_its_samples_is_named_as_damaged(broken: dict[str, Any]) -> None:
    numbers, about = np.arange(4), {"epochs": 3, "cpu_s": 1.0}
    good = Result(np.zeros(4), np.zeros(4), numbers, numbers, about)
    assert wrong(good, 8) == wrong(good, None) == ""
    assert wrong(replace(good, **broken), 8)


def test_a_missing_sample_table_beside_results_is_not_called_an_empty_folder(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, "data", "version")
    with pytest.raises(TerminalError, match="nothing was evaluated"):
        store.samples()
    numbers = np.zeros(1, dtype=np.int32)
    store.write("code", "run", Result(np.zeros(1), np.zeros(1), numbers, numbers, {}))
    with pytest.raises(TerminalError, match=r"samples\.npz is missing"):
        store.samples()


def test_a_quick_report_says_so_and_is_not_published(tmp_path: Path) -> None:
    page = tmp_path / "rerank.md"
    page.write_text("## Reranking\n")
    mark_quick([page], quick=False)
    assert page.read_text() == "## Reranking\n"
    mark_quick([page], quick=True)
    assert page.read_text().startswith(QUICK)
    with pytest.raises(TerminalError, match="quick"):
        publish(tmp_path, tmp_path / "docs")


def test_a_publication_removes_its_own_stale_files_and_nobody_elses(tmp_path: Path) -> None:
    out, docs = tmp_path / "out", tmp_path / "docs"
    (docs / "results").mkdir(parents=True)
    out.mkdir()
    for name in ("ctr.md", "ctr.json", "ctr_details.json", "ctr-auc.svg", "ctr_notes.json", "rerank.json"):
        (out / name).write_text("")
    stale = ["ctr-gone.svg", "rerank.json", "rerank_details.json", "robust-masks.svg"]
    hands = [
        "ideas.md",
        "log.md",
        "tuning.json",
        "knowledge-loss.json",
        "ctr.csv",
        "ctrl-x.svg",
        "my-ctr-auc.svg",
        "ctr-x.png",
    ]
    for name in [*stale, *hands]:
        (docs / "results" / name).write_text("")
    done = CliRunner().invoke(app, ["evaluate", "publish", "--out", str(out), "--docs", str(docs)])
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines() if "removed" in line] == [
        str(docs / "results" / name) for name in stale
    ]
    fresh = ["ctr.json", "ctr_details.json", "ctr-auc.svg"]
    assert sorted(path.name for path in (docs / "results").iterdir()) == sorted([*hands, *fresh])


def test_plots_of_an_earlier_report_are_not_left_to_be_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("freshness-auc-dcnv2.svg", "freshness-auc-din.svg", "freshness.json", "robust-masks.svg"):
        (tmp_path / name).write_text("")
    say_written("freshness", [tmp_path / "freshness.json", tmp_path / "freshness-auc-din.svg"], quick=False)
    assert f"{tmp_path}/freshness-auc-dcnv2.svg removed" in capsys.readouterr().out
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"freshness-auc-din.svg", "freshness.json", "robust-masks.svg"}


def test_a_damaged_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "ctr.md").write_bytes(b"## A\n")
    (tmp_path / "ctr.json").write_bytes(b"\xff\xfe")
    with pytest.raises(TerminalError, match=r"ctr\.json is damaged"):
        publish(tmp_path, tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_headline_and_all_may_stand_among_other_variants() -> None:
    def variants(said: str) -> tuple[str, ...]:
        chosen = Chosen("ml-100k", "all", said, 5, 2, "none", "none", False, 0, Path(), "", False)
        return tuple(_wanted(chosen).variants)

    assert variants("headline,ours_summaries") == (*variants("headline"), "ours_summaries")
    assert every("backbone", "all", ("a", "b")) == ("a", "b")
    with pytest.raises(TerminalError, match="no variant 'x'"):
        variants("headline,x")


@pytest.mark.parametrize("broken", [{"epochs": 4.5}, {"temperature": float("inf")}, {"epochs": 0}])
def test_settled_values_that_would_break_later_are_refused_at_once(tmp_path: Path, broken: dict[str, float]) -> None:
    named = json.loads(FILE.read_text())
    for variant in named["variants"].values():
        variant.update(broken)
    (tmp_path / "settled.json").write_text(json.dumps(named))
    with pytest.raises(TerminalError, match="cannot be used"):
        load_settled(tmp_path / "settled.json")
