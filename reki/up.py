"""`reki up`, `reki down` and `reki status`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from knowledge.base import TerminalError, TransientError
from knowledge.scenario import load_scenario
from reki.demo.screen import Screen
from reki.paths import ROOT, ports_file, run_dirs, state_dir
from reki.settings import SETTINGS_FILE, Settings, Source, load_settings
from reki.stack import control, services
from reki.stack.ports import StackPorts
from reki.stack.stack import Stack
from reki.workers import release_path

_STORES = ("valkey", "broker")
_WATCH_S = 1.0


def run(detach: bool = False, stores: bool = False) -> None:
    """Start the stack and, unless `detach`, stay until Ctrl-C or SIGTERM and stop it then.

    Raises `TerminalError` where something must be mended first, `TransientError` where a service did not come up.
    """
    refuse_second()
    ports = StackPorts.kept(ports_file())
    settings = load_settings(ports=ports)
    load_scenario(settings.knowledge.scenario)  # what is wrong with it should not be left for a worker to say
    screen = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        release = None if stores else release_or_train(settings, screen)
    except KeyboardInterrupt:
        screen.line("stopped; nothing is left running")
        return
    if release is not None:
        # A worker that starts again must not take one that was trained meanwhile: Triton serves this one.
        settings = settings.replaced(Source.STACK, release=str(release))
    names = _STORES if stores else services.NAMES
    stack = Stack(
        settings, run_dirs()["reki up"], settings.reki.data_dir, state_dir() / "logs", ports=ports, names=names
    )
    if stack.broker_note:
        screen.line(stack.broker_note)
    try:
        _start(stack, screen, release, detach)
        _say_where(stack.settings, screen, stores)
        if release is not None and _is_empty(stack.settings):
            screen.line(
                "The stores are empty: `reki load-sample` fills them with MovieLens-100K and its recorded knowledge."
            )
        if detach:
            screen.line("It runs on; `reki status` shows it, `reki down` stops it.")
            return
        screen.line("Ctrl-C stops it.")
        _watch(stack, screen)
    except KeyboardInterrupt:
        screen.line("stopping")
        _stop(stack)
        screen.line("stopped; nothing is left running")
    except BaseException:
        _stop(stack)
        raise


def release_or_train(settings: Settings, screen: Screen) -> Path:
    """The release in use; where there is none, and none is named, the sample's: trained now."""
    try:
        return release_path(settings)
    except TerminalError as error:
        if error.reason != "no_release" or settings.reki.release:
            raise
    from reki.sample_release import train_sample  # loads torch

    screen.line("There is no release yet: one is trained now, on MovieLens-100K (about a minute).")
    return train_sample(settings, screen)


def _is_empty(settings: Settings) -> bool:
    """Whether nobody has loaded or published anything yet."""
    from feature_repo.offline import OfflineBuffer

    offline = OfflineBuffer(settings.feature_repo.offline_dir)
    return not any(offline.count(view) for view in ("item_profile", "user_history"))


def _stop(stack: Stack) -> None:
    # A second Ctrl-C must not leave half of it behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack.down()


def refuse_second() -> None:
    """Raise `TerminalError` (`already_up`) if a stack of this clone is up: both would use the clone's ports."""
    for command, run_dir in run_dirs().items():
        if control.is_up(run_dir):
            if "triton" not in {one.name for one in control.status(run_dir)}:
                raise TerminalError(
                    "already_up",
                    "the stores of this clone are up alone (`reki up --stores`): `reki down` stops them, and `reki up` "
                    "then starts all, with what is in them",
                )
            raise TerminalError("already_up", f"the stack of `{command}` is up in this clone: `reki down` stops it")


def start_apply(settings_file: Path, release: Path | None, models_dir: Path) -> "subprocess.Popen[str]":
    """Start `reki.apply` for the settings in a file; pass the process to `finish_apply`."""
    arguments = [] if release is None else [f"--models={models_dir}", f"--release={release}"]
    return subprocess.Popen(
        [sys.executable, "-m", "reki.apply", *arguments],
        cwd=ROOT,
        env={**os.environ, SETTINGS_FILE: str(settings_file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish_apply(process: "subprocess.Popen[str]") -> None:
    """Wait for it; raises `TransientError` (`feast_apply`) with the last line of what it said."""
    said = process.communicate()[0].strip().splitlines() or ["it said nothing"]
    if process.returncode:
        raise TransientError("feast_apply", f"applying the Feast repository or exporting the models failed: {said[-1]}")


def _start(stack: Stack, screen: Screen, release: Path | None, detached: bool) -> None:
    file = services.settings_file(stack.run_dir)
    stack.settings.write(file)
    # Triton loads what it finds there: not the models of a release that was served before.
    shutil.rmtree(stack.models_dir, ignore_errors=True)
    applying = start_apply(file, release, stack.models_dir)
    try:
        with screen.stage("Stores" if release is None else "Stores and LLM") as tick:
            stack.up(tick, only=(*_STORES, "llm"), detached=detached)
        with screen.stage("Feast repository" if release is None else "Feast repository and models for Triton"):
            finish_apply(applying)
    finally:
        applying.kill()  # where the stores did not come up; else it has ended
        applying.wait()
    if release is not None:
        with screen.stage("Triton and workers") as tick:
            stack.up(tick, detached=detached)


def _watch(stack: Stack, screen: Screen) -> NoReturn:
    """Say what goes wrong, until somebody interrupts; raises `TransientError` if the supervisor ends."""
    said: set[str] = set()
    while True:
        time.sleep(_WATCH_S)
        if not control.is_up(stack.run_dir):
            raise TransientError("no_supervisor", "the stack's supervisor has ended: see .reki/logs/supervisord.log")
        for sentence in control.failures(stack.run_dir).values():
            if sentence not in said:
                said.add(sentence)
                screen.line(sentence, style="red")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say_where(settings: Settings, screen: Screen, stores: bool) -> None:
    rows = [
        ("Kafka", settings.streams.kafka_bootstrap),
        ("Redis", settings.feature_repo.redis_url),
        ("Feast", str(settings.feature_repo.feast_repo)),
    ]
    if not stores:
        rows += [
            ("LLM", settings.knowledge.llm_base_url or settings.knowledge.llm),
            ("Triton", f"{settings.serving.triton_grpc_url} (gRPC), {settings.serving.triton_http_url}"),
        ]
    screen.table("Where things are", ("what", "address"), rows)


def stop() -> None:
    """Stop both kinds of stack of this clone; says what it found."""
    found = [command for command, run_dir in run_dirs().items() if control.down(run_dir)]
    print(f"stopped the stack of {' and '.join(f'`{one}`' for one in found)}" if found else "nothing was running")


def show() -> bool:
    """Print how the stack is; whether it is up and all of it runs."""
    screen = Screen()
    well = False
    for command, run_dir in run_dirs().items():
        found = control.probed(run_dir)
        if not found:
            continue
        well = all(one.state == "running" for one in found)
        rows = [(one.name, one.state, str(one.pid or ""), _age(one.up_s), one.detail) for one in found]
        screen.table(f"Stack of `{command}`", ("service", "state", "pid", "up", ""), rows)
    if not well and not any(control.is_up(run_dir) for run_dir in run_dirs().values()):
        screen.line("no stack of this clone is up: `reki up` starts one")
    return well


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
