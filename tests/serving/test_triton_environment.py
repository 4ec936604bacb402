"""What runs inside Triton, run with Triton's own Python: its environment has neither Feast nor our other libraries."""

import json
import subprocess

import pytest

from tests.serving.world import TRITON_PYTHON

pytestmark = pytest.mark.skipif(not TRITON_PYTHON.exists(), reason="no .venv-triton: `sh scripts/setup` makes it")

FEATURES = (
    "connection",
    "item_cache",
    "reader",
    "requests",
    "session",
    "store_layout",
    "tensors",
    "triton_start",
    "values",
)
RANKER = ("cosine", "ranker_load", "scoring")


def imported_by(modules):
    """Third-party packages that are loaded after importing these modules of `serving`."""
    program = (
        "import sys, json, importlib\n"
        "before = set(sys.modules)\n"
        f"for name in {modules!r}: importlib.import_module('serving.' + name)\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "print(json.dumps(sorted(tops)))"
    )
    done = subprocess.run([TRITON_PYTHON, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout))


def test_the_features_side_needs_numpy_and_hiredis_alone():
    # numpy's compiled parts register these names.
    assert imported_by(FEATURES) - {"_cython_3_0_8", "cython_runtime"} <= {"serving", "numpy", "hiredis"}


@pytest.mark.slow
def test_the_ranker_side_loads_none_of_the_libraries_that_the_main_environment_has():
    loaded = imported_by(RANKER)
    assert "torch" in loaded
    assert not loaded & {"feast", "redis", "pydantic", "pandas", "grpc", "tritonclient", "sentence_transformers"}


def test_the_launcher_imports_the_standard_library_alone():
    assert imported_by(("launcher",)) <= {"serving"}


def test_a_numpy_that_triton_cannot_read_stops_the_start_with_what_to_do():
    program = """
import types
import numpy
from serving.triton_start import check_start

class Broken:
    def __init__(self, name, data): self._data = data
    def as_numpy(self): return numpy.zeros_like(self._data)
    def to_dlpack(self): return self._data
    @staticmethod
    def from_dlpack(name, data): return Broken(name, data)

utils = types.SimpleNamespace(TritonModelException=RuntimeError, Tensor=Broken)
for version in (numpy.__version__, "2.4.6"):
    numpy.__version__ = version
    try:
        check_start(utils)
    except RuntimeError as error:
        print(error)
"""
    done = subprocess.run([TRITON_PYTHON, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.splitlines()
    assert "a known tensor came back as" in first
    assert "numpy 2.4.6 in the Triton environment" in second
