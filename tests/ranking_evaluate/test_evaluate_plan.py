"""What is trained, in which order, and how long it is said to take."""

import pytest

from ranking.evaluate.plan import BACKBONES, HEADLINE, SPLITS, Group, Job, Wanted, guessed, jobs, pick, seconds_left
from ranking.evaluate.pool import Event
from ranking.evaluate.version import code_of, code_version, data_version
from reki.evaluate.show import Left, about


def test_the_headline_is_every_backbone_and_the_rest_two():
    made = jobs(Wanted(variants=(*HEADLINE, "kar", "head_only"), splits=SPLITS))
    strict = [job for job in made if job.fold_number and not job.group.page_blind]
    assert len([job for job in strict if job.variant in HEADLINE]) == len(BACKBONES) * len(HEADLINE) * 5 * 2
    assert {job.backbone for job in strict if job.variant == "kar"} == {"din", "dcnv2"}
    assert {job.backbone for job in strict if job.variant == "head_only"} == {"logistic", "trees"}
    assert {job.backbone for job in made if job.group.page_blind and job.variant in HEADLINE} == {"din", "dcnv2"}
    assert {job.fold for job in made} == {0, 1, 2, 3, 4, "design", "time"}
    assert {job.backbone for job in made if job.fold == "time"} == {"din", "dcnv2", "logistic", "trees"}
    assert len({job.name for job in made}) == len(made)


def test_a_worker_stays_with_the_group_that_it_has_fitted_and_avoids_those_of_others():
    one, two = Group("0"), Group("1", True)
    pending = [Job(one, 0, "din", "ours"), Job(one, 1, "din", "ours"), Job(two, 0, "din", "ours")]
    assert pick(pending, two, [one]) == pending[2]
    assert pick(pending, None, [one]) == pending[2]
    assert pick(pending[:2], two, [one]) == pending[0]
    assert pick([], one, []) is None


def test_time_left_comes_from_finished_runs_of_the_same_kind():
    group = Group("0")
    pending = [Job(group, 0, "din", "ours"), Job(group, 0, "din", "plain"), Job(group, 0, "dcn", "plain")]
    seen = {("din", "ours"): [10.0, 20.0], ("autoint", "ours"): [45.0]}
    # 15 as seen; 15 as the backbone's other variant; 30, the mean of all
    assert seconds_left(pending, seen, 2) == pytest.approx((15 + 15 + 30) / 2)
    assert seconds_left([], seen, 2) == 0.0


def test_a_guess_is_called_one_until_a_run_of_each_kind_has_finished():
    pending = [Job(Group("0"), seed, "din", variant) for variant in ("ours", "plain") for seed in (0, 1)]
    assert guessed(pending, []) == guessed(pending, [("dcn", "ours")]) == "a guess"
    assert guessed(pending, [("din", "ours")]) == "partly a guess"
    assert guessed(pending, [("din", "ours"), ("din", "plain")]) == guessed([], []) == ""
    assert about(120, "a guess", " in all").startswith("about 2 min in all (a guess: no run of these has finished yet")
    assert about(20, "") == "about 20 s"

    left = Left(pending, 1, {("din", "ours"): [999.0], ("din", "plain"): [999.0]}, [])  # guessed, both of them
    assert str(left) == "time left not known yet"
    left.hear(Event("done", pending[0], 10.0))
    assert str(left).endswith("left, partly a guess")
    left.hear(Event("done", pending[2], 30.0))
    assert str(left) == "40 s left"


def _module(folder, name, text):
    (folder / f"{name}.py").write_text(text)


def test_a_comment_or_docstring_does_not_void_results_and_a_number_does(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for text in ('"""One."""\nX = 1\n', '"""Two."""\nX = 1  # one\n', "X = 2\n"):
        (tmp_path / "evaluate_versioned.py").write_text(text)
        seen.append(code_version(["evaluate_versioned"]))
    assert seen[0] == seen[1] != seen[2]


def test_results_of_a_backbone_depend_on_its_own_file_and_on_shared_code_only():
    read = code_of(["ranking.evaluate.models", "ranking.backbones.din"])
    assert {"ranking.backbones.din", "ranking.fit", "ranking.head", "encoders.hein"} <= set(read)
    assert "ranking.backbones.dcnv2" not in read


def test_other_data_has_another_version(tmp_path):
    (tmp_path / "ratings").write_text("1")
    one = data_version([tmp_path])
    (tmp_path / "ratings").write_text("2")
    assert data_version([tmp_path]) != one
