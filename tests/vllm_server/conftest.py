"""A real vLLM server on the CPU, with a tiny random model and adapters; `make test-live` installs it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import vllm_on_cpu  # noqa: E402

if not Path(vllm_on_cpu.VLLM_PYTHON).is_file():
    raise pytest.UsageError(f"{vllm_on_cpu.VLLM_PYTHON} does not exist: `make test-live` installs vLLM")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Return the folder of the model and its adapters a00, a01 and so on, of rank 8 and 16 in turn."""
    folder = tmp_path_factory.mktemp("tiny")
    vllm_on_cpu.make_tiny_model(folder, adapters=8, ranks=(8, 16, 32))
    return folder


@pytest.fixture(scope="session")
def on_cpu():
    """Return the module that starts and stops servers."""
    return vllm_on_cpu


@pytest.fixture(scope="module")
def server(tiny, on_cpu):
    """Return a running server with six adapters of rank 8 and 16 and four slots."""
    names = [f"a{number:02}" for number in range(8) if number % 3 != 2]
    with on_cpu.vllm_server(tiny, on_cpu.Settings(), names) as running:
        yield running
