"""How fast our DIN and DCN V2 (`plain`) train, beside DeepCTR-Torch's models of the same papers, in one run.

    pip install --no-deps --target BESIDE deepctr-torch==0.3.0
    PYTHONPATH=BESIDE .venv/bin/python -m benchmarks.training_speed --data DIR --out FILE.json [--device cuda]

`--data` is RecBole's ml-100k folder (`reki demo` fetches it). DeepCTR-Torch is no dependency of ours: without it the
command ends and says how to get it. (On import it asks PyPI for its newest version.)

Samples per second of processor time, or of the wall clock with `--device cuda`: forward, loss, backward and step, one
thread; on a GPU all batches lie there before.
Models take turns of `--steps` steps; a ratio is the median over turns of ours over theirs. No validation, no reading of
data, no library's own training loop (theirs would add a data loader and metrics): it favours neither.

Equal       the samples (MovieLens-100K, the training users of fold 0), their order and the batch size of 512; the ten
            newest history entries, padded; id embeddings of 32 shared by candidate and history; tower 200-80 with ReLU
            and dropout 0.3; DIN's attention unit of one hidden layer of 36 with ReLU over the four-part input, softmax
            over the history; two full-matrix cross layers parallel to the tower; AdamW (learning rate 1e-3, decay
            0.01), binary cross entropy; no regularisation loss
Different   the history's values: ours projects each to 32 numbers that are added to the entry's embedding (DIN), or
            has two fields of the history, one of them weighted by value (DCN V2: 96 inputs to the layers); theirs takes
            the ten values as dense inputs (DCN V2: 74), DIN's attention does not see them. Ours scores N candidates a
            user and is called with N = 1; of the attention's first layer it multiplies out the linear parts once
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from knowledge.scenario import load_scenario
from ranking.fold import HISTORY, RING, fold_users
from ranking.inputs import build_samples, index_of
from ranking.model import Ranker
from ranking.shape import RankerShape
from ranking.sources import Sources

BATCH = 512
MISSING = """DeepCTR-Torch is not here, and nothing was measured. It is no dependency of ours; put it beside our own:
    pip install --no-deps --target BESIDE deepctr-torch==0.3.0
and run this again with PYTHONPATH=BESIDE"""

Batch = dict[str, Tensor]


def load(folder: Path) -> tuple[Batch, Tensor, int]:
    """Ids, values and masks of the training users' samples of fold 0, their labels, and the vocabulary's size."""
    sources = Sources.load(folder)
    split = fold_users(sources.data, 0)
    anchors = sources.store.catalogue.anchors
    samples = build_samples(sources.data, sources.store.users(), anchors, load_scenario("films"), RING)
    vocabulary = sources.vocabulary(split.train)
    index = index_of(samples.items, vocabulary)
    numbers = samples.of(split.train)
    return samples.ids(numbers, index, HISTORY), torch.from_numpy(samples.label[numbers]), len(vocabulary) + 2


def theirs(backbone: str, shape: RankerShape, device: str) -> tuple[nn.Module, Callable[[Batch], Tensor]]:
    """DeepCTR-Torch's model, and its one input matrix from a batch."""
    try:
        from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import DCN, DIN
    except ImportError as error:
        raise SystemExit(MISSING) from error
    length = shape.backbone_history
    item = SparseFeat("item", shape.vocabulary, embedding_dim=shape.embedding)
    entry = SparseFeat("hist_item", shape.vocabulary, embedding_dim=shape.embedding, embedding_name="item")
    columns = [
        item,
        VarLenSparseFeat(entry, maxlen=length, combiner="mean", length_name="length"),
        DenseFeat("values", length),
    ]
    tower = {"dnn_hidden_units": shape.hidden, "dnn_dropout": shape.dropout, "l2_reg_dnn": 0, "l2_reg_embedding": 0}
    tower["device"] = device
    if backbone == "din":
        unit = {"att_hidden_size": (36,), "att_activation": "relu", "att_weight_normalization": True}
        model = DIN(columns, ["item"], **tower, **unit)
    else:
        cross = {"cross_num": 2, "cross_parameterization": "matrix", "l2_reg_cross": 0, "l2_reg_linear": 0}
        model = DCN([], columns, **tower, **cross)

    def matrix(batch: Batch) -> Tensor:
        index = batch["hist_index"][:, :length]
        parts = {
            "item": batch["item_index"],
            "hist_item": index,
            "length": (index > 0).sum(1, keepdim=True),
            "values": (batch["hist_value"][:, :length] - shape.middle) / shape.spread,
        }
        return torch.cat([parts[name].float() for name in model.feature_index], dim=1)

    return model, matrix


class Trainer:
    """One model and its optimiser."""

    def __init__(self, model: nn.Module, loss: Callable[[int], Tensor], device: str) -> None:
        self._model = model.train()
        self._loss = loss
        self._gpu = device == "cuda"
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)

    def run(self, steps: range) -> float:
        """Samples per second over these steps."""
        begin = self._now()
        for step in steps:
            loss = self._loss(step)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        return len(steps) * BATCH / (self._now() - begin)

    def _now(self) -> float:
        if not self._gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def trainers(backbone: str, batches: list[tuple[Batch, Tensor]], vocabulary: int, device: str) -> dict[str, Trainer]:
    shape = RankerShape(vocabulary=vocabulary, backbone=backbone, knowledge=False)
    torch.manual_seed(0)
    own = Ranker(shape).to(device)
    other, matrix = theirs(backbone, shape, device)
    matrices = [matrix(batch) for batch, _ in batches]
    labels = [label for _, label in batches]

    def ours_loss(step: int) -> Tensor:
        place = step % len(batches)
        return fn.binary_cross_entropy_with_logits(own(batches[place][0]).squeeze(1), labels[place])

    def theirs_loss(step: int) -> Tensor:
        place = step % len(batches)
        return fn.binary_cross_entropy(other(matrices[place]).squeeze(1), labels[place])

    return {"ours": Trainer(own, ours_loss, device), "deepctr_torch": Trainer(other, theirs_loss, device)}


def measure(both: dict[str, Trainer], steps: int, turns: int) -> object:
    rates: dict[str, list[float]] = {name: [] for name in both}
    for trainer in both.values():
        trainer.run(range(5))
    for turn in range(turns):
        for name, trainer in list(both.items())[:: 1 if turn % 2 else -1]:
            rates[name].append(trainer.run(range(turn * steps, (turn + 1) * steps)))
    ratios = sorted(own / other for own, other in zip(*rates.values(), strict=True))
    return {
        "samples_per_s": {name: round(statistics.median(own)) for name, own in rates.items()},
        "ours_over_deepctr_torch": round(statistics.median(ratios), 2),
        "lowest": round(ratios[0], 2),
        "highest": round(ratios[-1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20, help="of a turn")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    device = args.device
    theirs("din", RankerShape(vocabulary=10), device)  # says at once where it is missing
    torch.set_num_threads(1)
    ids, labels, vocabulary = load(args.data)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    chunks = order.split(BATCH)[: len(order) // BATCH]
    batches = [
        ({name: tensor[chunk].to(device) for name, tensor in ids.items()}, labels[chunk].to(device)) for chunk in chunks
    ]
    found = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": 1,
        "batch": BATCH,
        "samples": len(labels),
        "models": {
            name: measure(trainers(name, batches, vocabulary, device), args.steps, args.turns)
            for name in ("din", "dcnv2")
        },
    }
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
