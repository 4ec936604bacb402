"""Model `ranker`: the release's ranker on the tensors of `features`. All queued requests share forward passes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from serving.ranker_load import load_ranker
from serving.scoring import explain, order, score
from serving.triton_start import check_start


class TritonPythonModel:
    """The ranker of one release, on the GPU where there is one."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the release that lies beside this file."""
        check_start(pb_utils)
        folder = Path(args["model_repository"]) / args["model_version"]
        options = json.loads((folder / "ranker.json").read_text())
        torch.set_num_threads(options["threads"])
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._ranker = load_ranker(folder, options["ranker"]).to(self._device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request; a bad one fails alone."""
        responses: list[Any] = [None] * len(requests)
        good, inputs = [], []
        for place, request in enumerate(requests):
            named = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            if "top_k" in named and named["top_k"].flat[0] < 1:
                message = f"top_k is {named['top_k'].flat[0]}: ask for at least 1, or leave it out for all"
                responses[place] = _failed(message, pb_utils.TritonError.INVALID_ARG)
                continue
            good.append(place)
            inputs.append(named)
        scored = score(self._ranker, inputs, self._device)
        for place, named, scores in zip(good, inputs, scored, strict=True):
            responses[place] = self._answer(named, scores)
        return responses

    def _answer(self, named: dict[str, np.ndarray], scores: np.ndarray) -> Any:  # noqa: ANN401 - Triton's own class
        if not np.isfinite(scores).all():
            return _failed("the ranker made scores that are not finite", pb_utils.TritonError.INTERNAL)
        top_k = int(named["top_k"].flat[0]) if "top_k" in named else None
        wants = "explain" in named and bool(named["explain"].flat[0])
        explanation = explain(self._ranker, named, self._device) if wants else ""
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("scores", scores.reshape(1, -1)),
                pb_utils.Tensor("order", order(scores, top_k).reshape(1, -1)),
                pb_utils.Tensor("explanation", np.array([[explanation.encode()]], np.object_)),
            ]
        )


def _failed(message: str, code: int) -> Any:  # noqa: ANN401 - Triton's own class
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
