"""Scores a batch of requests with different numbers of candidates. torch and numpy: this runs inside Triton."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from serving.tensors import ITEM_TENSORS, PARTS, RANKER_TENSORS

Array = npt.NDArray[np.generic]
Request = Mapping[str, Array]

# Candidates of one forward pass, padding included. Bounds memory (some 50 KB each); a CPU is fastest in its cache.
_ROWS = {"cpu": 1024, "cuda": 16_384}


def score(ranker: torch.nn.Module, requests: Sequence[Request], device: torch.device) -> list[npt.NDArray[np.float32]]:
    """Probability per candidate, f32[N] for each request; doubles get the score of the first. `ranker`: log-odds.

    Requests of similar length share a forward pass, so that one long list does not pad all the others.
    """
    lengths = [request["item_index"].shape[1] for request in requests]
    scores: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32) for _ in requests]
    waiting = sorted((place for place, length in enumerate(lengths) if length), key=lambda place: lengths[place])
    rows = _ROWS.get(device.type, 1024)
    while waiting:
        longest = lengths[waiting[-1]]
        group = waiting[-max(1, rows // longest) :]
        del waiting[-len(group) :]
        with torch.inference_mode():
            logits = _logits(ranker, [requests[place] for place in group], longest, device)
            answer = torch.sigmoid(logits).float().cpu().numpy()
        for place, row in zip(group, answer, strict=True):
            scores[place] = row[: lengths[place]][requests[place]["item_first"][0]]
    return scores


def order(scores: npt.NDArray[np.float32], top_k: int | None) -> npt.NDArray[np.int32]:
    """Positions of the candidates from best to worst, i32[min(N, top_k)]; equal scores keep the request's order."""
    return np.argsort(-scores, kind="stable")[:top_k].astype(np.int32)


def explain(ranker: torch.nn.Module, request: Request, device: torch.device) -> str:
    """JSON {part: [per candidate, how much the log-odds fall if the part is hidden]} for the parts that were used.

    The release was trained with parts masked at random, so an answer without one is one that it knows how to give.
    """
    if not request["item_index"].shape[1]:
        return "{}"
    used = [place for place in range(len(PARTS)) if request["user_mask"][0, place]]
    variants = [request]
    for place in used:
        mask = request["user_mask"].copy()
        mask[0, place] = 0
        variants.append({**request, "user_mask": mask})
    with torch.inference_mode():
        answer = _logits(ranker, variants, request["item_index"].shape[1], device)
    logits = answer.float().cpu().numpy()[:, request["item_first"][0]]
    falls = logits[:1] - logits[1:]
    return json.dumps(
        {PARTS[place]: [round(float(x), 4) for x in fall] for place, fall in zip(used, falls, strict=True)}
    )


def _logits(ranker: torch.nn.Module, requests: Sequence[Request], longest: int, device: torch.device) -> torch.Tensor:
    """Log-odds f32[B, longest]; on a CPU the head's part comes from `columns`, where the ranker has them."""
    columns = getattr(ranker, "columns", None) if device.type == "cpu" else None
    if columns is None:
        logits: torch.Tensor = ranker(_stack(requests, RANKER_TENSORS, longest, device))
        return logits
    matched = np.zeros((len(requests), longest, columns.width), np.float32)
    for place, request in enumerate(requests):
        matched[place, : request["item_index"].shape[1]] = columns(request)
    names = [name for name in RANKER_TENSORS if name not in columns.ALONE]
    logits = ranker(_stack(requests, names, longest, device), torch.from_numpy(matched))
    return logits


def _stack(
    requests: Sequence[Request], names: Sequence[str], longest: int, device: torch.device
) -> dict[str, torch.Tensor]:
    batch = {}
    for name in names:
        arrays = [request[name] for request in requests]
        if name in ITEM_TENSORS and any(array.shape[1] != longest for array in arrays):
            padded = np.zeros((len(arrays), longest, *arrays[0].shape[2:]), arrays[0].dtype)
            for place, array in enumerate(arrays):
                padded[place, : array.shape[1]] = array[0]
            stacked = padded
        else:
            stacked = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
        batch[name] = torch.from_numpy(stacked).to(device)
    return batch
