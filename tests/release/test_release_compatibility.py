"""Releases that earlier versions wrote load, and answer as they did on the day they were written."""

import pytest
import torch
from safetensors.torch import load_file

from ranking.release import Release
from tests.release.write_fixture import FIXTURES

WRITTEN = sorted(path.name for path in FIXTURES.iterdir())


def test_a_release_from_before_temperatures_has_none():
    (path,) = (FIXTURES / "first").glob("*/")
    assert Release.load(path).temperature == 1.0


def test_there_are_releases_of_earlier_versions():
    assert {"first", "ours", "tempered", "reweighs"} <= set(WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_release_written_by_an_earlier_version_loads_and_answers_the_same(name):
    folder = FIXTURES / name
    (path,) = folder.glob("*/")
    release = Release.load(path)
    assert release.release_id == path.name
    inputs, answers = load_file(folder / "inputs.safetensors"), load_file(folder / "answers.safetensors")
    texts, mask = inputs.pop("texts"), inputs.pop("texts_mask")
    with torch.inference_mode():
        item_vec, item_summary = release.hein.item(texts, mask)
        logits = release.ranker()(inputs)
        found = {
            "logits": logits,
            "probabilities": torch.sigmoid(logits / release.temperature),
            "item_vec": item_vec,
            "item_summary": item_summary,
            "user_summary": release.hein.user(texts, mask),
        }
    for key, answer in answers.items():
        # Another processor adds in another order, no more.
        torch.testing.assert_close(found[key], answer, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    assert answers["logits"].std() > 0.1  # a network that says the same of everything would prove nothing
