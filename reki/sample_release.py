"""The release for MovieLens-100K: trained once in a child process, then reused until what it was made from changes."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.base import RekiError, TerminalError, TransientError
from ranking.release import Release
from reki.demo.plan import Plan
from reki.demo.screen import Screen, Ticker
from reki.paths import ROOT
from reki.settings import Settings

_MADE_FROM = ("ranking", "encoders", "knowledge")
_POINTER = "sample.json"


@dataclass(frozen=True)
class SampleRelease:
    """A release for MovieLens-100K; `reused` = it was there already."""

    release: Release
    reused: bool

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.release.path

    @property
    def metrics(self) -> dict[str, float]:
        """Measured when it was trained."""
        return dict(self.release.metrics)


def train_sample(settings: Settings, screen: Screen) -> Path:
    """The folder of the sample's release, for a stack that has none; errors as `ensure_release`."""
    from reki.demo.cast import demo_plan
    from reki.loading import Sample

    with screen.stage("MovieLens-100K and its recorded knowledge"):
        plan = demo_plan(Sample.load(settings.ranking.movielens_dir))
    return ensure_release(settings, plan, screen).path


def ensure_release(settings: Settings, plan: Plan, screen: Screen) -> SampleRelease:
    """The release of these sources, trained on all users but the demo's; trained now if there is none.

    Raises `TerminalError` or `TransientError` with the last thing that training said.
    """
    folder = settings.ranking.releases_dir
    kept_out = sorted(visitor.user_id for visitor in plan.visitors)
    wanted = _digest(settings, kept_out)
    found = _known(folder / _POINTER, wanted)
    if found is not None:
        screen.line(f"✓ Release {found.release_id}, trained before  {worth(found)}")
        return SampleRelease(found, reused=True)
    folder.mkdir(parents=True, exist_ok=True)
    without = folder / "kept-out.txt"
    without.write_text("\n".join(kept_out) + "\n", encoding="utf-8")
    with screen.stage("Training DIN + HEIN + matching head, and DIN alone") as tick:
        release = Release.load(_train(settings, without, tick))
        tick(1, 1, f"{release.release_id}  {worth(release)}")
    draft = folder / f"{_POINTER}.draft"
    draft.write_text(json.dumps({"release_id": release.release_id, "made_from": wanted}), encoding="utf-8")
    draft.replace(folder / _POINTER)
    return SampleRelease(release, reused=False)


def worth(release: Release) -> str:
    """What to expect of it (folds), and what it is worth on those whom the demo replays: too few but for a check."""
    metrics, training = release.metrics, release.about.training
    return (
        f"AUC {metrics['auc_folds']:.4f}, without knowledge {metrics['auc_folds_without_knowledge']:.4f} (folds, on "
        f"users not trained on); on the demo's {training['users_kept_out']} people, not trained on either, "
        f"{metrics['auc_kept_out']:.4f} and {metrics['auc_kept_out_without_knowledge']:.4f}"
    )


def _digest(settings: Settings, kept_out: list[str]) -> str:
    """Everything that the release depends on: code, what the folds settled, recorded knowledge, settings, users."""
    ranking = settings.ranking
    total = hashlib.sha256(json.dumps([kept_out, ranking.train_seed, ranking.train_epochs]).encode())
    total.update(settings.encoders.encoder_id.encode())
    for room in _MADE_FROM:
        for file in sorted((ROOT / room).rglob("*")):
            if file.suffix in {".py", ".jsonl", ".json", ".toml"}:
                total.update(file.read_bytes())
    return total.hexdigest()


def _known(pointer: Path, wanted: str) -> Release | None:
    try:
        named = json.loads(pointer.read_text(encoding="utf-8"))
        return Release.load(pointer.parent / named["release_id"]) if named["made_from"] == wanted else None
    except (OSError, ValueError, KeyError, RekiError):
        return None  # never trained, or half removed: train again


def _train(settings: Settings, without: Path, tick: Ticker) -> Path:
    """Run the training process to its end; it is a child, so that its gigabyte is gone before the stack starts."""
    ranking = settings.ranking
    command = [sys.executable, "-m", "ranking.train", "--data", str(ranking.movielens_dir)]
    command += ["--encodings", str(settings.encoders.encodings_dir), "--out", str(ranking.releases_dir)]
    command += ["--without-users", str(without), "--seed", str(ranking.train_seed)]
    command += ["--epochs", str(ranking.train_epochs), "--threads", str(ranking.train_threads)]
    command += ["--encoder", settings.encoders.encoder_id]
    log = ranking.releases_dir / "training.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            for line in _lines(process):
                if line["stage"] == "error":
                    raise TerminalError(line["reason"], f"training failed: {line['message']}")
                if line["stage"] == "release":
                    return Path(line["path"])
                tick(line["done"], line["total"], line["stage"])
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.kill()  # Ctrl-C, or an error of ours: nobody wants its result any more
    raise TransientError("training_ended", f"training ended (exit code {process.returncode}): see {log}")


def _lines(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    for line in process.stdout or ():
        if line.startswith("{"):
            yield json.loads(line)
