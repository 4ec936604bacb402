"""The runner on real processes: resumed, killed, failing; a finished run is never trained again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knowledge.base import TerminalError
from ranking.evaluate.plan import Wanted
from ranking.evaluate.store import only_one

pytestmark = pytest.mark.slow


def _trained(evaluation):
    log = evaluation.places.cache / "trained.log"
    return log.read_text().splitlines() if log.exists() else []


def _quiet(event):
    pass


def test_every_run_is_trained_once_and_reported(comparison, standin_environ):
    evaluation = comparison()
    assert evaluation.runs.train(2, standin_environ, _quiet) == {}
    assert len(_trained(evaluation)) == len(evaluation.runs.jobs) == 2 * 5 * 2 * 2 * 2
    assert len({line.split()[-1] for line in _trained(evaluation)}) <= 2  # processes
    again = comparison()
    assert again.runs.pending() == []
    report = again.report("abc")
    assert report.missing == ()
    page = report.ctr_json()
    assert page["backbones"]["din"]["ours"]["auc"] > page["backbones"]["din"]["plain"]["auc"]
    assert {path.suffix for path in again.write(report)} == {".json", ".md", ".svg"}
    assert json.loads((again.places.out / "ctr.json").read_text()) == page


def test_killed_with_minus_9_it_goes_on_where_it_was(comparison, standin_environ, tmp_path):
    wanted = Wanted(("din",), ("slow", "ours"), folds=2, seeds=3, deeper=("din",), page_blind=False)
    evaluation = comparison(wanted)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ranking.evaluate.ctr import Evaluation\n"
        "from ranking.evaluate.runs import Places\n"
        "from ranking.evaluate.plan import Wanted\n"
        f"places = Places(*map(Path, {[str(p) for p in vars(evaluation.places).values()]!r}))\n"
        f"evaluation = Evaluation('small', places, {wanted!r}, 'evaluate_standin')\n"
        "evaluation.runs.train(2, dict(os.environ), lambda event: None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=standin_environ, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while len(list(evaluation.runs.store.folder.rglob("*-s*.npz"))) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        workers = {int(line.split()[-1]) for line in _trained(evaluation)}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 10
    while any(_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_alive(worker) for worker in workers)  # its workers have gone with it
    done = {path.name: path.read_bytes() for path in evaluation.runs.store.folder.rglob("*-s*.npz")}
    assert 4 <= len(done) < len(evaluation.runs.jobs)

    before = len(_trained(evaluation))
    again = comparison(wanted)
    assert again.runs.train(2, standin_environ, _quiet) == {}
    assert len(_trained(again)) - before == len(again.runs.jobs) - len(done)
    assert all(next(again.runs.store.folder.rglob(name)).read_bytes() == content for name, content in done.items())
    assert again.runs.pending() == []


def _alive(pid):
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[:1]


def test_a_failing_run_costs_no_other(comparison, standin_environ):
    wanted = Wanted(("din",), ("broken", "dies", "ours"), folds=1, seeds=1, deeper=("din",), page_blind=False)
    evaluation = comparison(wanted)
    failed = evaluation.runs.train(1, standin_environ, _quiet)
    messages = {job.variant: message for job, message in failed.items()}
    assert set(messages) == {"broken", "dies"}
    assert "nothing to train" in messages["broken"]
    assert "ended twice, exit code 9" in messages["dies"]
    assert [job.variant for job in evaluation.runs.pending()] == ["broken", "dies"]
    report = evaluation.report("abc")
    assert sorted(report.missing) == ["0-s0-din-broken", "0-s0-din-dies"]
    assert list(report.headline["din"]) == ["ours"]


def test_results_of_other_code_count_only_when_named(comparison, standin_environ):
    wanted = Wanted(("din",), ("ours",), folds=1, seeds=1, deeper=(), page_blind=False)
    evaluation = comparison(wanted)
    evaluation.runs.train(1, standin_environ, _quiet)
    code = evaluation.runs.versions["din"]
    os.rename(evaluation.runs.store.folder / code, evaluation.runs.store.folder / "0123456789ab")
    assert len(comparison(wanted).runs.pending()) == 1
    reusing = comparison(wanted, reuse=("0123456789ab",))
    assert reusing.runs.pending() == []
    assert reusing.report("abc").versions == ("0123456789ab",)


def test_two_evaluations_do_not_share_a_folder(tmp_path):
    with only_one(tmp_path), pytest.raises(TerminalError, match="another evaluation"), only_one(tmp_path):
        pass
