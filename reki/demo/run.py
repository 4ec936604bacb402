"""`reki demo`: train or reuse a release, load, start the stack, replay real ratings, show and measure."""

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from knowledge.base import RekiError
from reki.demo import counters, where
from reki.demo.cast import demo_plan
from reki.demo.figures import percentile, spread, write_summary
from reki.demo.plan import EVENTS_TO_CHANGE, Plan, Role
from reki.demo.screen import Screen
from reki.demo.walk import Walk, Walked
from reki.loading import Sample, load_into
from reki.paths import ports_file, state_dir
from reki.sample_release import SampleRelease, ensure_release
from reki.settings import Settings, Source, load_settings
from reki.stack import services
from reki.stack.ports import StackPorts
from reki.stack.stack import Stack
from reki.up import finish_apply, refuse_second, start_apply
from serving.measure import measure

STORES = ("valkey", "broker", "llm")
REQUESTS = 1_000  # at concurrency 1, and as many at 8


def main(keep: bool = False) -> int:
    """Run the demo; returns the exit code. `keep` leaves the stack up.

    Raises `RekiError` (one sentence for the user) where something must be mended first or did not work.
    """
    refuse_second()
    signal.signal(signal.SIGTERM, _interrupt)
    begun = time.monotonic()
    screen = Screen()
    ports = StackPorts.kept(ports_file())
    home = state_dir() / "demo"
    settings = demo_settings(load_settings(ports=ports), home)
    shutil.rmtree(home, ignore_errors=True)
    with screen.stage("MovieLens-100K and its recorded knowledge"):
        sample = Sample.load(settings.ranking.movielens_dir)
        plan = demo_plan(sample)
    release = ensure_release(settings, plan, screen)
    # Named, not "the newest": the refresh worker must load the very release that Triton serves.
    settings = settings.replaced(Source.STACK, release=str(release.path))
    stack = Stack(settings, home / "run", home / "data", home / "logs", ports=ports)
    if stack.broker_note:
        screen.line(stack.broker_note)
    try:
        _start(stack, release, sample, screen, detached=keep)
        walked = Walk(stack, sample, plan, screen).run()
        summary = _summary(stack, release, sample, plan, walked, screen)
        summary["wall_s"] = round(time.monotonic() - begun, 1)
        write_summary(home / "summary.json", summary)
        where.show(screen, stack, plan, keep)
    except KeyboardInterrupt:
        screen.line("stopping")
        _stop(stack)
        return 130
    except BaseException:
        _stop(stack)
        raise
    if not keep:
        _stop(stack)
        screen.line("stopped; nothing is left running")
    return 0


def demo_settings(settings: Settings, home: Path) -> Settings:
    """The demo's own choices, unless somebody chose otherwise: a policy quick enough to watch.

    LLM answers are cached in the demo's folder, which is wiped: else a second run would show no call.
    """
    chosen = {
        "knowledge_cache_dir": home / "data" / "answers",
        "refresh_min_events": EVENTS_TO_CHANGE,
        "refresh_min_drift": 0.0,
        "refresh_debounce_s": 1.0,
        "refresh_settle_s": 0.5,
        "refresh_max_delay_s": 5.0,
    }
    return settings.replaced(**{name: value for name, value in chosen.items() if not settings.is_explicit(name)})


def _start(stack: Stack, release: SampleRelease, sample: Sample, screen: Screen, detached: bool) -> None:
    file = services.settings_file(stack.run_dir)
    stack.settings.write(file)
    applying = start_apply(file, release.path, stack.models_dir)
    try:
        with screen.stage("Broker, Valkey and LLM server") as tick:
            stack.up(tick, only=STORES, detached=detached)
        with screen.stage("Feast repository, and models for Triton"):
            finish_apply(applying)
    finally:
        applying.kill()  # where the stores did not come up; else it has ended
        applying.wait()
    with screen.stage("Histories and knowledge into Feast") as tick:
        items, users = load_into(
            stack.settings,
            release.release,
            sample,
            lambda done, total: tick(done, total, "films"),
            lambda done, total: tick(done, total, "users"),
        )
        tick(users.entities, users.entities, f"{items.entities} films, {users.entities} users, online and offline")
    with screen.stage("Triton and both workers") as tick:
        stack.up(tick, detached=detached)


@dataclass(frozen=True)
class _Speed:
    """`recommend` at concurrency 1 and 8, over the candidates of all visitors."""

    single: dict[str, float]
    eight: dict[str, float]

    @classmethod
    def measured(cls, stack: Stack, plan: Plan, screen: Screen) -> "_Speed":
        requests = [(visitor.user_id, visitor.candidates) for visitor in plan.visitors]
        requests = (requests * (REQUESTS // len(requests) + 1))[:REQUESTS]
        url = stack.settings.serving.triton_grpc_url
        with screen.stage(f"Speed of recommend, {len(requests[0][1])} candidates") as tick:
            tick(0, 2, "one request at a time")
            single = measure(url, requests, 1)
            tick(1, 2, "eight at a time")
            eight = measure(url, requests, 8)
            tick(2, 2, f"p50 {single['p50_ms']} ms, p99 {single['p99_ms']} ms; {eight['rps']:.0f} requests/s at 8")
        return cls(single, eight)


def _summary(
    stack: Stack, release: SampleRelease, sample: Sample, plan: Plan, walked: Walked, screen: Screen
) -> dict[str, Any]:
    speed = _Speed.measured(stack, plan, screen)
    counted = counters.read(stack.ports)
    replayed = walked.replayed
    recorded, live = (
        [replayed.knowledge_ms[v.user_id] for v in plan.of(role) if v.user_id in replayed.knowledge_ms]
        for role in (Role.RECORDED, Role.LIVE)
    )
    if len(recorded) + len(live) != len(replayed.changed):
        raise RekiError("demo_failed", "somebody changed of whom the demo did not expect it: see .reki/demo/logs")
    freshness = {
        "history": spread(replayed.history_ms),
        "experienced": spread(replayed.experienced_ms),
        "recorded": spread(recorded),
        "live_llm": spread(live),
    }
    screen.table(
        "Freshness: from publish() to the answer of await_applied()",
        ("tier", "median", "p99", "n"),
        [
            (name, f"{percentile(values, 0.5):.0f} ms", f"{percentile(values, 0.99):.0f} ms", str(len(values)))
            for name, values in (
                ("history", replayed.history_ms),
                ("experienced", replayed.experienced_ms),
                ("recorded knowledge", recorded),
                ("live LLM knowledge", live),
            )
            if values
        ],
        note=f"on {stack.broker_name}; knowledge waits for the end of a burst "
        f"({stack.settings.streams.refresh_settle_s:g} s of quiet)",
    )
    return {
        "users": len(sample.ratings),
        "items": len(sample.data.items),
        "events_published": replayed.published,
        "events_applied": counted.events_applied,
        "users_changed": len(replayed.changed),
        "users_unchanged": len(replayed.outcomes) - len(replayed.changed),
        "llm_calls": counted.llm_calls,
        "recorded_refreshes": len(recorded),
        "tokens_in": counted.tokens_in,
        "tokens_cached": counted.tokens_cached,
        "tokens_out": counted.tokens_out,
        "dead_letters": counted.dead_letters,
        # Of the release itself, on the demo's people, who validate it: nothing was chosen by them.
        "auc_valid": release.metrics["auc_kept_out"],
        "auc_valid_without_knowledge": release.metrics["auc_kept_out_without_knowledge"],
        "users_valid": release.release.about.training["users_kept_out"],
        # Measured when the release's training was settled, not in this run.
        "auc_folds": release.metrics["auc_folds"],
        "auc_folds_without_knowledge": release.metrics["auc_folds_without_knowledge"],
        "recommend": {
            "n": int(speed.single["n"]),
            "p50_ms": speed.single["p50_ms"],
            "p99_ms": speed.single["p99_ms"],
            "rps": speed.eight["rps"],
            "concurrency": 8,
        },
        "freshness_ms": freshness,
        "memory_mb": round(stack.memory_mb(), 1),
        "broker": stack.broker_name,
        "online_store": walked.online_store,
        "llm": walked.llm,
        "triton_version": walked.triton_version,
    }


def _stop(stack: Stack) -> None:
    # A second Ctrl-C must not leave half of it behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack.down()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
