"""A comparison over the stand-in, in a folder of its own."""

import os
import sys
from pathlib import Path

import pytest

from ranking.evaluate.ctr import Evaluation
from ranking.evaluate.plan import Wanted
from ranking.evaluate.runs import Places
from reki.paths import cache_dir

HERE = Path(__file__).parent
SMALL = Wanted(("din", "dcnv2"), ("plain", "strong", "no_user_llm", "ours", "title_text"), folds=2, seeds=2)


@pytest.fixture(scope="session")
def quick_out(tmp_path_factory):
    """Results of quick evaluations; in one folder, so that each small fold is built once."""
    if not (cache_dir() / "recbole").is_dir():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    return tmp_path_factory.mktemp("quick")


@pytest.fixture
def standin_environ():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def comparison(tmp_path):
    """Makes the comparison `wanted`; its data set is a folder with one file."""
    sys.path.insert(0, str(HERE))
    data = tmp_path / "data"
    data.mkdir()
    (data / "ratings").write_text("1")

    def make(wanted=SMALL, **more):
        places = Places(data, tmp_path / "encodings", tmp_path / "cache", tmp_path / "out")
        return Evaluation("small", places, wanted, models="evaluate_standin", **more)

    yield make
    sys.path.remove(str(HERE))
