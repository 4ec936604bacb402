"""Model `features`: ids in, the ranker's tensors out. All queued requests are read from the store together."""

import json
import time
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from serving.connection import StoreConnection, StoreUnavailable
from serving.reader import StoreReader
from serving.requests import BadRequest, check_request
from serving.store_layout import StoreLayout
from serving.tensors import ReleaseFacts, Wanted, assemble_apart
from serving.triton_start import check_start


class TritonPythonModel:
    """One process with its own connection and item cache."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the export's files; the store may still be away."""
        check_start(pb_utils)
        folder = Path(args["model_repository"]) / args["model_version"]
        options = json.loads((folder / "features.json").read_text())
        self._layout = StoreLayout.from_json(json.loads((folder / "layout.json").read_text()))
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        self._facts = ReleaseFacts(
            options["release"],
            frozenset(options["accepted_knowledge"]),
            options["liked_above"],
            tuple(options["value_range"]),
        )
        self._max_items = options["max_items"]
        self._reader = StoreReader(
            self._layout,
            StoreConnection(options["redis_url"], options["deadline_s"]),
            self._facts.release,
            {item_id.encode(): index for item_id, index in vocabulary.items()},
            options["cache_rows"],
            options["cache_ttl_s"],
        )
        self._outputs = [output["name"] for output in json.loads(args["model_config"])["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request; a bad one fails alone."""
        responses: list[Any] = [None] * len(requests)
        good, wanted = [], []
        for place, request in enumerate(requests):
            try:
                wanted.append(self._check(request))
                good.append(place)
            except BadRequest as error:
                responses[place] = _failed(str(error), pb_utils.TritonError.INVALID_ARG)
        if wanted:
            try:
                read = self._reader.read([one.user_id for one in wanted], [one.items() for one in wanted])
            except StoreUnavailable as error:
                for place in good:
                    responses[place] = _failed(str(error), pb_utils.TritonError.UNAVAILABLE)
                return responses
            answers = assemble_apart(wanted, read, self._layout.sizes, self._facts, time.time_ns() // 1000)
            for place, answer in zip(good, answers, strict=True):
                if isinstance(answer, Exception):
                    pb_utils.Logger.log_error(f"a request could not be assembled: {type(answer).__name__}: {answer}")
                    message = "the features of this user could not be put together: see Triton's log"
                    responses[place] = _failed(message, pb_utils.TritonError.INTERNAL)
                    continue
                tensors = [pb_utils.Tensor(name, answer[name]) for name in self._outputs]
                responses[place] = pb_utils.InferenceResponse(tensors)
        return responses

    def _check(self, request: Any) -> Wanted:  # noqa: ANN401 - Triton's own class
        named = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        return check_request(
            named["user_id"],
            named["item_ids"],
            named.get("recent_item_ids"),
            named.get("recent_values"),
            self._max_items,
            self._facts.value_range,
        )


def _failed(message: str, code: int) -> Any:  # noqa: ANN401 - Triton's own class
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
