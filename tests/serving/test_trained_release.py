"""A trained release in Triton: the same scores as torch alone, and a switch to it while requests run."""

import json
import math
import threading
import urllib.request

import numpy as np
import pytest
import torch

from feature_repo import schema
from knowledge.base import TerminalError
from serving.client import RekiClient
from serving.export import RECOMMEND, export_release, model_names
from serving.ranker_load import COSINE
from serving.settings import ServingSettings
from tests.serving.world import ITEMS, FakeRelease, drawn_release

pytestmark = pytest.mark.services

CANDIDATES = ITEMS[:30]
HISTORY = ITEMS[100:120]
UNSEEN = ITEMS[195]
TEMPERATURE = 1.7


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    vocabulary = {item_id: 2 + n for n, item_id in enumerate(ITEMS[:190])}
    return drawn_release(tmp_path_factory.mktemp("releases"), vocabulary, temperature=TEMPERATURE)


@pytest.fixture(scope="module")
def green(catalogue, release):
    """The other slot, written for the new release; returns what the ranker should be given for the user."""
    for item_id in (*CANDIDATES, *HISTORY, UNSEEN):
        catalogue.item(item_id, release.release_id, slot="green")
    values = [float(1 + number % 5) for number in range(len(HISTORY))]
    experienced = catalogue.numbers(2, schema.FACTORS, schema.DIM)
    stats = [3.0, 0.4, 1.4, math.log1p(20)]
    catalogue.history("green", HISTORY, values, rev=20)
    catalogue.experienced("green", experienced, stats, 20, release.release_id, slot="green")
    expected = catalogue.expected("green", 13, release.release_id, slot="green")
    return {"values": values, "experienced": experienced, "stats": stats, "expected": expected}


def direct(release, catalogue, green, item_ids):
    """Scores from torch alone, the tensors built as the design says and not by our code."""
    count, history = len(item_ids), schema.HISTORY
    hist_vec = np.zeros((1, history, schema.FACTORS, schema.DIM), np.float32)
    hist_vec[0, : len(HISTORY)] = [catalogue.vec[item_id] for item_id in HISTORY]
    hist_index, hist_value = np.zeros((1, history), np.int32), np.zeros((1, history), np.float32)
    hist_index[0, : len(HISTORY)] = [release.vocabulary[item_id] for item_id in HISTORY]
    hist_value[0, : len(HISTORY)] = green["values"]
    expected = green["expected"]
    batch = {
        "user_stats": np.array([[*green["stats"], math.log1p(7)]], np.float32),
        "user_experienced": green["experienced"][None],
        "user_expected": expected["expected_vec"].reshape(1, 2, schema.FACTORS, schema.DIM),
        "user_anchors": expected["expected_anchors"][None],
        "user_summary": expected["expected_summary"][None],
        "user_mask": np.ones((1, 4), np.uint8),
        "hist_index": hist_index,
        "hist_value": hist_value,
        "hist_vec": hist_vec,
        "item_index": np.array([[release.vocabulary.get(item_id, 1) for item_id in item_ids]], np.int32),
        "item_vec": np.stack([catalogue.vec[item_id] for item_id in item_ids])[None],
        "item_summary": np.stack([catalogue.summary[item_id] for item_id in item_ids])[None],
        "item_mask": np.ones((1, count), np.uint8),
    }
    with torch.inference_mode():
        logits = release.ranker()({name: torch.from_numpy(array) for name, array in batch.items()})
    return torch.sigmoid(logits / TEMPERATURE)[0].numpy()


def control(triton, verb, *models):
    for model in models:
        url = f"{triton.http_url}/v2/repository/models/{model}/{verb}"
        urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=120).close()  # noqa: S310 - our own Triton


def test_a_release_is_switched_to_by_reloading_recommend_alone_while_requests_run(
    triton, catalogue, feast_store, release, green
):
    """Nothing fails, releases never mix in an answer, and the new one scores as torch alone does."""
    answers, failures, stop = [], [], threading.Event()

    def keep_asking():
        with RekiClient(ServingSettings(recommend_deadline_s=60), triton.grpc_url) as client:
            while not stop.is_set():
                try:
                    answers.append(client.recommend("green", CANDIDATES))
                except Exception as error:
                    failures.append(error)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    serving = ServingSettings(item_cache_ttl_s=0.5)
    models = triton.run_dir.parent / "models"
    try:
        export_release(models, release, "green", catalogue.settings, serving, store=feast_store)
        control(triton, "load", *model_names(release.release_id), RECOMMEND)
        with RekiClient(ServingSettings(recommend_deadline_s=60), triton.grpc_url) as client:
            answer = client.recommend("green", [*CANDIDATES, UNSEEN])
            explained = client.recommend("green", CANDIDATES, explain=True)
    finally:
        export_release(models, FakeRelease(), "blue", catalogue.settings, serving, COSINE, feast_store)
        control(triton, "load", RECOMMEND)
        control(triton, "unload", *model_names(release.release_id))
        stop.set()
        thread.join()

    assert failures == []
    seen = [one.release for one in answers]
    assert set(seen) <= {FakeRelease().release_id, release.release_id}
    for one in answers:  # blue has nothing of the new release, green nothing of the old: a mix would show in the bits
        assert not one.item_fallback.any()
    assert answer.release == release.release_id
    assert answer.user_fallback == 0
    assert answer.item_fallback.tolist() == [0] * len(CANDIDATES) + [2]
    truth = direct(release, catalogue, green, [*CANDIDATES, UNSEEN])
    assert truth.std() > 0.05
    np.testing.assert_allclose(answer.scores, truth, atol=2e-5)
    parts = json.loads(explained.explanation)
    assert set(parts) == {"history", "experienced", "expected", "summary"}
    assert all(np.abs(falls).max() > 1e-3 for falls in parts.values())


def test_a_release_of_other_sizes_is_refused_before_anything_is_written(catalogue, feast_store, tmp_path):
    wide = FakeRelease(dim=32)
    with pytest.raises(TerminalError, match="32 numbers per factor") as error:
        export_release(tmp_path / "models", wide, "blue", catalogue.settings, ServingSettings(), COSINE, feast_store)
    assert error.value.reason == "other_sizes"
    assert not (tmp_path / "models").exists()
