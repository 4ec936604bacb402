"""A release trained on a few users: whole, verified, repeatable, and blind to the users kept out."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from encoders.condense import Condenser
from encoders.text_cache import EncodingCache
from knowledge.base import TerminalError
from knowledge.recorded import RecordedStore
from ranking.release import Release
from ranking.settled import VARIANT, load_settled
from ranking.training import train
from reki.paths import cache_dir

pytestmark = pytest.mark.slow  # trains small releases

ROOT = Path(__file__).parents[2]
TRITON_PYTHON = ROOT / ".venv-triton/bin/python"


@pytest.fixture
def copy(small_release, tmp_path):
    """A copy of the release that a test may damage."""
    return Path(shutil.copytree(small_release.path, tmp_path / small_release.release_id))


def test_a_release_says_what_it_is(small_release):
    catalogue = RecordedStore.load().catalogue
    assert small_release.path.name == small_release.release_id
    assert len(small_release.release_id) == 12
    assert small_release.anchors == tuple(catalogue.anchors)
    assert all(1 <= mean <= 5 for mean in small_release.anchor_means)
    assert small_release.accepted_knowledge == (f"recorded-llm|recorded-1|{catalogue.version}",)
    assert sorted(small_release.vocabulary.values()) == list(range(2, len(small_release.vocabulary) + 2))
    assert (small_release.dim, small_release.history_length, small_release.ring_size) == (16, 50, 100)
    assert len(small_release.factors) == 9
    settled = load_settled()
    assert small_release.temperature == settled.variants[VARIANT].temperature
    assert small_release.metrics["auc_folds"] == settled.variants[VARIANT].auc.mean
    assert 0 < small_release.metrics["auc_kept_out_without_knowledge"] < 1
    training = small_release.about.training
    assert (training["users_train"], training["users_kept_out"], training["epochs"]) == (30, 4, 2)
    assert training["samples_short_histories"] == round(0.1 * training["samples_train"]) > 0


def test_training_twice_gives_the_same_release(small_options, small_release):
    assert train(small_options).release_id == small_release.release_id


def test_the_future_of_users_who_are_kept_out_reaches_no_weight(small_options, small_release, tmp_path):
    other = train(replace(small_options, data=_turned(small_options, tmp_path / "data"), out=tmp_path / "out"))
    for name in ("ranker.safetensors", "hein.safetensors"):
        before, after = load_file(small_release.path / name), load_file(other.path / name)
        assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert other.metrics["auc_kept_out"] != small_release.metrics["auc_kept_out"]


def test_users_who_are_not_kept_out_are_trained_on(small_options, small_release, tmp_path):
    other = train(replace(small_options, data=_turned(small_options, tmp_path / "data", "1"), out=tmp_path / "out"))
    before, after = (load_file(one.path / "ranker.safetensors") for one in (small_release, other))
    assert not all(torch.equal(tensor, after[key]) for key, tensor in before.items())


def _turned(options, folder, *users):
    """The data with all ratings of these users, else of those kept out, turned into their opposite."""
    shutil.copytree(options.data, folder)
    header, *lines = (folder / "ml-100k.inter").read_text().splitlines()
    changed = []
    for line in lines:
        user, item, value, at = line.split("\t")
        turned = user in (users or options.without_users)
        changed.append("\t".join([user, item, str(6 - float(value)) if turned else value, at]))
    (folder / "ml-100k.inter").write_text("\n".join([header, *changed]) + "\n")
    return folder


def test_the_split_of_the_trial_can_be_checked(small_options, tmp_path):
    release = train(replace(small_options, check_split=True, epochs=1, most_users=12, out=tmp_path))
    assert {"auc_valid", "auc_valid_without_knowledge", "auc_test", "auc_test_without_knowledge"} <= set(
        release.metrics
    )
    assert "auc_folds" not in release.metrics  # of models trained on other users, which these figures stand beside
    assert release.about.training["stopped_by"] == "validation users"


@pytest.mark.parametrize("name", ["ranker.safetensors", "hein.safetensors", "vocabulary.json", "release.json"])
def test_a_release_that_was_changed_is_refused(copy, name):
    data = bytearray((copy / name).read_bytes())
    place = data.index(b'"scenario": "films"') + 13 if name == "release.json" else len(data) - 5
    data[place] = ord("g") if data[place] != ord("g") else ord("h")
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(TerminalError, match="train again") as caught:
        Release.load(copy)
    assert caught.value.reason == "bad_release"


def test_an_incomplete_release_says_what_is_missing(copy, tmp_path):
    (copy / "ranker.safetensors").unlink()
    with pytest.raises(TerminalError, match=r"ranker\.safetensors is missing"):
        Release.load(copy)
    with pytest.raises(TerminalError, match=r"release\.json is missing"):
        Release.load(tmp_path / "nowhere")


def test_a_release_of_another_format_is_refused_by_name(copy):
    about = json.loads((copy / "release.json").read_text())
    (copy / "release.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(TerminalError, match="release format 99") as caught:
        Release.load(copy)
    assert caught.value.reason == "other_format"


def test_an_encoder_of_another_space_is_refused(small_release, tmp_path):
    class Other:
        encoder_id, dim = "other", 384

    with pytest.raises(TerminalError, match="not other"):
        small_release.condenser(Other(), EncodingCache(tmp_path))


def test_condensed_items_are_the_vectors_that_the_ranker_was_trained_with(small_release):
    from encoders.sentence import SentenceEncoder

    store = RecordedStore.load()
    condenser = small_release.condenser(
        SentenceEncoder(small_release.encoder_id), EncodingCache(cache_dir() / "encodings")
    )
    assert isinstance(condenser, Condenser)
    vec, summary = condenser.items([store.items()[anchor] for anchor in small_release.anchors])
    trained = load_file(small_release.path / "ranker.safetensors")["head.anchor_vec"]
    np.testing.assert_allclose(vec, trained.numpy(), atol=1e-5)
    assert np.isfinite(summary).all()


@pytest.mark.skipif(not TRITON_PYTHON.exists(), reason="no .venv-triton: `sh scripts/setup` makes it")
def test_the_ranker_loads_and_answers_alike_in_the_triton_environment(small_release):
    program = """
import json, sys, torch
from ranking.release import Release
ranker = Release.load(sys.argv[1]).ranker()
torch.manual_seed(0)
shape = ranker.shape
batch = {
    "user_stats": torch.rand(2, 5), "user_experienced": torch.randn(2, 2, 9, 16),
    "user_expected": torch.randn(2, 2, 9, 16), "user_anchors": torch.full((2, 40), 4.0),
    "user_summary": torch.randn(2, 32), "user_mask": torch.ones(2, 4, dtype=torch.uint8),
    "hist_index": torch.full((2, 50), 3, dtype=torch.int32), "hist_value": torch.full((2, 50), 4.0),
    "hist_vec": torch.randn(2, 50, 9, 16), "item_index": torch.full((2, 3), 5, dtype=torch.int32),
    "item_vec": torch.randn(2, 3, 9, 16), "item_summary": torch.randn(2, 3, 32),
    "item_mask": torch.ones(2, 3, dtype=torch.uint8),
}
tops = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"logits": ranker(batch).tolist(), "loaded": sorted(tops & {"knowledge", "pydantic", "sklearn"})}))
"""
    answers = []
    for python in (TRITON_PYTHON, sys.executable):
        done = subprocess.run(
            [python, "-c", program, small_release.path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    assert answers[0]["loaded"] == []
    np.testing.assert_allclose(answers[0]["logits"], answers[1]["logits"], rtol=1e-4, atol=1e-5)


def test_the_command_speaks_json_lines_and_fails_with_a_reason(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ranking.train", "--data", tmp_path, "--encodings", tmp_path, "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert lines[0] == {"stage": "data", "done": 0, "total": 1}
    assert lines[-1]["reason"] == "no_data"
    assert str(tmp_path) in lines[-1]["message"]
