"""The walk: ask Triton, publish real ratings, watch who changes, ask again, and show what moved."""

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from feature_repo.keys import Keys
from feature_repo.reader import FeatureReader
from knowledge.base import Expectations
from reki.demo import report
from reki.demo.plan import CANDIDATES, Plan, Role, Visitor
from reki.demo.replay import Replayed, merged, replay
from reki.demo.screen import Screen
from reki.loading import Sample
from reki.stack.stack import Stack
from serving.answer import Recommendation
from serving.client import RekiClient
from streams.await_applied import Applied, AppliedWaiter
from streams.producer import BehaviorProducer
from streams.redis_calls import connect

RECORDED_TIMEOUT_S = 120.0
LIVE_TIMEOUT_S = 300.0  # the embedded LLM takes about a minute on two busy cores
SHOWN_RANKINGS = 2


@dataclass(frozen=True)
class Walked:
    """What the walk measured, and what it ran on."""

    replayed: Replayed
    online_store: str
    llm: str
    triton_version: str


class Walk:
    """One walk over a running stack."""

    def __init__(self, stack: Stack, sample: Sample, plan: Plan, screen: Screen) -> None:
        self._stack, self._sample, self._plan, self._screen = stack, sample, plan, screen
        features, streams = stack.settings.feature_repo, stack.settings.streams
        self._redis = connect(features.redis_url)
        self._reader = FeatureReader(self._redis, Keys(features.namespace))
        self._waiter = AppliedWaiter(self._redis, features.namespace)
        self._client = RekiClient(stack.settings.serving)
        self._producer = BehaviorProducer(
            streams.kafka_bootstrap, features.namespace, last_resort=streams.kafka_last_resort
        )
        self._titles = {item: profile.title for item, profile in sample.data.items.items()}
        self._answers: dict[str, dict[str, Recommendation]] = {v.user_id: {} for v in plan.visitors}

    def run(self) -> Walked:
        """Do it all; raises `RekiError` where the system did not do what it promises."""
        visitors = self._plan.visitors
        with self._producer, self._client:
            with self._screen.stage(f"Triton ranks {CANDIDATES} candidates for each of {len(visitors)} users"):
                self._ask_all(visitors, "before")
            known = {v.user_id: self._knowledge(v.user_id) for v in visitors if v.role is not Role.UNCHANGED}
            quiet = [visitor for visitor in visitors if visitor.role is not Role.LIVE]
            replays = [
                self._replay("Real ratings arrive; recorded knowledge answers", quiet, RECORDED_TIMEOUT_S),
                self._replay("More ratings; the embedded LLM answers", self._plan.of(Role.LIVE), LIVE_TIMEOUT_S),
            ]
            with self._screen.stage("Triton ranks the same candidates again"):
                self._ask_all(visitors, "after")
        replayed = merged(replays)
        self._show(replayed, known)
        return Walked(replayed, self._online_store(), self._llm(), self._triton_version())

    def _ask_all(self, visitors: Sequence[Visitor], moment: str) -> None:
        for visitor in visitors:
            self._ask(visitor, moment)

    def _ask(self, visitor: Visitor, moment: str) -> None:
        self._answers[visitor.user_id][moment] = self._client.recommend(
            visitor.user_id, visitor.candidates, deadline_s=30.0
        )

    def _replay(self, title: str, visitors: Sequence[Visitor], timeout_s: float) -> Replayed:
        with self._screen.stage(title) as tick:
            done = replay(
                visitors,
                self._producer,
                self._waiter,
                tick=tick,
                on_last_event=lambda visitor: self._ask(visitor, "experienced"),
                knowledge_timeout_s=timeout_s,
            )
            unchanged = len(done.outcomes) - len(done.changed)
            tick(
                done.published,
                done.published,
                f"{done.published} events: {len(done.changed)} users changed, {unchanged} not",
            )
        return done

    def _knowledge(self, user_id: str) -> dict[str, Any]:
        row = self._reader.read("user_knowledge", [user_id])[0] or {}
        return {
            "factors": json.loads(row.get("knowledge_factors") or "{}"),
            "expectations": Expectations.model_validate_json(row.get("knowledge_expectations") or "{}"),
            "mode": row.get("knowledge_mode", ""),
        }

    def _show(self, replayed: Replayed, before: dict[str, dict[str, Any]]) -> None:
        screen, plan = self._screen, self._plan
        answers = {user: report.Answers(**moments) for user, moments in self._answers.items()}
        changed = [v for v in plan.of(Role.RECORDED) if isinstance(replayed.outcomes[v.user_id], Applied)]
        screen.heading("What changed")
        report.show_changes(screen, plan.visitors, replayed.outcomes, answers, self._about)
        for visitor in changed[:1]:
            user = visitor.user_id
            report.show_knowledge(screen, user, before[user], self._knowledge(user), self._titles)
        for visitor in changed[:SHOWN_RANKINGS]:
            report.show_ranking(screen, visitor, answers[visitor.user_id], self._titles, self._about(visitor.user_id))
        report.show_hits(screen, changed, answers)

    def _about(self, user_id: str) -> str:
        return report.person(self._sample.data.users[user_id].fields)

    def _online_store(self) -> str:
        info = cast(dict[str, Any], self._redis.info("server"))
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    def _llm(self) -> str:
        """Who wrote the knowledge in force of the changed users, as it stands in their rows."""
        users = [visitor.user_id for visitor in self._plan.visitors if visitor.role is not Role.UNCHANGED]
        rows = self._reader.read("user_knowledge", users, ["knowledge_model"])
        return " and ".join(dict.fromkeys(str(row["knowledge_model"]) for row in rows if row is not None))

    def _triton_version(self) -> str:
        with urllib.request.urlopen(f"{self._stack.settings.serving.triton_http_url}/v2", timeout=10) as answer:  # noqa: S310 - our own address
            return str(json.load(answer)["version"])
