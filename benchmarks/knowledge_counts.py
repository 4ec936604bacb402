"""Calls and tokens of individual, collective and incremental extraction, and of what incremental is compared with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.knowledge_material import NEXT_EVENTS, Material, unchanged_share
from benchmarks.knowledge_replay import UserReplay, replay_user
from benchmarks.knowledge_tokens import Asked, Prices, Tally, Tokenizer
from knowledge.collective import GROUP_LIMITS, cluster_prompt
from knowledge.prompts import item_prompt, user_prompt
from streams.settings import StreamSettings


@dataclass
class Counts:
    """`full[user][rev]`: own tokens of the prompt that asks for everything after `rev` events, and of its answer."""

    tokenizer: Tokenizer
    material: Material
    prices: Prices
    first: str = ""  # the first message of all prompts about users
    full: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)

    def individual(self) -> dict[str, Any]:
        """One call for each user after the first ratings, and for each item."""
        users, items, material = Tally(), Tally(), self.material
        self._count_full([(user_id, known) for user_id, known in material.known.items()])
        for user_id, known in material.known.items():
            self._add_full(users, user_id, known)
        prompts = [self.tokenizer.asked(item_prompt(material.scenario, p)) for p in material.data.items.values()]
        answers = [material.item_answer(item_id) for item_id in material.data.items]
        self._add_all(items, prompts, answers)
        return {"users": users.told(self.prices), "items": items.told(self.prices)}

    def collective(self, ks: Sequence[int]) -> dict[str, Any]:
        """One call for each cluster."""
        found: dict[str, Any] = {}
        for entity in ("user", "item"):
            for k in ks:
                tally, (clusters, requests) = Tally(), self.material.clusters(entity, k)
                prompts = [
                    self.tokenizer.asked(
                        cluster_prompt(
                            self.material.scenario, self.material.catalogue, self.material.titles, one, GROUP_LIMITS
                        )
                    )
                    for one in requests
                ]
                answers, recorded = self.material.cluster_answers(requests)
                self._add_all(tally, prompts, answers)
                told = tally.told(self.prices) | {
                    "smallest_cluster": int(clusters.counts.min()),
                    "recorded_answers": recorded,
                }
                found.setdefault(f"{entity}s", {})[str(k)] = told
        return found

    def incremental(self, vectors: dict[str, np.ndarray], settings: StreamSettings) -> dict[str, Any]:
        """The replay, at the policy's refreshes, and five ways to do without it.

        each_event: after every event everything about its user; policy_full: the policy's refreshes, but everything
        each time; nightly_changed: at each UTC midnight everything about users with new events; nightly_everyone: about
        everybody known, until the data end; once: about everybody a single time at the end.
        """
        replays = self._replays(vectors, settings)
        self._count_full((u, rev) for u, kept in self.material.histories.items() for rev in range(1, len(kept) + 1))
        tallies = {
            name: Tally() for name in ("each_event", "policy_full", "nightly_changed", "nightly_everyone", "once")
        }
        most, least = Tally(), Tally()
        self._add_incremental(replays, most, least)
        for user_id, replay in replays.items():
            known, last = self.material.known[user_id], len(self.material.histories[user_id])
            for rev in range(known + 1, last + 1):
                self._add_full(tallies["each_event"], user_id, rev)
            for refresh in replay.refreshes:
                self._add_full(tallies["policy_full"], user_id, refresh.rev)
            before = known
            for rev in replay.nights:
                self._add_full(tallies["nightly_everyone"], user_id, rev)
                if rev > before:
                    self._add_full(tallies["nightly_changed"], user_id, rev)
                    before = rev
            self._add_full(tallies["once"], user_id, last)
        return {
            "replay": self._described(replays),
            "incremental_all_factors_rewritten": most.told(self.prices),
            "incremental_no_factor_rewritten": least.told(self.prices),
            **{name: tally.told(self.prices) for name, tally in tallies.items()},
        }

    def check(self) -> None:
        """Raise if parts do not add up to the whole, for a few prompts."""
        for user_id in list(self.material.known)[:5]:
            rev, material = self.material.known[user_id], self.material
            prompt = user_prompt(material.scenario, material.catalogue, material.titles, material.request(user_id, rev))
            parts = self.tokenizer.shared(self.first) + self.full[user_id][rev][0]
            if parts != (whole := self.tokenizer.whole(prompt)):
                raise ValueError(f"{parts} tokens in parts are {whole} in one: the tokenizer joins over the cut")

    def _replays(self, vectors: dict[str, np.ndarray], settings: StreamSettings) -> dict[str, UserReplay]:
        material = self.material
        until = material.data.ratings[-1].at
        return {
            user_id: replay_user(
                [entry.occurred_at for entry in history],
                material.known[user_id],
                until,
                settings,
                material.recorded(user_id, material.known[user_id]),
                material.drifts(user_id, vectors),
            )
            for user_id, history in material.histories.items()
        }

    def _add_incremental(self, replays: dict[str, UserReplay], most: Tally, least: Tally) -> None:
        made = [(user_id, one) for user_id, replay in replays.items() for one in replay.refreshes]
        asked, whole, bare = [], [], []
        for user_id, one in made:
            request = self.material.request(user_id, one.rev, None if one.plan.full else one.seen_before)
            asked.append(self._asked(request))
            whole.append(self.material.user_answer(user_id, one.rev))
            bare.append(self.material.user_answer(user_id, one.rev, factors=one.plan.full))
        self._add_all(most, asked, whole)
        self._add_all(least, asked, bare)

    def _described(self, replays: dict[str, UserReplay]) -> dict[str, Any]:
        refreshes = [one for replay in replays.values() for one in replay.refreshes]
        events = sum(len(h) - self.material.known[u] for u, h in self.material.histories.items())
        return {
            "users": len(replays),
            "events": events,
            "next_events_each": NEXT_EVENTS,
            "refreshes": len(refreshes),
            "from_scratch": sum(one.plan.full for one in refreshes),
            "by_reason": {
                "events": sum("needed" in one.reason and "taste" not in one.reason for one in refreshes),
                "age": sum(" old " in one.reason for one in refreshes),
                "drift": sum("taste" in one.reason for one in refreshes),
            },
            "events_a_refresh": round(sum(o.rev - o.seen_before for o in refreshes) / max(1, len(refreshes)), 2),
            "unseen_at_the_end": sum(replay.unseen for replay in replays.values()),
            "nights": max(len(replay.nights) for replay in replays.values()),
            "recorded_refreshes": unchanged_share(self.material.store, self.material.known),
        }

    def _asked(self, request: Any) -> Asked:  # noqa: ANN401 - UserRequest
        material = self.material
        return self.tokenizer.asked(user_prompt(material.scenario, material.catalogue, material.titles, request))

    def _count_full(self, wanted: Iterable[tuple[str, int]]) -> None:
        missing = [
            (user_id, rev)
            for user_id, rev in wanted
            if rev >= self.material.known[user_id] and rev not in self.full.get(user_id, {})
        ]
        asked = [self._asked(self.material.request(*one)) for one in missing]
        names = {one.shared for one in asked} | ({self.first} if self.first else set())
        if len(names) > 1:
            raise ValueError("prompts about users do not share their first message")
        self.first = names.pop() if names else self.first
        own = self.tokenizer.own([one.own for one in asked])
        outs = self.tokenizer.answers([self.material.user_answer(*one) for one in missing])
        for (user_id, rev), tokens, out in zip(missing, own, outs, strict=True):
            self.full.setdefault(user_id, {})[rev] = (tokens, out)

    def _add_full(self, tally: Tally, user_id: str, rev: int) -> None:
        own, out = self.full[user_id][rev]
        tally.add(self.first, self.tokenizer.shared(self.first), own, out)

    def _add_all(self, tally: Tally, asked: Sequence[Asked], answers: Sequence[dict[str, Any]]) -> None:
        own, outs = self.tokenizer.own([one.own for one in asked]), self.tokenizer.answers(answers)
        for one, tokens, out in zip(asked, own, outs, strict=True):
            tally.add(one.shared, self.tokenizer.shared(one.shared), tokens, out)
