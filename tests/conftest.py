"""Fixtures for tests of several packages: real measurements, and small fleets on a shipped profile.

The fleets have 300 seconds of traffic, so that a plan takes half a second.
"""

from pathlib import Path

import pytest
from tests.effort import LONG

from adaptwin import Adapter, Server, Workload, load_profile
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.profile.memory import MemoryModel
from adaptwin.profile.step_cost import StepCost

WINDOW = 300.0


def pytest_collection_modifyitems(config, items):
    """Leave out what takes long, unless everything is to run."""
    left_out = [] if LONG else [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    """Compile before processes start that would each do so."""
    from adaptwin.surrogate.compilation import compile_planning

    compile_planning()


STEP_COST = StepCost(
    host_base=0.0034,
    gpu_base=0.00113,
    weights=0.00823,
    balance_tokens=437.0,
    per_token=2.73e-6,
    per_pair=8.84e-10,
    per_context_token=7.21e-8,
    per_sequence=7.1e-6,
    eager=0.0018,
    slot_launch=2.2e-8,
    launched_block=6.6e-10,
    lora_launch=3.4e-6,
    lora_byte=2.35e-12,
    adapter_byte=1e-13,
    shrink_block=6.9e-9,
    expand_block=2.32e-8,
    active_block=5.8e-10,
)


MEMORY = MemoryModel(
    gpu_bytes=6.81e10,
    weights_bytes=1.606e10,
    activation_bytes=4.93e9,
    kv_bytes_per_token=131072,
    slot_bytes=6.33e6,
    slot_bytes_per_rank=5.76e6,
)


@pytest.fixture(scope="session")
def h100():
    """Return a shipped profile with fixed step cost and memory, so that a new fit changes no plan here."""
    shipped = load_profile("h100-64gb-llama-3.1-8b-instruct")
    changed = shipped.model_copy(update={"step_cost": STEP_COST, "memory": MEMORY, "request_latency": 0.012})
    measured = shipped.measured.model_copy(update={"constants": changed.fingerprint})
    return changed.model_copy(update={"measured": measured})


@pytest.fixture(scope="session")
def group_of(h100):
    """Return a function from a number of GPUs, and a price, to a profile of such groups with the costs of one H100."""

    def make(size, price=None):
        name = h100.name if size == 1 else f"{h100.name}-tp{size}"
        return h100.model_copy(update={"name": name, "tensor_parallel_size": size, "price_per_hour": price})

    return make


@pytest.fixture(scope="session")
def fleet():
    """Return a function from rows of name, rank and rate to a workload of 300 seconds."""

    def make(*rows, **fields):
        return Workload([Adapter(*row) for row in rows], **{"duration": WINDOW, **fields})

    return make


@pytest.fixture(scope="session")
def capacity_of(h100):
    """Return a function from a workload to its capacity on the H100."""

    def make(workload, factor=1.0):
        return Capacity(h100, workload, Server(), factor)

    return make


@pytest.fixture(scope="session")
def understood():
    """Return a function that reads the words of a command line as the program does; wrong ones raise an error."""
    import typer

    from adaptwin.cli.main import program

    def read(words):
        group = typer.main.get_command(program)
        if words[0].startswith("--"):  # such as --install-completion, which acts as soon as it is read
            assert words[0] in {name for param in group.params for name in param.opts}
            return
        context = group.make_context("adaptwin", list(words))
        name, command, rest = group.resolve_command(context, list(words))
        while hasattr(command, "commands"):
            name, command, rest = command.resolve_command(context, rest)
        command.make_context(name, rest, parent=context)  # reads every option; runs nothing

    return read


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real measurements and traces beside the project; skip the test without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real measurements in {folder}")
    return folder


@pytest.fixture
def cluster():
    """Start a Ray cluster of two workers on this machine for the duration of a test."""
    from adaptwin.twin.compilation import compile_twin

    ray = pytest.importorskip("ray")
    compile_twin()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()
