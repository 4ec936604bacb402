"""HEIN and the way from texts to vectors."""

import numpy as np
import pytest
import torch

from encoders.condense import Condenser
from encoders.hein import Hein, HeinShape
from encoders.sentence import MINILM, SentenceEncoder
from encoders.text_cache import EncodingCache

FACTORS = ("genre", "plot")
SHAPE = HeinShape(factors=2, text_dim=384, dim=4, summary=6, hidden=8)
TEXTS = [
    {"genre": "Animated family comedy", "plot": "Toys come alive and must get home"},
    {"genre": "Dark crime thriller", "plot": "Two detectives hunt a killer"},
    {"genre": "Romantic comedy", "plot": "Two strangers meet on a train"},
    {"genre": "War drama", "plot": "Soldiers cross a river at night"},
    {"genre": "Crime thriller", "plot": ""},
    {},
]


def make(tmp_path):
    torch.manual_seed(0)
    hein = Hein(SHAPE)
    encoder = SentenceEncoder(MINILM)
    cache = EncodingCache(tmp_path)
    texts = torch.from_numpy(cache.encode(encoder, [t[f] for t in TEXTS[:4] for f in FACTORS]).reshape(4, 2, 384))
    hein.fit_space(texts, torch.ones(4, 2), texts, torch.ones(4, 2))
    return Condenser(hein, FACTORS, encoder, cache)


@pytest.mark.slow
def test_the_encoder_puts_like_texts_together_and_its_vectors_have_unit_length():
    crime, thriller, cartoon = SentenceEncoder(MINILM).encode([TEXTS[1]["genre"], TEXTS[4]["genre"], TEXTS[0]["genre"]])
    np.testing.assert_allclose(np.linalg.norm([crime, thriller, cartoon], axis=1), 1, rtol=1e-5)
    assert crime @ thriller > 0.6 > crime @ cartoon


@pytest.mark.slow
def test_bfloat16_is_named_in_the_id_and_hardly_moves_a_vector():
    quick, exact = SentenceEncoder(MINILM + "+bf16"), SentenceEncoder(MINILM)
    texts = [TEXTS[0]["plot"], "x"]
    cosines = (quick.encode(texts) * exact.encode(texts)).sum(1)
    assert quick.encoder_id != exact.encoder_id
    np.testing.assert_allclose(np.linalg.norm(quick.encode(texts), axis=1), 1, rtol=1e-6)
    assert cosines.min() > 0.999


def test_a_missing_factor_is_zeros_and_no_text_at_all_is_no_summary(tmp_path):
    vec, summary = make(tmp_path).items(TEXTS)
    assert vec.shape == (6, 2, 4)
    assert summary.shape == (6, 6)
    assert not vec[4, 1].any()
    assert vec[4, 0].any()
    assert not vec[5].any()
    assert not summary[5].any()
    assert summary[4].any()


def test_an_item_has_the_same_vectors_alone_and_in_company(tmp_path):
    condenser = make(tmp_path)
    vec, summary = condenser.items(TEXTS)
    for place, text in enumerate(TEXTS):
        alone_vec, alone_summary = condenser.items([text])
        np.testing.assert_allclose(alone_vec[0], vec[place], atol=1e-5)
        np.testing.assert_allclose(alone_summary[0], summary[place], atol=1e-5)


def test_the_projection_keeps_likeness_per_factor(tmp_path):
    vec, _ = make(tmp_path).items(TEXTS)
    assert vec[1, 0] @ vec[4, 0] > vec[0, 0] @ vec[4, 0]
    np.testing.assert_allclose(np.linalg.norm(vec[:4], axis=-1), 1, rtol=1e-4)


def test_users_and_items_share_experts_but_not_gates(tmp_path):
    condenser = make(tmp_path)
    assert condenser.users(TEXTS).shape == (6, 6)
    assert not np.allclose(condenser.users(TEXTS[:1]), condenser.items(TEXTS[:1])[1])
    assert condenser.users([]).shape == (0, 6)
