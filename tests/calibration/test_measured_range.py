"""The range of the runs that a profile was compared with."""

from adaptwin import Adapter, Lengths, Server, Workload, load_profile
from adaptwin.calibration.measured_range import measured_range
from adaptwin.calibration.measurements import MeasuredRun

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")


def run(server, lengths, adapters, rate, rank=8, arrivals="poisson"):
    workload = Workload(
        [Adapter(f"a{i}", rank, rate) for i in range(adapters)], lengths=lengths, arrivals=arrivals, duration=60.0
    )
    return MeasuredRun(name="run", server=server, workload=workload, throughput=1.0)


def test_the_range_spans_all_runs():
    first = Server(max_loras=4, max_lora_rank=16, max_num_seqs=128)
    second = Server(max_loras=32, max_lora_rank=64, max_num_batched_tokens=8192, async_scheduling=True)
    found = measured_range(
        H100,
        [
            run(first, Lengths.empirical([(100, 20), (300, 60)]), adapters=8, rate=0.5),
            run(second, Lengths.fixed(1000, 30), adapters=2, rate=3.0, rank=64, arrivals="gamma:cv=2"),
        ],
    )
    assert found.constants == H100.fingerprint
    assert (found.prompt, found.answer) == ((200.0, 1000.0), (30.0, 40.0))
    assert (found.longest_prompt, found.longest_answer) == (1000, 60)
    assert found.arrivals == ("gamma", "poisson")
    assert (found.request_rate, found.adapters, found.rank) == (6.0, 8, 64)
    assert (found.max_loras, found.max_lora_rank) == ((4, 32), (16, 64))
    assert found.max_num_seqs == (128, 256)  # vLLM's default for 64 GB
    assert found.max_num_batched_tokens == (2048, 8192)
    assert found.settings == {"block_size": 16, "scheduler_reserve_full_isl": False, "watermark": 0.0}


def test_a_profile_with_this_range_is_measured_with_these_constants_only():
    runs = [run(Server(), Lengths.fixed(100, 20), adapters=1, rate=1.0)]
    profile = H100.model_copy(update={"request_latency": 1.0})
    assert not profile.is_measured
    profile = profile.model_copy(update={"measured": measured_range(profile, runs)})
    assert profile.is_measured
    assert not profile.model_copy(update={"request_latency": 1.1}).is_measured
