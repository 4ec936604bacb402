"""A small catalogue written by the real FeatureWriter, and how to run a Triton on an export."""

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import redis
import torch

from feature_repo import schema
from feature_repo.keys import Keys
from feature_repo.records import EntityWrite, FeatureRow
from feature_repo.settings import FeatureSettings
from feature_repo.writer import FeatureWriter
from knowledge.base import micros
from reki.embedded import valkey
from reki.embedded.ports import draw
from reki.embedded.service import Service, running
from serving.cosine import CosineRanker
from serving.launcher import Ports, probe, start_command

RELEASE = "0123456789ab"
SOURCE = "recorded-llm|recorded-1|1"
TRITON_PYTHON = Path(__file__).parents[2] / ".venv-triton/bin/python"
ITEMS = [f"item:{number}" for number in range(200)]


@dataclass(frozen=True)
class FakeRelease:
    """What the export reads of a release."""

    release_id: str = RELEASE
    path: Path = Path("nowhere")
    scenario: str = "films"
    # The last items are not in the vocabulary.
    vocabulary: dict[str, int] = field(default_factory=lambda: {item: 2 + n for n, item in enumerate(ITEMS[:190])})
    accepted_knowledge: tuple[str, ...] = (SOURCE,)
    factors: tuple[str, ...] = tuple(f"factor{number}" for number in range(schema.FACTORS))
    dim: int = schema.DIM
    history_length: int = schema.HISTORY
    anchors: tuple[str, ...] = tuple(ITEMS[: schema.ANCHORS])


def drawn_release(folder, vocabulary, shape=None, **changes):
    """A release with drawn weights, large enough that every input moves the score; costs what a trained one costs.

    `shape` is that of its ranker, by default the first releases'; `changes` are fields of `About`.
    """
    import torch

    from encoders.hein import Hein, HeinShape
    from ranking.model import Ranker
    from ranking.release import About, write_release
    from ranking.shape import RankerShape

    shape, hein = shape or RankerShape(vocabulary=2 + len(vocabulary)), HeinShape()
    torch.manual_seed(3)
    ranker = Ranker(shape)
    with torch.no_grad():
        for name, tensor in ranker.state_dict().items():
            if tensor.is_floating_point() and not name.endswith("scale"):
                tensor.copy_(torch.randn_like(tensor) * 0.2)
    about = About(
        scenario="films",
        factors=FakeRelease().factors,
        encoder_id="test",
        dim=schema.DIM,
        history_length=schema.HISTORY,
        ring_size=schema.RING,
        anchors=FakeRelease().anchors,
        anchor_means=(3.0,) * schema.ANCHORS,
        accepted_knowledge=(SOURCE,),
        model_name="din",
        metrics={},
        hein=hein,
        ranker=shape,
    )
    return write_release(folder, replace(about, **changes), Hein(hein), ranker, vocabulary)


@dataclass
class Catalogue:
    """Writes rows as the workers do, and remembers them as a test's own truth."""

    settings: FeatureSettings
    client: redis.Redis
    writer: FeatureWriter
    keys: Keys
    vec: dict[str, np.ndarray] = field(default_factory=dict)
    summary: dict[str, np.ndarray] = field(default_factory=dict)
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def numbers(self, *shape):
        return self.draw.standard_normal(shape).astype(np.float32)

    def item(self, item_id, release=RELEASE, rev=1, slot="blue", unit=False):
        """`unit`: each factor's vector has length 1, as a release's have."""
        self.vec[item_id] = self.numbers(schema.FACTORS, schema.DIM)
        if unit:
            self.vec[item_id] /= np.linalg.norm(self.vec[item_id], axis=-1, keepdims=True)
        self.summary[item_id] = self.numbers(schema.SUMMARY)
        values = {"item_vec": self.vec[item_id].reshape(-1), "item_summary": self.summary[item_id]}
        self.write("item", item_id, FeatureRow("item_vector", values, rev, release, slot=slot))

    def history(self, user_id, items, values, rev, written_at=None):
        row = {
            "history_item_ids": items,
            "history_values": values,
            "history_through": micros(datetime(2026, 1, 1, tzinfo=UTC)),
        }
        if written_at is not None:
            row["history_written_at"] = written_at
        self.write("user", user_id, FeatureRow("user_history", row, rev))

    def experienced(self, user_id, vec, stats, rev, release=RELEASE, slot="blue"):
        values = {"experienced_vec": np.asarray(vec).reshape(-1), "experienced_stats": stats}
        self.write("user", user_id, FeatureRow("user_experienced", values, rev, release, slot=slot))

    def expected(self, user_id, rev, release=RELEASE, source=SOURCE, written_at=None, slot="blue"):
        values = {
            "expected_vec": self.numbers(2 * schema.FACTORS * schema.DIM),
            "expected_anchors": self.numbers(schema.ANCHORS),
            "expected_summary": self.numbers(schema.SUMMARY),
            "expected_source": source,
        }
        if written_at is not None:
            values["expected_written_at"] = written_at
        self.write("user", user_id, FeatureRow("user_expected", values, rev, release, slot=slot))
        return values

    def write(self, entity, entity_id, row):
        self.writer.write([EntityWrite(entity, entity_id, 0, (row,))])


class OnlineStore:
    """A Valkey that can be stopped and started again with its data and address."""

    def __init__(self, folder):
        self._folder = folder
        self._port = draw()[0]
        self._block = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self):
        self._block = valkey.start(self._folder, self._port)
        self._block.__enter__()

    def stop(self):
        if self._block is not None:
            self._block.__exit__(None, None, None)
            self._block = None


@dataclass(frozen=True)
class RunningTriton:
    http_url: str
    grpc_url: str
    run_dir: Path
    pid: int
    log: Path


@contextmanager
def run_triton(folder):
    """Run a Triton on `folder`/models for as long as the block lasts."""
    http, grpc, metrics = draw(3)
    url = f"http://127.0.0.1:{http}"
    command = start_command(TRITON_PYTHON, folder / "models", folder / "run", Ports(http, grpc, metrics))
    service = Service("triton", tuple(command), probe=lambda: probe(url) is None, ready_s=90)
    log = folder / "triton.log"
    with running(service, log) as process:
        yield RunningTriton(url, f"127.0.0.1:{grpc}", folder / "run", process.pid, log)


def direct(catalogue, item_ids, experienced=None, expected=None):
    """Scores as torch computes them from what was written, without Triton, Redis or our reader."""
    vec = np.stack([catalogue.vec.get(item_id, np.zeros((9, 16), np.float32)) for item_id in item_ids])
    known = [item_id in catalogue.vec for item_id in item_ids]
    zeros = np.zeros((2, 9, 16), np.float32)
    batch = {
        "item_vec": torch.from_numpy(vec)[None],
        "item_mask": torch.tensor([known]),
        "user_experienced": torch.from_numpy(zeros if experienced is None else experienced)[None],
        "user_expected": torch.from_numpy(zeros if expected is None else expected)[None],
        "user_mask": torch.tensor([[1, experienced is not None, expected is not None, 1]]),
    }
    return torch.sigmoid(CosineRanker()(batch))[0].numpy()
