"""What micro-benchmarks read off vLLM's own scheduler under known costs is what `fit` finds again.

On a CPU, the time of a step does not depend on the number of distinct adapters in it. Here vLLM's scheduler plans the
batches of the micro-benchmarks in virtual time, and each step takes as long as a measured profile of an H100 says.
"""

from array import array

import numpy as np
import pytest
from tests.vllm.vllm_scheduler import VllmScheduler

from adaptwin import Adapter, Lengths, Server, Workload, load_profile
from adaptwin.calibration.fit import fit
from adaptwin.live.answer import TakenAnswer
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.measurement_tables import measurements_of
from adaptwin.live.micro_benchmark import micro_benchmarks
from adaptwin.live.micro_runner import decoded
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.step_coefficients import step_coefficients
from adaptwin.workload.drawing.requests import Requests

SLOTS = 32
TRUE = load_profile("h100-64gb-llama-3.1-8b-instruct")
ADAPTER_TERMS = ("adapter_byte", "shrink_block", "expand_block", "active_block")
SERVER = Server(max_loras=SLOTS, max_lora_rank=16, max_cpu_loras=SLOTS, max_model_len=4096)


def answers_of(micro):
    """Send the requests of a micro-benchmark through vLLM's scheduler; return the times of their tokens."""
    count = micro.requests
    adapter = np.arange(count, dtype=np.int32) % max(1, micro.adapters)
    ranks = [16] * micro.adapters or [0]
    workload = Workload(
        [Adapter(f"a{i}", rank, 1.0) for i, rank in enumerate(ranks)],
        duration=60.0,
        lengths=Lengths.fixed(micro.prompt, micro.answer),
    )
    output = np.full(count, micro.answer, np.int32)
    requests = Requests(np.zeros(count, np.int64), adapter, np.full(count, micro.prompt, np.int32), output, output)
    scenario = make_scenario(TRUE, SERVER, workload, seed=0, requests=requests, drain=True)
    times = VllmScheduler(scenario).play().token_times.values()
    return [TakenAnswer(first=each[0], last=each[-1], gaps=array("q", np.diff(each).tolist())) for each in times]


@pytest.fixture(scope="module")
def fitted():
    """Return the profile that fit makes, beginning with one whose LoRA costs are three times too high."""
    measured = MeasuredServer(
        base="llama",
        adapters=tuple(Adapter(f"a{i}", 16, 0.0) for i in range(SLOTS)),
        server=SERVER,
        vllm_version=TRUE.vllm_version,
        kv_cache_tokens=None,
        determines_memory=False,
        gpu_memory_utilization=0.9,
        said=(),
    )
    designed = [micro for micro in micro_benchmarks(measured, 256, 2048) if micro.kind == "decode"]
    results = [decoded(micro, answers_of(micro)) for micro in designed]
    wrong = {name: 3.0 * getattr(TRUE.step_cost, name) for name in ADAPTER_TERMS}
    start = TRUE.model_copy(update={"step_cost": TRUE.step_cost.model_copy(update=wrong)})
    measurements = measurements_of(start, "http://vllm", "h100-64gb-llama-3.1-8b-instruct", measured, results, [])
    return start, fit(measurements).profile


def decode_seconds(profile, adapters, batch=64):
    cost = step_coefficients(profile, SERVER)
    return step_seconds(cost, tokens=batch, sequences=batch, adapters=adapters, context=50 * batch)


@pytest.mark.parametrize("adapters", [0, 1, 3, 10, 24, 32])
def test_the_time_of_a_step_with_so_many_adapters_is_found_again(fitted, adapters):
    assert decode_seconds(fitted[1], adapters) == pytest.approx(decode_seconds(TRUE, adapters), rel=0.03)


def test_what_another_adapter_in_the_batch_costs_is_found_again(fitted):
    def slope(profile):
        return (decode_seconds(profile, 32) - decode_seconds(profile, 2)) / 30

    assert slope(fitted[1]) == pytest.approx(slope(TRUE), rel=0.1)
    assert slope(fitted[0]) > 1.3 * slope(TRUE)  # where the fit began
