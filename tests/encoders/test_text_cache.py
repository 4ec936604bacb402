"""The cache of encodings: nothing twice, nothing half, two processes at once."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from encoders.text_cache import EncodingCache

ROOT = Path(__file__).parents[2]


class CountingEncoder:
    """Deterministic vectors from a hash, and a count of the texts that it was asked for."""

    dim = 4

    def __init__(self, encoder_id="counting", fail_after=None):
        self.encoder_id = encoder_id
        self.asked = []
        self._fail_after = fail_after

    def encode(self, texts):
        if self._fail_after is not None and len(self.asked) >= self._fail_after:
            raise RuntimeError("the machine went away")
        self.asked += texts
        rows = [np.frombuffer(hashlib.sha256(text.encode()).digest()[:4], np.uint8) for text in texts]
        return np.array(rows, dtype=np.float32) / 255


def test_a_text_is_encoded_once_and_comes_back_the_same_from_disk(tmp_path):
    first, second = CountingEncoder(), CountingEncoder()
    made = EncodingCache(tmp_path).encode(first, ["b", "a", "b"])
    again = EncodingCache(tmp_path).encode(second, ["a", "b", "c"])
    assert sorted(first.asked) == ["a", "b"]
    assert second.asked == ["c"]
    np.testing.assert_array_equal(made[[1, 0]], again[:2])
    np.testing.assert_array_equal(made[0], made[2])


def test_encoders_never_share_vectors(tmp_path):
    cache = EncodingCache(tmp_path)
    other = CountingEncoder("counting+bf16")
    cache.encode(CountingEncoder(), ["a"])
    cache.encode(other, ["a"])
    assert other.asked == ["a"]


def test_an_interrupted_run_keeps_what_it_had_encoded(tmp_path):
    texts = [f"text {n}" for n in range(1500)]
    with pytest.raises(RuntimeError):
        EncodingCache(tmp_path).encode(CountingEncoder(fail_after=1), texts)
    rest = CountingEncoder()
    EncodingCache(tmp_path).encode(rest, texts)
    assert len(rest.asked) == 1500 - 1024


def test_progress_counts_the_missing_texts_to_the_end(tmp_path):
    seen = []
    cache = EncodingCache(tmp_path)
    cache.encode(CountingEncoder(), [str(n) for n in range(1100)], lambda done, total: seen.append((done, total)))
    cache.encode(CountingEncoder(), ["1"], lambda done, total: seen.append((done, total)))
    assert seen == [(0, 1100), (1024, 1100), (1100, 1100)]


def test_a_damaged_pack_is_dropped_and_encoded_again(tmp_path):
    EncodingCache(tmp_path).encode(CountingEncoder(), ["a"])
    (pack,) = tmp_path.rglob("*.pack")
    pack.write_bytes(pack.read_bytes()[:40])
    again = CountingEncoder()
    EncodingCache(tmp_path).encode(again, ["a"])
    assert again.asked == ["a"]


def test_many_small_packs_are_merged_without_losing_a_text(tmp_path):
    cache = EncodingCache(tmp_path)
    for number in range(40):
        cache.encode(CountingEncoder(), [str(number)])
    assert len(list(tmp_path.rglob("*.pack"))) < 32
    fresh = CountingEncoder()
    EncodingCache(tmp_path).encode(fresh, [str(number) for number in range(40)])
    assert fresh.asked == []


def test_two_processes_write_at_once_and_leave_every_text(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.encoders.test_text_cache import CountingEncoder\n"
        "from encoders.text_cache import EncodingCache\n"
        "cache = EncodingCache(Path(sys.argv[1]))\n"
        "for n in range(60): cache.encode(CountingEncoder(), [f'{n // 2 if n % 2 else (sys.argv[2], n)}'])\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], cwd=ROOT) for name in ("one", "two")
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    texts = [str((name, n)) for name in ("one", "two") for n in range(0, 60, 2)] + [str(n) for n in range(30)]
    fresh = CountingEncoder()
    EncodingCache(tmp_path).encode(fresh, texts)
    assert fresh.asked == []
