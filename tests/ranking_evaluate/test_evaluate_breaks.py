"""What the evaluation commands say to damaged files and odd options: one sentence, and no claim without evidence."""

import json
from pathlib import Path

import numpy as np
import pytest

from knowledge.base import TerminalError
from ranking.evaluate.store import Result, ResultStore, take
from ranking.settled import FILE, load_settled
from reki.evaluate.ctr import Chosen, _wanted
from reki.evaluate.options import every
from reki.evaluate.places import QUICK, mark_quick
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
