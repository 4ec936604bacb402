"""What each variant of a comparison reads, and the training of one: `train_variant`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from encoders.hein import Hein, HeinShape
from ranking.fit import FitOptions, Inputs, fit, predict, standardise
from ranking.fold import FoldMaterial
from ranking.head import EXPECTED
from ranking.head_only import HEAD_MODELS, train_head_only
from ranking.inputs import Ints
from ranking.model import Ranker
from ranking.shape import RankerShape
from ranking.sources import TITLE_FACTORS
from ranking.tuned import tuned

LONG, SHORT = 50, 10  # history entries of the backbone
HEAD_HIDDEN = 128  # width of the layer over the head's columns
EPOCHS = 12  # at most; early stopping decides


@dataclass(frozen=True)
class Variant:
    """What a ranker reads: groups of the head's columns (group -> column of the material), history, summaries."""

    name: str
    groups: Mapping[str, str] = field(default_factory=dict)
    history: int = SHORT  # newest entries that the backbone reads; the head reads all 50
    summaries: bool = False  # HEIN's summaries of both sides as fields ("KAR")
    factors: int = 9

    @property
    def knows(self) -> bool:
        """Whether its head reads more than statistics of values: it is tuned as `ours` then, else as `strong`."""
        return bool({*self.groups} - {"statistics", "items", "level"})


@dataclass(frozen=True)
class Predictions:
    """Logits of one training's best epoch, nothing hidden."""

    valid: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]
    valid_numbers: Ints  # sample numbers of `valid`
    test_numbers: Ints
    epochs: int
    cpu_s: float


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_STRONG = _same("statistics")
_BASE = _STRONG | _same("items", "level")
_COLLAB = _BASE | _same("collaborative", "taste_collaborative")
_NO_USER_LLM = _COLLAB | _same("experienced_mean", "neighbourhood_mean", "taste_knowledge", "taste")
_ANCHORS = _same("anchors_level", "anchors_knowledge", "anchors_collaborative", "anchors_itself", "anchored")
_EXPECTED = _same("expected") | _ANCHORS
_OURS = _NO_USER_LLM | _EXPECTED | _same("since")
_WITH_RATINGS = {"collaborative", "taste_collaborative", "taste", "anchors_collaborative", "anchored"}
_NO_COLLAB = {name: source for name, source in _OURS.items() if name not in _WITH_RATINGS}
_NO_COLLAB |= _same("anchored_knowledge")
_CONTROL = _OURS | {name: f"control_{name}" for name in _EXPECTED}
_OF_TEXTS = ("experienced_mean", "neighbourhood_mean", "taste_knowledge")
_OVER_TITLES = {name: f"title_{name}" for name in _OF_TEXTS}
_TITLE = _BASE | _OVER_TITLES
_NO_LLM = _COLLAB | _OVER_TITLES | {"taste": "title_taste"}
_TOLD = {*_EXPECTED, "anchored_knowledge", "since"}  # groups that need knowledge of the user

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("plain"),
        # With attention over 50 entries DIN is worse on validation (0.766 for 0.774, docs/results/ideas.md).
        Variant("strong", _STRONG),
        Variant("strong_long", _STRONG, history=LONG),
        Variant("strong_level", _BASE),
        Variant("kar", summaries=True),
        Variant("title_text", _TITLE, factors=len(TITLE_FACTORS)),
        Variant("collab", _COLLAB),
        Variant("no_llm", _NO_LLM, factors=len(TITLE_FACTORS)),
        Variant("no_user_llm", _NO_USER_LLM),
        Variant("ours", _OURS),
        Variant("ours_summaries", _OURS, summaries=True),
        Variant("ours_no_collab", _NO_COLLAB),
        Variant("ours_control", _CONTROL),
        Variant("head_only", _OURS),
    )
}


def train_variant(
    material: FoldMaterial,
    backbone: str,
    variant: str | Variant,
    seed: int,
    *,
    page_blind: bool | None = None,
    options: FitOptions | None = None,
) -> Predictions:
    """Train one backbone on one variant's inputs, early stopping on validation users; the same seed, the same result.

    `backbone` is a name of `ranking.backbones.BACKBONES`; for the variant `head_only` it is "logistic" or "trees".
    `page_blind` may be said for safety: a ValueError if the material is of the other kind. Uses the threads that
    torch is set to.
    """
    if page_blind is not None and page_blind != material.page_blind:
        raise ValueError(f"the material is {'' if material.page_blind else 'not '}page-blind")
    chosen = VARIANTS[variant] if isinstance(variant, str) else variant
    begin = time.process_time()
    if backbone in HEAD_MODELS:
        valid, test, rounds = train_head_only(material, _shown(material, chosen), backbone, seed)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            valid, test, rounds = _train(
                material, backbone, chosen, options or tuned(backbone, chosen.knows, EPOCHS, seed)
            )
    cpu_s = time.process_time() - begin
    return Predictions(valid, test, material.valid, material.test, rounds, cpu_s)


def inputs_of(material: FoldMaterial, features: Tensor | None) -> Inputs:
    """What `ranking.fit` reads of a fold; `features` are the head's raw ones, None without a head."""
    return Inputs(
        material.ids,
        material.label,
        material.user,
        material.item,
        material.item_vec,
        material.users_projected,
        features,
    )


def select(material: FoldMaterial, variant: Variant) -> Tensor:
    """The variant's raw columns f32[n, K]."""
    return torch.cat([material.columns[source].float() for source in variant.groups.values()], dim=1)


def _shown(material: FoldMaterial, variant: Variant) -> npt.NDArray[np.float32]:
    """`select` with NaN where the knowledge may not be used (samples of the page-blind material)."""
    features = select(material, variant).numpy()
    widths = [material.columns[source].shape[1] for source in variant.groups.values()]
    told = np.repeat([name in _TOLD for name in variant.groups], widths)
    features[np.ix_(material.ids["user_mask"][:, EXPECTED].numpy() == 0, told)] = np.nan
    return features


def _train(
    material: FoldMaterial, backbone: str, variant: Variant, options: FitOptions
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], int]:
    dim = material.item_vec.shape[2]
    shape = RankerShape(
        vocabulary=material.vocabulary,
        factors=variant.factors,
        dim=dim,
        backbone=backbone,
        backbone_history=variant.history,
        knowledge=bool(variant.groups) or variant.summaries,
        groups=tuple(variant.groups),
        summaries=variant.summaries,
        head_hidden=HEAD_HIDDEN,
        head_reweighs=True,
    )
    ranker = Ranker(shape)
    hein = Hein(HeinShape(factors=material.item_vec.shape[1], dim=dim)) if variant.summaries else None
    if hein is not None:
        hein.projection.requires_grad_(False)
    features = select(material, variant) if variant.groups else None
    if ranker.head is not None and features is not None:
        standardise(ranker.head, features[torch.from_numpy(material.train)])
    inputs = inputs_of(material, features)
    _, epochs = fit(ranker, hein, inputs, material.train, material.valid, options)
    return (
        predict(ranker, hein, inputs, material.valid),
        predict(ranker, hein, inputs, material.test),
        epochs,
    )
