"""Reranking: its plan, its numbers, its JSON, and a small run from data to report."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ranking.evaluate.lists import LENGTH
from ranking.evaluate.plan import Group, Job
from ranking.evaluate.rerank import WantedLists, jobs, list_scores
from ranking.evaluate.rerank_report import RerankReport
from ranking.evaluate.store import Result, SampleTable
from reki.cli import app


def test_each_order_runs_once_and_each_reranker_with_every_seed():
    made = jobs(WantedLists(("prm",), ("plain", "ours"), folds=2, seeds=3), "popularity")
    assert len(made) == 2 * (2 + 2 * 3)
    assert [job.variant for job in made if job.backbone == "none"] == ["initial", "popularity"] * 2


def test_uniform_lists_run_with_fewer_variants_and_seeds():
    wanted = WantedLists(("prm",), ("strong", "ours"), folds=2, seeds=2)
    uniform = [job for job in jobs(wanted, "uniform") if job.backbone == "prm"]
    assert [(job.variant, job.seed) for job in uniform] == [("ours", 0)] * 2
    assert len([job for job in jobs(wanted, "popularity") if job.backbone == "prm"]) == 2 * 2 * 2


def _lists(strength, seeds=2):
    """Scores of 30 lists of 10 users in one fold."""
    draw = np.random.default_rng(0)
    label = (draw.random((30, LENGTH)) < 0.3).astype(np.float32)
    table = SampleTable(np.repeat(np.arange(10), 3 * LENGTH), label.ravel(), np.arange(300))
    own = [Job(Group("0"), seed, "prm", "ours") for seed in range(seeds)]
    about = {"epochs": 4, "cpu_s": 1.0}
    results = {}
    for job in own:
        score = (strength * label + draw.normal(size=label.shape)).ravel()
        results[job] = Result(score[:0], score * (1 + 9 * job.seed), np.arange(0), np.arange(300), about)
    return list_scores(table, own, results.__getitem__)


def test_a_loud_seed_does_not_outvote_a_quiet_one():
    both = _lists(1.0)
    singles = [run[1] for run in both.runs]
    assert both.ndcg7.observed > max(singles)  # two noisy views together are better than either
    assert both.mean("ndcg7") == pytest.approx(np.mean(singles))


def test_the_json_has_both_kinds_of_lists_and_gains_over_every_variant():
    table = {"prm": {"initial": _lists(0.2, 1), "plain": _lists(0.3), "ours": _lists(2.0)}}
    report = RerankReport("ml-100k", WantedLists(), "abc", {"popularity": table, "uniform": table})
    page = json.loads(json.dumps(report.json(), allow_nan=False))
    rows = page["backbones"]["prm"]
    assert set(rows["initial"]) == {"map7", "ndcg7", "by_fold_seed", "ours_minus"}
    assert set(rows["ours"]) == {"map7", "ndcg7", "by_fold_seed"}
    low, middle, high = rows["plain"]["ours_minus"]["ndcg7_relative"]
    assert 0 < low < middle < high
    assert page["uniform"]["backbones"]["prm"]["ours"] == rows["ours"]
    assert (page["seeds"], page["uniform"]["seeds"]) == (2, 1)
    assert set(report.files()) == {
        "rerank.json",
        "rerank_details.json",
        "rerank.md",
        "rerank-gain-popularity.svg",
        "rerank-gain-uniform.svg",
    }


def test_the_first_line_says_on_how_many_rerankers_the_target_holds():
    good = {"initial": _lists(0.2, 1), "no_user_llm": _lists(1.9), "ours": _lists(2.0)}
    bad = {"initial": _lists(2.0, 1), "ours": _lists(2.0)}
    text = RerankReport("ml-100k", WantedLists(), "abc", {"popularity": {"prm": good, "mir": bad}}).markdown()
    first = text.splitlines()[2]
    assert "Target met on 1 of 2 rerankers (not on mir)" in first
    assert "Over `no_user_llm`" in text
    assert "Best epoch, median over all trainings: prm 4 (at most 4), mir 4 (at most 4); the limit is" in text


def test_a_target_that_nothing_was_trained_for_is_not_called_met():
    report = RerankReport("ml-100k", WantedLists(), "abc", {"uniform": {"prm": {"ours": _lists(2.0)}}})
    assert "not measured" in report.markdown().splitlines()[2]


@pytest.mark.slow
def test_the_quick_reranking_runs_from_data_to_report(quick_out):
    done = CliRunner().invoke(app, ["evaluate", "rerank", "--quick", "--workers", "1", "--out", str(quick_out)])
    assert done.exit_code == 0, done.output
    page = json.loads((quick_out / "quick" / "rerank.json").read_text())
    for found in (page, page["uniform"]):
        assert set(found["backbones"]["dlcm"]) == {"initial", "popularity", "plain", "ours"}
