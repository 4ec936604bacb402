"""A release of a few hundred weights, drawn instead of trained, and a batch for it."""

import torch

from encoders.hein import Hein, HeinShape
from ranking.model import Ranker
from ranking.release import About, write_release
from ranking.shape import RankerShape

F, D, A, H, VOCABULARY, SUMMARY, TEXT = 3, 4, 5, 8, 12, 8, 6
USERS, CANDIDATES = 3, 4
ITEMS = [f"i{number}" for number in range(2, VOCABULARY)]


def shape(**changes):
    sizes = {"vocabulary": VOCABULARY, "factors": F, "dim": D, "summary": SUMMARY, "anchors": A, "embedding": 4}
    return RankerShape(**{**sizes, "backbone_history": 5, "hidden": (8, 4), **changes})


def networks(ranker_shape, seed):
    """Drawn weights; tables of the head as training would leave them: unit vectors, indices, positive scales."""
    torch.manual_seed(seed)
    hein, ranker = Hein(HeinShape(F, TEXT, D, SUMMARY, 4, 1, 1)), Ranker(ranker_shape)
    for network in (hein, ranker):
        for name, tensor in network.state_dict().items():
            if name.endswith("anchor_index"):
                tensor.copy_(torch.arange(2, 2 + A))
            elif name.endswith("scale"):
                tensor.fill_(1.5)
            elif tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape) / 3)
    if ranker.head is not None:
        ranker.head.anchor_vec.copy_(torch.nn.functional.normalize(ranker.head.anchor_vec, dim=-1))
    return hein.eval(), ranker.eval()


def about(hein, ranker, **changes):
    known = {
        "scenario": "films",
        "factors": ("genre", "mood", "plot"),
        "encoder_id": "tiny",
        "dim": D,
        "history_length": H,
        "ring_size": 10,
        "anchors": tuple(ITEMS[:A]),
        "anchor_means": (3.0,) * A,
        "accepted_knowledge": ("tiny-llm|1|c1",),
        "model_name": ranker.shape.backbone,
        "metrics": {"auc_valid": 0.75, "auc_test": 0.7},
        "hein": hein.shape,
        "ranker": ranker.shape,
        "training": {"data": "drawn", "seed": 1, "without_users": ["u1", "u2"]},
    }
    return About(**{**known, **changes})


def write(folder, seed=1, ranker_shape=None, vocabulary=None, **changes):
    """A release of these weights below `folder`."""
    hein, ranker = networks(ranker_shape or shape(), seed)
    items = vocabulary or {item: index for index, item in enumerate(ITEMS, start=2)}
    return write_release(folder, about(hein, ranker, **changes), hein, ranker, items)


def batch(seed=2):
    """The ranker's tensors: a full history, a short one, and a user of whom nothing is known."""
    torch.manual_seed(seed)

    def unit(*sizes):
        return torch.nn.functional.normalize(torch.randn(*sizes, D), dim=-1)

    index = torch.randint(1, VOCABULARY, (USERS, H), dtype=torch.int32)
    index[1, 3:] = 0
    index[2] = 0
    seen = index > 0
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    return {
        "user_stats": torch.rand(USERS, 5) * mask[:, :1],
        "user_experienced": torch.randn(USERS, 2, F, D),
        "user_expected": torch.randn(USERS, 2, F, D),
        "user_anchors": torch.randint(0, 6, (USERS, A)).float(),
        "user_summary": torch.randn(USERS, SUMMARY),
        "user_mask": mask,
        "hist_index": index,
        "hist_value": torch.randint(1, 6, (USERS, H)).float() * seen,
        "hist_vec": unit(USERS, H, F) * seen[:, :, None, None],
        "item_index": torch.randint(1, VOCABULARY, (USERS, CANDIDATES), dtype=torch.int32),
        "item_vec": unit(USERS, CANDIDATES, F),
        "item_summary": torch.randn(USERS, CANDIDATES, SUMMARY),
        "item_mask": torch.tensor([[1, 1, 1, 0]] * USERS, dtype=torch.uint8),
    }


def texts(seed=3):
    """Encoded factor texts f32[n, F, TEXT] and their mask, one factor missing."""
    torch.manual_seed(seed)
    mask = torch.ones(4, F)
    mask[1, 2] = 0
    return torch.nn.functional.normalize(torch.randn(4, F, TEXT), dim=-1) * mask.unsqueeze(-1), mask
