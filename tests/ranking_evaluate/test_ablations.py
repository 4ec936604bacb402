"""Which rows there are, what each changes, and what the report says of known differences."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import knowledge
from encoders.hein import Hein, HeinShape
from knowledge.base import TerminalError
from knowledge.scenario import load_scenario
from ranking.evaluate.ablation_changes import CHANGES
from ranking.evaluate.ablation_fused import Concatenated, Perceptrons
from ranking.evaluate.ablation_report import AblationReport
from ranking.evaluate.ablation_rows import NAMES, SECTIONS, chosen_rows, module_of
from ranking.evaluate.ablation_users import NOT_BLIND, RECOLLECTED, left_out
from ranking.evaluate.ablation_words import word_vectors
from ranking.evaluate.ablations import Ablations
from ranking.evaluate.plan import Group, Job
from ranking.evaluate.runs import Places
from ranking.evaluate.store import Result, SampleTable
from ranking.evaluate.summary import scores
from ranking.variants import VARIANTS

USERS, EACH = 16, 30


def test_a_row_that_is_told_of_is_trained_by_a_module_that_knows_it():
    for row in NAMES:
        if module_of(row).endswith("changed"):
            assert row in CHANGES
    assert {module_of("ours"), module_of("no_genre"), module_of("kar_mlp")} == {
        "ranking.evaluate.models",
        "ranking.evaluate.ablation_changed",
        "ranking.evaluate.ablation_selected",
    }
    assert all(section.second in (None, *NAMES) for section in SECTIONS)


def test_naming_a_section_brings_what_it_is_compared_with():
    assert chosen_rows(["experts"]) == ("ours", "kar", "kar_mlp", "kar_concat", "plain")
    assert chosen_rows([])[0] == "ours"
    assert set(chosen_rows([])) == set(NAMES)
    with pytest.raises(TerminalError) as error:
        chosen_rows(["no_such_row"])
    assert error.value.reason == "bad_option"


def test_each_factor_has_a_row_that_reads_one_factor_less():
    factors = load_scenario("films").factors
    assert [CHANGES[f"no_{factor}"].without for factor in factors] == list(factors)
    assert CHANGES["no_genre"].variant("no_genre").factors == len(factors) - 1
    assert CHANGES["dim_8"].variant("dim_8").factors == len(factors)


def test_likes_without_anchors_read_no_anchor_column_and_the_reverse_no_like():
    likes, anchors = (CHANGES[name].variant(name).groups for name in ("likes_only", "anchors_only"))
    ours = VARIANTS["ours"].groups
    assert [name for name in ours if name not in likes] == [n for n in ours if n.startswith("anchors_")]
    assert [name for name in ours if name not in anchors] == ["expected"]
    # The regression reads both, so it is computed anew in either row.
    assert CHANGES["likes_only"].groups == CHANGES["anchors_only"].groups == ("anchored",)


def test_whatever_reads_a_change_is_computed_anew():
    texts = {"experienced_mean", "neighbourhood_mean", "taste_knowledge", "taste", "expected", "anchored"}
    assert texts | {"anchors_knowledge"} == set(CHANGES["dim_32"].groups)
    said = {name for name in VARIANTS["ours"].groups if name.startswith(("expected", "anchor"))}
    assert said == set(CHANGES["clusters_50"].groups)


def test_users_under_suspicion_are_those_whom_the_data_names():
    text = (Path(knowledge.__file__).parent / "data" / "ml-100k" / "README.md").read_text()
    all_later, some_later = re.search(
        r"all later ratings of users ([\d, and]+) and some of ([\d, and]+):", text
    ).groups()
    assert set(re.findall(r"\d+", all_later + " " + some_later)) == NOT_BLIND
    assert set(re.findall(r"\d+", re.search(r"vague ones for the users ([\d, ]+):", text)[1])) == RECOLLECTED
    groups = left_out(["7", "42", "943"])
    assert [sorted(numbers) for numbers in groups.values()] == [[], [1], [2], [1, 2]]


def test_the_mlps_have_as_many_weights_as_hein_and_concatenation_has_none():
    shape = HeinShape()
    hein, mlp = Hein(shape), Perceptrons(shape)
    experts = sum(w.numel() for name, w in hein.named_parameters() if name != "projection")
    learned = sum(w.numel() for w in mlp.parameters() if w.requires_grad)
    assert learned == pytest.approx(experts, rel=0.01)
    plain, vec = Concatenated(shape), torch.randn(3, 9, 16)
    assert not [w for w in plain.parameters() if w.requires_grad]
    assert torch.equal(plain.user_summary(vec), vec.reshape(3, 144))
    assert mlp.item_summary(vec).shape == (3, 32)
    assert not torch.equal(mlp.item_summary(vec), mlp.user_summary(vec))


def test_words_are_learned_from_training_items_alone():
    texts = [{"genre": "space robots laser"}, {"genre": "space robots"}, {"genre": "cooking romance"}, {"genre": ""}]
    vectors, mask = word_vectors(texts, ["genre", "soundtrack"], {0, 1}, width=8)
    assert mask[:, 0].tolist() == [1, 1, 0, 0]  # no word of the third is known: it says nothing
    assert not mask[:, 1].any()
    assert float(vectors[0, 0] @ vectors[1, 0]) > 0.9
    assert not vectors[2:].any()


def _table(noise):
    """Scores of rows that see the truth through so much noise, of 16 users in one fold."""
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), EACH)
    true = draw.normal(size=len(user))
    label = (draw.random(len(user)) < 1 / (1 + np.exp(-3 * true))).astype(np.float32)
    table = SampleTable(user, label, np.arange(len(user)))
    numbers, about = np.arange(len(user)), {"epochs": 1, "cpu_s": 6.0}
    made = {}
    for row, level in noise.items():
        logit = (true + level * draw.normal(size=len(true))).astype(np.float32)
        result = Result(logit, logit, numbers, numbers, about)
        made[row] = scores(table, [Job(Group("0"), 0, "din", row)], lambda job, result=result: result)
    return made


def test_the_report_says_which_rows_cannot_be_told_from_ours():
    table = _table({"ours": 0.2, "no_genre": 0.21, "no_soundtrack": 3.0, "no_user_llm": 1.5, "clusters_50": 0.8})
    gain = {m: getattr(table["ours"], m).minus(getattr(table["no_user_llm"], m)) for m in ("auc", "gauc")}
    users = {"din": {"nobody": gain, "both": gain}}
    report = AblationReport("small", 1, 1, "abc", {"din": table}, users, ("0-s0-din-dim_8",))
    files = report.files()
    assert set(files) == {"ablations.json", "ablations.md", "ablations-auc.svg", "ablations-gauc.svg"}
    page, text = json.loads(files["ablations.json"]), files["ablations.md"]
    low, middle, high = page["backbones"]["din"]["no_soundtrack"]["minus"]["ours"]["auc"]
    assert low < middle < high < 0
    assert "Below `ours` in AUC beyond chance: `no_soundtrack`" in text
    assert re.search(r"not to be told from `ours` in AUC: `no_genre`", text)
    assert "### What is asked of the LLM" not in text  # a section of which nothing but `ours` is there
    assert f"{gain['auc'].observed:+.4f} instead of {gain['auc'].observed:+.4f} on din" in text
    assert "1 runs are missing" in text
    # Groups of users are also compared with asking nobody about users.
    assert page["backbones"]["din"]["clusters_50"]["minus"]["no_user_llm"]["auc"][0] > 0
    assert "no_soundtrack" in files["ablations-auc.svg"]


def test_results_of_the_main_comparison_count_here_too(tmp_path):
    places = Places(tmp_path / "data", tmp_path, tmp_path, tmp_path / "out")
    (tmp_path / "data").mkdir()
    first, second = Ablations("small", places, ("ours", "no_genre"), ("din",), folds=2).runs
    assert [job.name for job in first.jobs] == ["0-s0-din-ours", "1-s0-din-ours"]
    from ranking.evaluate.ctr import Evaluation
    from ranking.evaluate.plan import Wanted

    main = Evaluation("small", places, Wanted(("din",), ("ours",), folds=2, page_blind=False)).runs
    numbers, logit = np.arange(4), np.ones(4, dtype=np.float32)
    main.store.write(main.versions["din"], "0-s0-din-ours", Result(logit, logit, numbers, numbers, {"wall_s": 1.0}))
    assert [job.name for job in first.pending()] == ["1-s0-din-ours"]
    assert len(second.pending()) == 2


def test_a_plan_counts_columns_once_for_all_backbones_and_seeds(tmp_path):
    places = Places(tmp_path, tmp_path, tmp_path, tmp_path / "out")
    one, many = (
        Ablations("small", places, ("no_genre",), ("din",), folds=1, seeds=seeds)
        .runs[0]
        .expected()["din", "no_genre"][0]
        for seeds in (1, 4)
    )
    train = Ablations("small", places, ("plain",), ("din",), folds=1).runs[0].expected()["din", "plain"][0]
    assert one - train == pytest.approx(4 * (many - train))
