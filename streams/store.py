"""`StateStore`: user state in Redis by single Lua calls. Sync; one caller thread."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Protocol

import redis

from knowledge.base import TransientError, micros
from streams.redis_calls import redis_errors
from streams.state import (
    FORMAT,
    Arrival,
    ForgetArrival,
    RingEntry,
    UserResult,
    UserState,
    Verdict,
    entry_row,
    ring_from_rows,
)

_SCRIPT = resources.files("streams").joinpath("state.lua").read_text("utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_MAX = ("requested_rev", "requested_at", "refreshed_rev", "refreshed_at", "generation")
_RANKED = {"decision": "rev", "refresh_outcome": "source_rev"}


class StateKeys(Protocol):
    """Where a user's state lives (`feature_repo.keys.Keys`)."""

    def state_key(self, user_id: str) -> bytes:
        """Redis key of the state hash."""
        ...


class StateStore:
    """One hash per user, key `{<Feast entity key bytes>}:state`. Redis trouble raises `TransientError`."""

    def __init__(self, client: redis.Redis, keys: StateKeys, ring_size: int) -> None:
        self._redis = client
        self._keys = keys
        self._ring_size = ring_size

    def apply(self, arrivals: Sequence[Arrival]) -> list[UserResult]:
        """Apply events in order; one result per user, in the order of first appearance. Idempotent."""
        by_user: dict[str, list[Arrival]] = {}
        for arrival in arrivals:
            by_user.setdefault(arrival.event.user_id, []).append(arrival)
        calls = [(user, ["apply", self._ring_size, len(own), *_event_args(own)]) for user, own in by_user.items()]
        return [_result(user, reply) for user, reply in zip(by_user, self._call(calls), strict=True)]

    def forget(self, arrival: ForgetArrival, ttl_s: float) -> UserResult:
        """Replace the state by a stub {epoch + 1, offsets} that expires after `ttl_s`.

        The verdict is applied (now), or ignored as `again` (the stub stands, but later steps were cut off) or
        `replayed` (nothing is left to do).
        """
        line = f"{arrival.topic_id}:{arrival.partition}"
        args = ["forget", line, arrival.offset, int(ttl_s * 1000)]
        return _result(arrival.user_id, self._call([(arrival.user_id, args)])[0])

    def read(self, user_id: str) -> UserState | None:
        """The state, or None."""
        return self.read_many([user_id])[0]

    def read_many(self, user_ids: Sequence[str]) -> list[UserState | None]:
        """One pipelined round trip."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for user in user_ids:
                pipe.hgetall(self._keys.state_key(user))  # type: ignore[arg-type]  # redis-py takes bytes too
            rows = pipe.execute()
        return [decode_state(user, row) if row else None for user, row in zip(user_ids, rows, strict=True)]

    def seed(self, user_id: str, entries: Sequence[RingEntry], profile: Mapping[str, str]) -> UserState | None:
        """Load a history (not published; offsets -1, rev = 1..n). None = the user has a state already: untouched."""
        counts: dict[str, int] = {}
        for entry in entries:
            counts[entry.polarity.value] = counts.get(entry.polarity.value, 0) + 1
        state = UserState(
            user_id=user_id,
            rev=entries[-1].rev if entries else 0,
            ring=tuple(entries[-self._ring_size :]),
            counts=counts,
            profile=dict(profile),
        )
        return state if self.restore(state) else None

    def restore(self, state: UserState) -> bool:
        """Write a state as it stands (rebuild). False = one of the same or a higher (epoch, rev) is there: kept."""
        fields: dict[str, Any] = {f"e:{entry.rev}": _dump(entry_row(entry)) for entry in state.ring}
        fields |= {f"n:{polarity}": count for polarity, count in state.counts.items()}
        fields |= {f"o:{t}:{p}": offset for t, line in state.offsets.items() for p, offset in line.items()}
        fields |= {name: getattr(state, name) for name in _MAX}
        fields["profile"] = _dump(dict(state.profile))
        fields["prompts"] = _dump(state.prompt_hashes)
        flat = [part for pair in fields.items() for part in pair]
        return bool(self._call([(state.user_id, ["create", state.epoch, state.rev, *flat])])[0])

    def update(self, user_id: str, epoch: int, **fields: Any) -> bool:  # noqa: ANN401
        """Set fields of `UserState` beside the behaviour.

        These are requested_rev, requested_at, refreshed_rev, refreshed_at, generation, decision, refresh_outcome,
        profile; `prompt_hashes` are appended; times may be given as datetimes.

        Refused (False) when the state's epoch is another (forgotten meanwhile) or there is none. `*_rev`, `*_at` and
        `generation` never go down; `decision` (by its `rev`) and `refresh_outcome` (by its `source_rev`) likewise.
        """
        return self.update_many([(user_id, epoch, fields)])[0]

    def update_many(self, updates: Sequence[tuple[str, int, Mapping[str, Any]]]) -> list[bool]:
        """Several users' `update`s in one round trip."""
        calls = [(user, ["update", epoch, *_update_args(fields)]) for user, epoch, fields in updates]
        return [bool(done) for done in self._call(calls)]

    def finish_forgetting(self, user_id: str, epoch: int, *, erased: bool) -> bool:
        """Everything of the old life is deleted; with `erased` also the cached answers behind the prompt hashes."""
        args: list[Any] = ["update", epoch, "gone", "set", "1", ""]
        if erased:
            args += ["prompts", "clear", "", ""]
        return bool(self._call([(user_id, args)])[0])

    def _call(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        if not calls:
            return []

        def once() -> list[Any]:
            pipe = self._redis.pipeline(transaction=False)
            for user, args in calls:
                pipe.evalsha(_SHA, 1, self._keys.state_key(user), *args)
            return pipe.execute()

        with redis_errors():
            return _with_script(self._redis, once)


def _with_script(client: redis.Redis, call: Callable[[], list[Any]]) -> list[Any]:
    try:
        return call()
    except redis.exceptions.NoScriptError:
        # A new or restarted server; every operation may be repeated.
        client.script_load(_SCRIPT)
        return call()


def _event_args(arrivals: Iterable[Arrival]) -> list[str | int]:
    args: list[str | int] = []
    for a in arrivals:
        event = a.event
        head = _dump([event.event_id, event.item_id, a.value, a.polarity.value, micros(event.occurred_at), a.offset])
        args += [f"{a.topic_id}:{a.partition}", a.offset, event.event_id, head[:-1], a.polarity.value]
    return args


def _update_args(fields: Mapping[str, Any]) -> list[Any]:
    args: list[Any] = []
    for name, value in fields.items():
        if name in _MAX:
            args += [name, "max", value if isinstance(value, int) else micros(value), ""]
        elif name in _RANKED:
            args += [name, "ranked", _dump(value), int(value[_RANKED[name]])]
        elif name == "prompt_hashes":
            args += ["prompts", "append", _dump(list(value)), ""]
        elif name == "profile":
            args += ["profile", "set", _dump(dict(value)), ""]
        else:
            raise ValueError(f"{name} is not a field that may be updated")
    return args


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _result(user_id: str, reply: list[Any]) -> UserResult:
    now, verdicts, flat = reply
    state = decode_state(user_id, dict(zip(flat[::2], flat[1::2], strict=True)))
    return UserResult(state, tuple(_verdict(v) for v in verdicts), int(now))


def _verdict(raw: bytes) -> Verdict:
    return Verdict(True, int(raw)) if raw.isdigit() else Verdict(False, 0, raw.decode())


def decode_state(user_id: str, row: Mapping[bytes, bytes]) -> UserState:
    """A state from its hash; raises `TransientError` (`state_format`) for one that a newer version wrote."""
    if int(row.get(b"format", b"1")) != FORMAT:
        raise TransientError("state_format", f"the state of {user_id} was written by another version: upgrade this one")
    offsets: dict[str, dict[int, int]] = {}
    counts: dict[str, int] = {}
    entries: list[tuple[int, bytes]] = []
    for field, value in row.items():
        kind = field[:2]
        if kind == b"e:":
            entries.append((int(field[2:]), value))
        elif kind == b"o:":
            topic_id, _, partition = field[2:].decode().rpartition(":")
            offsets.setdefault(topic_id, {})[int(partition)] = int(value)
        elif kind == b"n:":
            counts[field[2:].decode()] = int(value)
    entries.sort()
    ring = ring_from_rows(json.loads(b"[" + b",".join(value for _, value in entries) + b"]"))

    def parsed(name: bytes) -> Any:  # noqa: ANN401 - JSON
        return json.loads(row[name]) if name in row else None

    return UserState(
        user_id=user_id,
        epoch=int(row.get(b"epoch", 0)),
        rev=int(row.get(b"rev", 0)),
        offsets=offsets,
        ring=ring,
        counts=counts,
        prompt_hashes=tuple(parsed(b"prompts") or ()),
        decision=parsed(b"decision"),
        refresh_outcome=parsed(b"refresh_outcome"),
        profile=parsed(b"profile") or {},
        forgotten=b"forgotten" in row,
        gone=b"gone" in row,
        **{name: int(row.get(name.encode(), 0)) for name in _MAX},
    )
