"""No backbone at all: logistic regression and boosted trees on the head's inputs. Says what a backbone adds to them."""

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ranking.fold import FoldMaterial

HEAD_MODELS = ("logistic", "trees")
Floats = npt.NDArray[np.float32]

_STRENGTHS = (0.001, 0.01, 0.1)  # of the logistic regression's inverse regularisation
_ROUNDS, _STEP = 300, 20
_CLAMP = 5.0


def train_head_only(material: FoldMaterial, features: Floats, model: str, seed: int) -> tuple[Floats, Floats, int]:
    """Logits of validation and test samples, and rounds of boosting (or of the solver), chosen on validation users.

    `features` f32[n, K] are raw, NaN where nothing may be seen. One thread.
    """
    with threadpool_limits(1):
        if model == "logistic":
            return _logistic(material, features)
        if model == "trees":
            return _trees(material, features, seed)
    raise ValueError(f"head model {model!r}: there are {', '.join(HEAD_MODELS)}")


def _logistic(material: FoldMaterial, features: Floats) -> tuple[Floats, Floats, int]:
    train, valid, test = material.train, material.valid, material.test
    mean, scale = np.nanmean(features[train], axis=0), np.nanstd(features[train], axis=0).clip(1e-3)
    standard = np.nan_to_num(((features - mean) / scale).clip(-_CLAMP, _CLAMP))
    labels = material.label.numpy()
    best: tuple[float, Floats, Floats, int] = (-1.0, features[:0, 0], features[:0, 0], 0)
    for strength in _STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=200).fit(standard[train], labels[train])
        logits = fitted.decision_function(standard[valid]).astype(np.float32)
        auc = roc_auc_score(labels[valid], logits)
        if auc > best[0]:
            scored = fitted.decision_function(standard[test]).astype(np.float32)
            best = (auc, logits, scored, int(fitted.n_iter_[0]))
    return best[1:]


def _trees(material: FoldMaterial, features: Floats, seed: int) -> tuple[Floats, Floats, int]:
    train, valid, test = material.train, material.valid, material.test
    labels = material.label.numpy()
    fitted = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=_ROUNDS,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=10.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    ).fit(features[train], labels[train])
    rounds = _best_round(fitted, features[valid], labels[valid])
    return _staged(fitted, features[valid], rounds), _staged(fitted, features[test], rounds), rounds


def _best_round(fitted: HistGradientBoostingClassifier, features: Floats, labels: Floats) -> int:
    aucs = [
        roc_auc_score(labels, raw) if number % _STEP == 0 else 0.0
        for number, raw in enumerate(fitted.staged_decision_function(features), start=1)
    ]
    return int(np.argmax(aucs)) + 1


def _staged(fitted: HistGradientBoostingClassifier, features: Floats, rounds: int) -> Floats:
    for number, raw in enumerate(fitted.staged_decision_function(features), start=1):
        if number == rounds:
            return np.asarray(raw, dtype=np.float32)
    raise ValueError(f"there is no round {rounds}")
