"""The gRPC clients of model `recommend`: one for threads, one for asyncio. Both refuse what they cannot carry."""

import asyncio
import threading
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import aio as triton_aio
from tritonclient.utils import InferenceServerException

from knowledge.base import RekiError, TerminalError, TransientError
from serving.answer import Recommendation, UserFallback
from serving.client_arguments import candidates, deadline, inputs
from serving.settings import ServingSettings

MODEL = "recommend"

_TRANSIENT = {
    "DEADLINE_EXCEEDED": ("deadline", "no answer within the deadline"),
    "UNAVAILABLE": ("unavailable", "Triton, its model or the online store is not there"),
    "NOT_FOUND": ("unavailable", "Triton has not loaded the model"),
    "RESOURCE_EXHAUSTED": ("overloaded", "Triton takes no more requests"),
    "CANCELLED": ("cancelled", "the request was cancelled"),
}


class _Held:
    """The one reference to tritonclient's client, dropped at close or, at the latest, before modules are torn down.

    tritonclient closes itself in `__del__`; during the interpreter's end that prints an exception, because grpc's
    modules are empty by then.
    """

    def __init__(self, owner: object, client: Any) -> None:  # noqa: ANN401 - tritonclient is untyped
        self._clients = [client]
        weakref.finalize(owner, self._clients.clear)

    def client(self) -> Any:  # noqa: ANN401 - as above
        """The client; raises `TerminalError` (`closed`) once it was released."""
        clients = self._clients[:]
        if not clients:
            raise TerminalError("closed", "this client is closed: make a new one")
        return clients[0]

    def release(self) -> Any:  # noqa: ANN401 - as above
        """The client for the last time, or None where it was released before."""
        try:
            return self._clients.pop()
        except IndexError:
            return None


class RekiClient:
    """For threads. `settings` give address, deadline and how many requests may be in flight at once.

    More than that fail at once with reason `overloaded`: load is shed here, where it costs nothing, and not in a
    queue behind which every request would be late.
    """

    def __init__(self, settings: ServingSettings | None = None, url: str | None = None, model: str = MODEL) -> None:
        self._settings = settings or ServingSettings()
        self._model = model
        self._held = _Held(self, triton.InferenceServerClient(url or self._settings.triton_grpc_url))
        self._free = threading.BoundedSemaphore(self._settings.recommend_in_flight)

    def recommend(
        self,
        user_id: str,
        item_ids: Iterable[str],
        top_k: int | None = None,
        recent: Sequence[tuple[str, float]] = (),
        explain: bool = False,
        deadline_s: float | None = None,
    ) -> Recommendation:
        """Score `item_ids` (at most 2,000) for a user.

        `recent` are session events that are not yet on the topic, newest first: (item id, value on the scenario's
        scale). `top_k` limits `order`, not `scores`. `deadline_s` stands in for the one of the settings.

        Raises:
            TerminalError: `invalid_argument`; the message says what is wrong with the request. `closed` after `close`.
            TransientError: `deadline`, `unavailable`, `overloaded`, `cancelled` or `server_error`.
        """
        server = self._held.client()
        items = candidates(item_ids)
        tensors = inputs(user_id, items, top_k, recent, explain)
        wait_s = deadline(deadline_s, self._settings.recommend_deadline_s)
        if not self._free.acquire(blocking=False):
            raise _overloaded(self._settings)
        try:
            result = server.infer(self._model, tensors, client_timeout=wait_s)
        except InferenceServerException as error:
            raise _mapped(error) from error
        finally:
            self._free.release()
        return _answer(items, result)

    def close(self) -> None:
        """Close the channel; a second time does nothing."""
        server = self._held.release()
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRekiClient:
    """`RekiClient` for asyncio; make it inside the event loop that uses it."""

    def __init__(self, settings: ServingSettings | None = None, url: str | None = None, model: str = MODEL) -> None:
        self._settings = settings or ServingSettings()
        self._model = model
        self._held = _Held(self, triton_aio.InferenceServerClient(url or self._settings.triton_grpc_url))
        self._in_flight = 0

    async def recommend(
        self,
        user_id: str,
        item_ids: Iterable[str],
        top_k: int | None = None,
        recent: Sequence[tuple[str, float]] = (),
        explain: bool = False,
        deadline_s: float | None = None,
    ) -> Recommendation:
        """As `RekiClient.recommend`."""
        server = self._held.client()
        items = candidates(item_ids)
        tensors = inputs(user_id, items, top_k, recent, explain)
        wait_s = deadline(deadline_s, self._settings.recommend_deadline_s)
        if self._in_flight >= self._settings.recommend_in_flight:
            raise _overloaded(self._settings)
        self._in_flight += 1
        try:
            result = await server.infer(self._model, tensors, client_timeout=wait_s)
        except InferenceServerException as error:
            raise _mapped(error) from error
        finally:
            self._in_flight -= 1
        return _answer(items, result)

    async def close(self) -> None:
        """Close the channel; a second time does nothing."""
        server = self._held.release()
        if server is not None:
            await server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.close())


def _answer(item_ids: tuple[str, ...], result: Any) -> Recommendation:  # noqa: ANN401 - tritonclient is untyped
    def read(name: str) -> np.ndarray[Any, Any]:
        data = result.as_numpy(name)[0]
        data.flags.writeable = False
        return np.asarray(data)

    return Recommendation(
        item_ids=item_ids,
        scores=read("scores"),
        order=read("order"),
        item_fallback=read("item_fallback"),
        user_fallback=UserFallback(int(read("user_fallback")[0])),
        history_age_s=float(read("history_age_s")[0]),
        knowledge_age_s=float(read("knowledge_age_s")[0]),
        events_since_knowledge=int(read("events_since_knowledge")[0]),
        release=read("release")[0].decode(),
        knowledge_version=read("knowledge_version")[0].decode(),
        explanation=read("explanation")[0].decode(),
    )


def _overloaded(settings: ServingSettings) -> TransientError:
    return TransientError(
        "overloaded", f"{settings.recommend_in_flight} requests are in flight already: send fewer, or try again later"
    )


def _mapped(error: InferenceServerException) -> RekiError:
    status = str(error.status() or "").removeprefix("StatusCode.")
    if status == "INVALID_ARGUMENT":
        return TerminalError("invalid_argument", str(error.message()))
    reason, meaning = _TRANSIENT.get(status, ("server_error", "Triton failed; see its log"))
    return TransientError(reason, f"{meaning}: {error.message()}")
