"""The report: its JSON is the agreed one, its claims are those that the numbers bear."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from knowledge.base import TerminalError
from ranking.evaluate.bootstrap import Drawn
from ranking.evaluate.ctr import returning
from ranking.evaluate.plan import HEADLINE, SPLITS, Group, Job, Wanted
from ranking.evaluate.plots import plots
from ranking.evaluate.report import Report
from ranking.evaluate.store import Result, ResultStore, SampleTable
from ranking.evaluate.summary import Run, Scores, measure, scores
from ranking.evaluate.tables import target_lines
from ranking.evaluate.targets import Claim, claims, losses, only_user_bias
from ranking.variants import VARIANTS
from reki.cli import app
from reki.evaluate.ctr import OTHERS
from reki.evaluate.publish import publish

AUC = {"plain": 0.75, "strong": 0.76, "title_text": 0.77, "no_user_llm": 0.78, "ours": 0.79}


def _scores(auc, gauc, spread=0.001, valid=0.8):
    draw = np.random.default_rng(0)
    noise = draw.normal(size=2000) * spread
    own = draw.normal(size=2000) * spread / 100
    run = Run(auc, gauc, 0.7, 1 - auc, 1.1, 4, 20.0, valid)
    job = Job(Group("0"), 0, "din", "ours")
    drawn = (Drawn(auc, auc + noise + own), Drawn(gauc, gauc + noise + own))
    return Scores((job, job), (run, run), *drawn, ((0.1, 0.1, 5), (0.8, 0.9, 5)))


@pytest.fixture
def report():
    table = {"din": {name: _scores(auc, auc - 0.05) for name, auc in AUC.items()}}
    return Report("ml-100k", 5, 2, "abc", table, {"din": {"ours": _scores(0.785, 0.735)}}, {"design": table})


def test_the_json_is_the_agreed_one(report):
    page = json.loads(json.dumps(report.ctr_json(), allow_nan=False))
    assert set(page) == {"dataset", "folds", "seeds", "commit", "backbones"}
    plain, ours = page["backbones"]["din"]["plain"], page["backbones"]["din"]["ours"]
    assert set(plain) == {"auc", "gauc", "logloss", "by_fold_seed", "ours_minus"}
    assert set(ours) == {"auc", "gauc", "logloss", "by_fold_seed", "page_blind"}
    assert plain["by_fold_seed"] == [[0.75, 0.7], [0.75, 0.7]]
    assert set(plain["ours_minus"]) == {"auc_relative", "gauc_relative"}
    low, middle, high = plain["ours_minus"]["auc_relative"]
    assert low < middle == round(0.79 / 0.75 - 1, 5) < high
    assert ours["page_blind"] == {"auc": 0.785, "gauc": 0.735}
    json.dumps(report.details_json(), allow_nan=False)


def test_a_target_needs_the_gain_and_certainty():
    sure = {name: _scores(auc, auc - 0.05) for name, auc in AUC.items()}
    made = {(claim.against, claim.metric): claim for claim in claims({"din": sure})}
    assert made["plain", "auc"].met
    assert made["plain", "auc"].adjusted == pytest.approx(5 * 2 / 2001)
    assert made["no_user_llm", "auc"].met
    less = {**sure, "ours": _scores(0.779, 0.7)}
    assert not next(claim for claim in claims({"din": less}) if claim.metric == "gauc").met
    draw = np.random.default_rng(5).normal(size=2000) * 0.1
    unsure = {**sure, "plain": Scores(*[getattr(sure["plain"], n) for n in ("jobs", "runs")], Drawn(0.75, 0.75 + draw),
                                      sure["plain"].gauc, ())}  # fmt: skip
    assert not next(claim for claim in claims({"din": unsure}) if claim.against == "plain").met


def test_auc_without_gauc_is_named_user_bias(report):
    bias = _scores(0.80, 0.70)
    assert only_user_bias(bias, _scores(0.79, 0.71))
    table = {"din": {"plain": _scores(0.79, 0.71), "ours": bias}}
    assert "(user bias only)" in Report("d", 5, 2, "c", table).markdown()
    assert "(user bias only)" not in report.markdown()


def test_targets_are_read_at_a_glance(report):
    sure = dict(report.headline["din"])
    less = {**sure, "ours": _scores(0.779, 0.74)}
    lines = target_lines(claims({"din": sure, "dcn": less}), losses({"din": sure, "dcn": less}))
    said = {line.split(" at least")[0]: line for line in lines if line.startswith("*")}
    assert "**met on 1 of 2 backbones**, not on dcn; smallest gain -0.13 % [" in said["* AUC over `no_user_llm`"]
    assert "**met on 2 of 2 backbones**; smallest" in said["* GAUC over `no_user_llm`"]
    assert "LogLoss lower than that of every other variant of the headline: **met on 1 of 2" in lines[-7]
    head, _, wanted, din, dcn = (line.strip("| ").split(" | ") for line in lines[-5:])
    place = head.index("AUC over `no_user_llm`")
    assert wanted[place] == "*at least +0.7 %*"
    assert din[place].startswith("+1.28 % [+1.2")
    assert din[place].endswith("] met")
    assert dcn[place].endswith("] **not met**")
    assert (din[-1], dcn[-1]) == ("-0.0100 (`no_user_llm`) met", "+0.0010 (`no_user_llm`) **not met**")
    assert len({len(row) for row in (head, wanted, din, dcn)}) == 1
    assert target_lines([], []) == []


def test_the_literal_strong_base_stands_beside_the_better_one(report):
    def page(valid):
        long = _scores(0.755, 0.7, valid=valid)
        return Report("d", 5, 2, "c", {"din": {**report.headline["din"], "strong_long": long}}).markdown()

    rows = [line.split(" | ")[1] for line in page(0.79).splitlines() if line.startswith("| din | ")][:6]
    assert rows == ["plain", "strong", "strong_long", "title_text", "no_user_llm", "ours"]
    assert "the better of the two on validation users (AUC there: din 0.8000 against 0.7900)" in page(0.79)
    assert "but for din, where the gain over `strong_long` is the one to read" in page(0.81)
    assert "strong_long" not in report.markdown()


def test_the_time_split_says_what_it_is_and_who_is_tested():
    table = SampleTable(np.repeat(np.arange(4), 10), np.zeros(40), np.arange(40))
    numbers = np.arange(5, 10), np.arange(15, 30)  # user 1 has samples in training, user 2 has none
    note = returning(table, Result(np.zeros(5), np.zeros(15), *numbers, {}))
    assert (
        note == "2 users are tested; 1 of them have samples in training too, and 33 % of the test samples are theirs."
    )
    split = {"time": {"din": {"plain": _scores(0.75, 0.7)}}}
    page = Report("d", 5, 2, "c", {}, splits=split, notes={"time": note}).markdown()
    assert page.index("### One global time split") < page.index("before one moment") < page.index(note)


def test_models_without_a_backbone_on_another_split_are_not_averaged_with_the_folds(comparison):
    wanted = Wanted(("din",), ("ours", "head_only"), folds=1, seeds=1, splits=SPLITS, page_blind=False)
    evaluation = comparison(wanted)
    table, result = _result(1.0)
    store = evaluation.runs.store
    store.write_samples(table)
    for job in evaluation.runs.jobs:
        store.write(evaluation.runs.versions[job.backbone], job.name, result)
    made = evaluation.report("abc")
    assert made.missing == ()
    assert {job.fold for job in made.splits["head_only"]["trees"]["head_only"].jobs} == {0}
    assert set(made.splits["time"]) == {"din", "logistic", "trees"}
    assert {job.fold for job in made.splits["time"]["trees"]["head_only"].jobs} == {"time"}
    assert set(made.notes) == {"time"}
    assert set(made.ctr_json()["backbones"]) == {"din"}


def test_what_a_backbone_adds_to_the_heads_inputs_is_said(report):
    alone = {"logistic": {"head_only": _scores(0.785, 0.735)}}
    both = Report("d", 5, 2, "c", report.headline, splits={"head_only": alone})
    low, middle, high = both.details_json()["backbone_adds"]["din"]["logistic"]["auc_relative"]
    assert low < middle == round(0.79 / 0.785 - 1, 5) < high
    assert "| din | logistic | +0.64 % [" in both.markdown()


def test_what_is_missing_is_said(report):
    missing = ["time-s0-din-kar", "3-s1-dcnv2-kar-blind", "design-s1-din-kar"]
    text = Report("d", 5, 2, "c", report.headline, missing=missing).markdown()
    assert (
        "**Not trained: 3 runs, none of the headline's; what lacks one is left out.** `kar` (design, page-blind" in text
    )
    text = Report("d", 5, 2, "c", report.headline, missing=["3-s1-dcnv2-ours"]).markdown()
    assert "**Not trained: 1 runs; what lacks one is left out.** `ours` (folds)." in text


def test_a_p_value_that_so_few_draws_cannot_make_smaller_says_so(report):
    wanted = "(no draw against it: 2,000 draws and 5 comparisons tell no less)"
    assert f"largest adjusted p 0.005 {wanted}" in report.markdown()
    claims = [Claim("din", "plain", "auc", 0.04, 0.05, 0.06, 0.07, adjusted=0.03)]
    assert target_lines(claims, [])[-6].endswith("largest adjusted p 0.030")


def test_every_plot_is_a_picture(report):
    made = plots(report)
    assert set(made) == {"ctr-auc.svg", "ctr-gain-auc.svg", "ctr-gain-gauc.svg", "ctr-calibration.svg"}
    for text in made.values():
        picture = ElementTree.fromstring(text)  # noqa: S314 - our own
        width = float(picture.get("width"))
        places = [
            float(node.get(name)) for node in picture.iter() for name in ("cx", "x1", "x2", "x") if node.get(name)
        ]
        assert 0 <= min(places) <= max(places) <= width


def _result(valid_scale):
    draw = np.random.default_rng(1)
    label = (draw.random(40) < 0.5).astype(np.float32)
    logit = (label * 2 - 1 + draw.normal(size=40)).astype(np.float32)
    table = SampleTable(np.repeat(np.arange(4), 10), label, np.arange(40))
    numbers = np.arange(20), np.arange(20, 40)
    about = {"epochs": 3, "cpu_s": 1.0, "wall_s": 1.0}
    return table, Result(logit[:20] * valid_scale, logit[20:] * valid_scale, *numbers, about)


def test_temperature_takes_a_models_overconfidence_away():
    (table, one), (_, other) = _result(1.0), _result(9.0)
    assert measure(table, one)[0].logloss == pytest.approx(measure(table, other)[0].logloss, rel=1e-4)
    assert measure(table, one)[0].auc == measure(table, other)[0].auc


def test_seeds_are_averaged_before_users_are_drawn():
    table, result = _result(1.0)
    jobs = [Job(Group("0"), seed, "din", "ours") for seed in (0, 1)]
    found = scores(table, jobs, lambda job: result)
    assert len(found.runs) == 2
    assert found.auc.observed == pytest.approx(found.runs[0].auc)


def test_a_damaged_result_is_named(tmp_path):
    store = ResultStore(tmp_path, "d", "v")
    _, result = _result(1.0)
    store.write("code", "0-s0-din-ours", result)
    assert np.array_equal(store.read("code", "0-s0-din-ours").test, result.test)
    store.path("code", "0-s0-din-ours").write_bytes(b"PK half")
    with pytest.raises(TerminalError, match="delete it"):
        store.read("code", "0-s0-din-ours")


def test_the_page_is_made_of_the_reports_that_are_there(tmp_path):
    out, docs = tmp_path / "out", tmp_path / "docs"
    out.mkdir()
    with pytest.raises(TerminalError, match="no report"):
        publish(out, docs)
    for name, text in {"ctr.md": "## A\n", "ctr.json": "{}", "ctr-auc.svg": "<svg/>", "x.json": "1"}.items():
        (out / name).write_text(text)
    (docs / "results").mkdir(parents=True)
    (docs / "results" / "log.md").write_text("## What was tried\n")
    publish(out, docs)
    page = (docs / "results.md").read_text()
    assert page.index("* [A](#a)") < page.index("## What was tried") < page.index("## A")
    assert "* [What was tried](#what-was-tried)" in page
    assert page.index("## A") < page.index("(results/ctr-auc.svg)")
    assert {path.name for path in (docs / "results").iterdir()} == {"ctr.json", "ctr-auc.svg", "log.md"}


def test_an_unknown_name_is_one_sentence(tmp_path):
    done = CliRunner().invoke(app, ["evaluate", "ctr", "--out", str(tmp_path), "--backbones", "bert", "--plan"])
    assert isinstance(done.exception, TerminalError)
    assert "no backbone 'bert': there are din, dien" in done.exception.message


def test_every_variant_can_be_asked_for():
    assert sorted((*HEADLINE, *OTHERS)) == sorted(VARIANTS)


@pytest.mark.slow
def test_the_quick_evaluation_runs_from_data_to_report(quick_out):
    done = CliRunner().invoke(app, ["evaluate", "ctr", "--quick", "--workers", "1", "--out", str(quick_out)])
    assert done.exit_code == 0, done.output
    page = json.loads((quick_out / "quick" / "ctr.json").read_text())
    assert set(page["backbones"]["din"]) == set(AUC)
    again = CliRunner().invoke(app, ["evaluate", "ctr", "--quick", "--out", str(quick_out), "--plan"])
    assert "5 there already, 0 to train" in again.output
