"""A small sweep and a training on it: a hundred mixes with two or four minutes of traffic each."""

import pytest

from adaptwin.dataset.design import Design
from adaptwin.dataset.sweep import sweep
from adaptwin.surrogate.train import train

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"
DESIGN = Design(
    profiles=(LLAMA, QWEN),
    sampler="random",
    mixes=120,
    loads=3,
    duration=(120.0, 240.0),
    most_requests=5000,
    max_num_seqs=(64, 256),
    arrivals=("poisson", "gamma:cv=2"),
    base_share=(0.0, 0.2),
)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Return some hundred runs of both profiles."""
    return sweep(DESIGN, tmp_path_factory.mktemp("runs"), jobs=1)


@pytest.fixture(scope="session")
def training(dataset):
    """Return a training on these runs."""
    return train(dataset, folds=2)
