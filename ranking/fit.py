"""Training of one ranker: masks at random, early stopping on the validation users' AUC."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as fn

from encoders.hein import Hein
from ranking.averaging import Averaged
from ranking.head import MatchingHead
from ranking.inputs import Ints
from ranking.model import Ranker

Progress = Callable[[int, int], None]

# Hidden independently per copy of a sample, so that one release serves new items, cold users and every tier.
HIDE_ID, HIDE_HISTORY, HIDE_EXPERIENCED, HIDE_EXPECTED, HIDE_SUMMARY, HIDE_ITEM = 0.2, 0.2, 0.1, 0.2, 0.2, 0.15
_SCORE_ROWS = 2048


@dataclass(frozen=True)
class FitOptions:
    """How a ranker is trained."""

    epochs: int
    patience: int = 2  # epochs without a better validation AUC
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    embedding_rate: float = 1.0  # learning rate of embeddings, as a share of the others'
    expert_rate: float = 0.1  # learning rate of HEIN's experts, as a share: faster, they learn users by heart
    seed: int = 0
    average: float = 0.99  # weights are judged and kept as moving averages over steps, at this decay; 0 = as they are


@dataclass(frozen=True)
class Inputs:
    """What training reads of n samples. Summaries are computed on the fly, from projected vectors."""

    ids: Mapping[str, Tensor]  # the ranker's tensors that are no vectors, by sample (`Samples.ids` of all)
    label: Tensor  # f32[n]
    user: Tensor  # i64[n] row of `users_projected`
    item: Tensor  # i64[n] row of `item_vec`
    item_vec: Tensor  # f32[R, F, d]
    users_projected: Tensor  # f32[U, F, d]
    features: Tensor | None  # f32[n, K] raw features of the head; None = no head


def fit(
    ranker: Ranker,
    hein: Hein | None,
    inputs: Inputs,
    train: Ints,
    valid: Ints | None,
    options: FitOptions,
    progress: Progress | None = None,
) -> tuple[float, int]:
    """Train `ranker` (and the experts of `hein`) in place to its best epoch; returns (validation AUC, that epoch).

    With `valid` None to the last of `options.epochs`, whatever its AUC; NaN stands for it.

    `progress(step, steps)` is called after each batch; `steps` counts all epochs, of which early stopping saves some.
    """
    draw = np.random.default_rng(options.seed)
    modules = [ranker] if hein is None else [ranker, hein]
    weights = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(_groups(ranker, hein, options), weight_decay=options.weight_decay, fused=True)
    averaged = Averaged(weights, options.average)
    per_epoch = -(-len(train) // options.batch)
    best, best_epoch, best_state = -1.0, -1, [copy.deepcopy(module.state_dict()) for module in modules]
    for epoch in range(options.epochs):
        ranker.train()
        order = torch.from_numpy(draw.permutation(train))
        for step in range(per_epoch):
            numbers = order[step * options.batch : (step + 1) * options.batch]
            batch, rows = with_hidden(_batch(inputs, hein, numbers), draw)
            numbers = numbers[rows]
            loss = fn.binary_cross_entropy_with_logits(_logits(ranker, inputs, batch, numbers), inputs.label[numbers])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
            averaged.step()
            if progress is not None:
                progress(epoch * per_epoch + step + 1, options.epochs * per_epoch)
        with averaged.shown():
            # Without validation samples each epoch is better than the one before: the last one is kept.
            auc = float(epoch) if valid is None else evaluate(ranker, hein, inputs, valid)
            if auc > best:
                best, best_epoch, best_state = auc, epoch, [copy.deepcopy(module.state_dict()) for module in modules]
        if epoch - best_epoch >= max(options.patience, 1):
            break
    for module, state in zip(modules, best_state, strict=True):
        module.load_state_dict(state)
        module.eval()
    if progress is not None:
        progress(options.epochs * per_epoch, options.epochs * per_epoch)
    return (best if valid is not None else math.nan), best_epoch + 1


def _groups(ranker: Ranker, hein: Hein | None, options: FitOptions) -> list[dict[str, object]]:
    """Parameters with their learning rates: embeddings of ids, and HEIN's experts, apart from all others."""
    tables = {id(layer.weight) for layer in ranker.modules() if isinstance(layer, nn.Embedding)}
    own = list(ranker.parameters())
    parts = (
        ([weight for weight in own if id(weight) not in tables], 1.0),
        ([weight for weight in own if id(weight) in tables], options.embedding_rate),
        ([] if hein is None else [weight for weight in hein.parameters() if weight.requires_grad], options.expert_rate),
    )
    return [{"params": weights, "lr": options.learning_rate * share} for weights, share in parts]


def standardise(head: MatchingHead, training: Tensor) -> None:
    """Set the head's mean and scale from the raw features f32[n, K] of training samples."""
    head.mean.copy_(training.mean(0))
    head.scale.copy_(training.std(0).clamp(min=1e-3))


def evaluate(ranker: Ranker, hein: Hein | None, inputs: Inputs, numbers: Ints) -> float:
    """AUC over these samples, nothing hidden."""
    label = inputs.label[torch.from_numpy(numbers)].numpy()
    return float(roc_auc_score(label, predict(ranker, hein, inputs, numbers)))


def predict(ranker: Ranker, hein: Hein | None, inputs: Inputs, numbers: Ints) -> np.ndarray:
    """Logits f32[len(numbers)], nothing hidden."""
    ranker.eval()
    parts = []
    with torch.inference_mode():
        for chunk in torch.split(torch.from_numpy(numbers), _SCORE_ROWS):
            parts.append(_logits(ranker, inputs, _batch(inputs, hein, chunk), chunk))
    return torch.cat(parts).numpy()


def with_hidden(batch: dict[str, Tensor], draw: np.random.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """The B samples, and behind them copies of those of which `hide` hides something; and rows, i64[B + copies].

    Samples are seen whole as well: in place of the whole ones, the copies cost 0.001 AUC where nothing is hidden.
    """
    hidden = dict(batch)
    copied = torch.nonzero(hide(hidden, draw)).squeeze(1)
    rows = torch.cat([torch.arange(len(batch["user_mask"])), copied])
    return {name: torch.cat([tensor, hidden[name][copied]]) for name, tensor in batch.items()}, rows


def hide(batch: dict[str, Tensor], draw: np.random.Generator) -> Tensor:
    """Hide parts of the batch at random, in place, each independently; bool[B] says of which samples any."""
    shares = torch.tensor([HIDE_HISTORY, HIDE_EXPERIENCED, HIDE_EXPECTED, HIDE_SUMMARY, HIDE_ITEM, HIDE_ID])
    drawn = torch.from_numpy(draw.random((len(batch["user_mask"]), len(shares)), dtype=np.float32))
    shown = (drawn >= shares).to(torch.uint8)
    batch["user_mask"] = batch["user_mask"] * shown[:, :4]
    batch["item_mask"] = batch["item_mask"] * shown[:, 4:5]
    # Index 1 = unknown: the embedding of items that the release has never seen.
    batch["item_index"] = torch.where(shown[:, 5:6] > 0, batch["item_index"], torch.ones_like(batch["item_index"]))
    return (shown == 0).any(1)


def _batch(inputs: Inputs, hein: Hein | None, numbers: Tensor) -> dict[str, Tensor]:
    batch = {name: tensor[numbers] for name, tensor in inputs.ids.items()}
    if hein is not None:
        # The experts run once per distinct user and item of the batch.
        users, user = torch.unique(inputs.user[numbers], return_inverse=True)
        items, item = torch.unique(inputs.item[numbers], return_inverse=True)
        batch["user_summary"] = hein.user_summary(inputs.users_projected[users])[user]
        batch["item_summary"] = hein.item_summary(inputs.item_vec[items])[item].unsqueeze(1)
    return batch


def _logits(ranker: Ranker, inputs: Inputs, batch: dict[str, Tensor], numbers: Tensor) -> Tensor:
    features = None if inputs.features is None else inputs.features[numbers].unsqueeze(1)
    logits: Tensor = ranker(batch, features).squeeze(1)
    return logits
