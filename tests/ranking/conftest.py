"""MovieLens and a small trained release, each once a session."""

import pytest
import torch

from ranking.datasets.movielens import load
from ranking.training import TrainOptions, train
from reki.paths import cache_dir

KEPT_OUT = frozenset({"2", "5", "6", "7"})
MOVIELENS = cache_dir() / "recbole/recbole/dataset_example/ml-100k"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small tensors gain nothing from more, and threads that wait for each other burn the other tests' time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def movielens_dir():
    """The folder of MovieLens-100K that set-up fetched."""
    if not (MOVIELENS / "ml-100k.inter").exists():
        pytest.skip("MovieLens-100K was not fetched: `sh scripts/setup` does it")
    return MOVIELENS


@pytest.fixture(scope="session")
def movielens(movielens_dir):
    """The data set."""
    return load(movielens_dir)


@pytest.fixture(scope="session")
def small_options(movielens_dir, tmp_path_factory):
    """Two epochs on a few users, `KEPT_OUT` not among them; encodings are those of set-up."""
    return TrainOptions(
        movielens_dir,
        cache_dir() / "encodings",
        tmp_path_factory.mktemp("releases"),
        KEPT_OUT,
        epochs=2,
        plain_epochs=1,
        most_users=30,
    )


@pytest.fixture(scope="session")
def small_release(small_options):
    """A release trained on 30 users: real in every part, good at nothing."""
    return train(small_options)
