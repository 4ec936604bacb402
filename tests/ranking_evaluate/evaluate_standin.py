"""A stand-in for `ranking.fold`, quick and with known truths: what the runner is tested with.

Samples of 24 users; variant `ours` sees the truth better than `plain`; `slow` waits; `broken` raises; `dies` ends its
process. Every training leaves a line in `trained.log` of the cache folder.
"""

import os
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

NOISE = {"plain": 3.0, "strong": 2.5, "title_text": 2.4, "no_user_llm": 2.0, "ours": 1.0, "slow": 1.0}


@dataclass(frozen=True)
class Predictions:
    valid: np.ndarray
    test: np.ndarray
    valid_numbers: np.ndarray
    test_numbers: np.ndarray
    epochs: int
    cpu_s: float


def build_fold(data_folder, encodings_folder, cache_folder, fold, page_blind):
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(24), 20)
    true = draw.normal(size=len(user))
    label = (draw.random(len(user)) < 1 / (1 + np.exp(-2 * true))).astype(np.float32)
    item = np.arange(len(user)) % 50
    return SimpleNamespace(user=user, item=item, label=label, true=true, fold=fold, cache=cache_folder)


def train_variant(material, backbone, variant, seed, *, page_blind=False):
    if variant == "broken":
        raise ValueError("nothing to train")
    if variant == "dies":
        os._exit(9)
    if variant == "slow":
        time.sleep(0.4)
    user, true = material.user, material.true
    fold = material.fold if isinstance(material.fold, int) else 0
    draw = np.random.default_rng([fold, seed, len(backbone), len(variant)])
    logit = 4.0 * (true + (NOISE[variant] + page_blind) * draw.normal(size=len(true)))
    test, valid = (np.flatnonzero(user % 4 == (fold + shift) % 4) for shift in (0, 1))
    with (material.cache / "trained.log").open("a") as log:
        log.write(f"{fold} {seed} {backbone} {variant} {page_blind} {os.getpid()}\n")
    return Predictions(logit[valid], logit[test], valid, test, 3, 0.01)
