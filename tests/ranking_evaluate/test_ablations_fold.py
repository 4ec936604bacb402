"""Columns under other inputs, on real data of 40 users: what changes and what does not; the command, resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ranking.evaluate.ablation_changes import CHANGES, Change
from ranking.evaluate.ablation_fold import AblationFold
from ranking.variants import VARIANTS
from reki.cli import app
from reki.evaluate.places import places

pytestmark = pytest.mark.slow
ROWS = "no_user_llm,kar_concat,no_genre,ring_50,clusters_50"


@pytest.fixture(scope="module")
def fold(quick_out):
    where = places("ml-100k", quick_out, True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield AblationFold(where.data, where.encodings, where.cache, 0)
    torch.set_num_threads(before)


def _same(fold, columns, but=()):
    for name, values in columns.items():
        mine, own = values.float(), fold.base.columns[name].float()
        assert (mine.shape != own.shape or not torch.allclose(mine, own, atol=2e-3)) == (name in but), name


def test_without_a_change_every_column_is_the_folds_own(fold):
    columns, item_vec = fold.columns(Change(tuple(VARIANTS["ours"].groups)))
    assert set(columns) == set(VARIANTS["ours"].groups)
    assert torch.equal(item_vec, fold.base.item_vec)
    _same(fold, columns)


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        ("no_genre", CHANGES["no_genre"].groups),
        ("dim_8", CHANGES["dim_8"].groups),
        ("tfidf", CHANGES["tfidf"].groups),
        ("clusters_50", CHANGES["clusters_50"].groups),
        ("likes_only", ("anchored",)),
        ("anchors_only", ("anchored",)),
        ("ring_50", ("statistics", "experienced_mean")),
        ("ring_all", ()),  # nobody here has more than 100 events
    ],
)
def test_a_row_differs_where_it_should_and_nowhere_else(fold, row, changed):
    read = tuple(name for name in VARIANTS["ours"].groups if name not in CHANGES[row].absent)
    _same(fold, fold.columns(replace(CHANGES[row], groups=read))[0], but=changed)
    own = fold.columns(CHANGES[row])[0]
    assert set(own) == set(CHANGES[row].groups)


def test_the_factor_that_is_left_out_is_the_one_that_is_named(fold):
    _, item_vec = fold.columns(CHANGES["no_soundtrack"])
    assert torch.equal(item_vec, fold.base.item_vec[:, :-1])
    _, item_vec = fold.columns(CHANGES["no_genre"])
    assert torch.equal(item_vec, fold.base.item_vec[:, 1:])


def test_columns_are_made_once_for_all_backbones_of_a_row(fold, monkeypatch):
    made = []
    own = AblationFold.columns
    monkeypatch.setattr(AblationFold, "columns", lambda self, change: made.append(change) or own(self, change))
    for row in ("ring_50", "ring_50", "no_genre", "ring_50"):
        fold.material(CHANGES[row])
    assert made == [CHANGES[row] for row in ("ring_50", "no_genre", "ring_50")]


def test_the_command_is_resumed_and_reports(quick_out):
    def run(*more):
        out = ("--out", str(quick_out), "--workers", "1", "--backbones", "din", "--quick", "--only", ROWS)
        done = CliRunner().invoke(app, ["evaluate", "ablations", *out, *more])
        assert done.exit_code == 0, done.output
        return done.output

    run()
    page = json.loads((quick_out / "quick" / "ablations.json").read_text())
    assert set(page["backbones"]["din"]) == {"ours", *ROWS.split(",")}
    assert page["missing"] == []
    assert np.isfinite(page["backbones"]["din"]["no_genre"]["minus"]["ours"]["gauc"]).all()
    lost = next((quick_out / "quick").glob("ml-100k-*/*/0-s0-din-no_genre.npz"))
    lost.unlink()
    assert "no_genre" not in run("--report").split("## Ablations")[1]
    again = run()
    assert "1/1 0-s0-din-no_genre" in again
    repeated = json.loads((quick_out / "quick" / "ablations.json").read_text())["backbones"]["din"]["no_genre"]
    assert repeated["by_fold_seed"] == page["backbones"]["din"]["no_genre"]["by_fold_seed"]  # repeatable
