"""The report over invented answers: what is compared with what, and what is left out while runs are missing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from ranking.datasets.movielens import load
from ranking.evaluate.cold_items import cold_rows
from ranking.evaluate.masks import PARTS
from ranking.evaluate.plan import Group
from ranking.evaluate.robust import Robustness, WantedRobust, jobs
from ranking.evaluate.robust_models import COLD, build_fold, views_of
from ranking.evaluate.robust_report import files, markdown, numbers, plots
from ranking.evaluate.runs import Places
from ranking.evaluate.store import Result, SampleTable
from reki.cli import app
from reki.paths import cache_dir

MOVIELENS = cache_dir() / "recbole/recbole/dataset_example/ml-100k"
SAMPLES = 600
# How much noise each view has: the less, the higher its AUC.
NOISE = {"full": 0.5, "history": 3.0, "events-0": 2.5, "events-0-nothing-told": 4.0}


@pytest.fixture(scope="module")
def robust(tmp_path_factory):
    if not MOVIELENS.is_dir():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    out = tmp_path_factory.mktemp("robust")
    one = Robustness("small", Places(MOVIELENS, out, out, out), WantedRobust(("dcnv2",), folds=2, seeds=2))
    draw = np.random.default_rng(0)
    user, item = np.arange(SAMPLES) % 30, draw.integers(1, 1683, SAMPLES)
    true = draw.normal(size=SAMPLES)
    label = (true > 0).astype(np.float32)
    one.runs.store.write_samples(SampleTable(user, label, item))
    for job in one.runs.jobs:
        fold = int(job.group.split.removeprefix(COLD))
        test, valid = (np.flatnonzero(user % 4 == (fold + shift) % 4) for shift in (0, 2))
        views = ["full"] if job.group.split.startswith(COLD) else views_of(job.variant)
        noise = [NOISE.get(view, 1.0) if job.variant != "plain" else 6.0 for view in views]
        test_logit = np.concatenate([true[test] + scale * draw.normal(size=len(test)) for scale in noise])
        result = Result(
            true[valid], test_logit, valid, np.tile(test, len(views)), {"epochs": 1, "cpu_s": 1.0, "wall_s": 1.0}
        )
        one.runs.store.write(one.runs.versions[job.backbone], job.name, result)
    return one


@pytest.fixture(scope="module")
def page(robust):
    return numbers(robust, "abc")


def test_models_that_two_questions_need_are_trained_once():
    made = jobs(WantedRobust(("din", "dcnv2"), folds=5, seeds=1))
    assert len(made) == len(set(made)) == 5 * 2 * (4 + len(PARTS) + 5)
    assert {job.group for job in made} == {Group(f"{kind}{fold}") for kind in ("", COLD) for fold in range(5)}
    assert [job.variant for job in made].count("ours") == 20


def test_a_masked_part_is_compared_with_the_model_that_never_had_it(page):
    assert page["missing_runs"] == []
    masks = page["masks"]["dcnv2"]
    assert masks["full"]["auc"] > 0.8
    assert list(masks["parts"]) == list(PARTS)
    history = masks["parts"]["history"]  # much noise masked, little in the model without: far outside
    assert history["minus"]["auc"][1] == pytest.approx(history["masked"]["auc"] - history["without"]["auc"], abs=2e-5)
    assert history["minus"]["auc"][2] < -0.1
    assert not history["within"]


def test_new_users_stand_beside_the_variants_and_the_events(page):
    found = page["cold_users"]["dcnv2"]
    assert list(found) == ["plain", "strong", "no_user_llm", "ours_nothing_told", "ours"]
    assert list(found["ours"]) == ["0", "1", "3", "5", "10", "full"]
    assert found["ours"]["0"]["auc"][1] > found["ours_nothing_told"]["0"]["auc"][1]
    assert found["plain"]["full"]["ours_minus"]["auc"][0] > 0
    assert "ours_minus" not in found["ours"]["0"]


def test_new_items_are_those_that_were_drawn_and_no_others(robust, page):
    cold = cold_rows(load(MOVIELENS))
    samples = robust.runs.store.samples()
    tested = samples.user % 4 < 2
    assert page["cold_item_samples"]["cold"] == (cold[samples.item] & tested).sum()
    assert sum(page["cold_item_samples"].values()) == tested.sum()
    rows = page["cold_items"]["dcnv2"]
    assert list(rows) == ["plain", "strong", "no_user_llm", "ours", "title_text"]
    assert list(rows["ours"]) == ["cold", "others", "seen"]
    assert "seen" not in rows["title_text"]


def test_the_report_says_what_is_there(robust):
    made = files(robust, "abc")
    assert made.keys() == {
        "robust.json",
        "robust.md",
        "robust-masks.svg",
        "robust-cold-users-dcnv2-auc.svg",
        "robust-cold-users-dcnv2-gauc.svg",
        "robust-cold-items-dcnv2.svg",
    }
    assert "| dcnv2 | history | " in made["robust.md"]
    assert "Unfinished" not in made["robust.md"]
    assert json.loads(made["robust.json"])["commit"] == "abc"


def test_what_lacks_a_run_is_left_out_and_said(robust):
    lacking = replace(robust, wanted=WantedRobust(("dcnv2",), folds=3, seeds=2))
    page = numbers(lacking, "abc")
    assert len(page["missing_runs"]) == (4 + len(PARTS) + 5) * 2
    assert page["masks"] == page["cold_users"] == page["cold_items"] == {}
    assert "28 runs are missing" in markdown(page)
    assert plots(page) == {}


def test_page_blind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="strict order"):
        build_fold(tmp_path, tmp_path, tmp_path, 0, True)


@pytest.mark.slow
def test_a_quick_evaluation_runs_from_end_to_end_and_goes_on(quick_out):
    command = ["evaluate", "robust", "--quick", "--backbones", "dcnv2", "--workers", "1", "--out", str(quick_out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "14/14" in done.output
    assert json.loads((quick_out / "quick" / "robust.json").read_text())["missing_runs"] == []
    again = CliRunner().invoke(app, [*command, "--plan"])
    assert "14 there already, 0 to train" in again.output
