"""Simulated runs beside measured ones: what is compared, what is refused, and what is said to blur it."""

import json
import math

import polars as pl
import pytest
from tests.calibration.own_files import bench_serve, guidellm, inference_perf, written
from tests.live.replays import NO_PROBLEM, replay_of, replayed_run, run_of

from adaptwin import Adapter, OutOfMemory, Server, SpecError, Workload, file_kinds
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.live.compare_measured import compare_with_plan, compare_with_profile, compare_with_run
from adaptwin.live.measured_files import read_observations
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.twin.run import Run
from adaptwin.workload.lengths import Lengths

SERVER = Server(max_loras=2, max_lora_rank=16)
WORKLOAD = Workload(
    adapters=(Adapter("a0", 8, 1.0), Adapter("a1", 16, 0.5), Adapter("base", 0, 0.5)),
    lengths=Lengths.fixed(200, 100),
    duration=150.0,
)
FEWER = {"completed": 50, "num_prompts": 50, "total_input_tokens": 10_000, "total_output_tokens": 5000}
BENCHED = Workload(adapters=(Adapter("base", 0, 1.0),), lengths=Lengths.fixed(200, 100), duration=200.0)


@pytest.fixture(scope="module")
def run(h100) -> Run:
    """The run of the twin."""
    return run_of(h100, SERVER, WORKLOAD)


@pytest.fixture
def seen(tmp_path):
    """Return what a replay says, from its file; each call has a file of its own."""

    def read(replay):
        path = tmp_path / f"r{len(list(tmp_path.iterdir()))}.json"
        replay.write(path)
        assert file_kinds.REPLAY in file_kinds.kinds_of(path)
        return read_observations(path)

    return read


@pytest.fixture(scope="module")
def measured(h100):
    """Make a replay of the server, as the twin has it, with changes."""
    return lambda **changes: replayed_run(
        h100, changes.pop("server", SERVER), changes.pop("workload", WORKLOAD), **changes
    )


# What is compared


def test_errors_are_those_of_the_twin_over_what_was_measured(run, measured, seen):
    found = compare_with_run(run, "run.json", seen(replay_of(measured(slower=2.0))))
    [server] = found.servers
    assert server.figures["throughput"].error == 0.0
    assert server.figures["itl.mean"].error == pytest.approx(-0.5)
    assert server.figures["e2e.p50"].measured == pytest.approx(2 * run.e2e.p50)
    assert server.figures["kv_cache_tokens"] == (None, run.kv_cache_tokens, None)
    assert server.measured_grades == (server.grade,) == ("ok",)
    assert found.doubts == ()


def test_of_repeats_the_median_is_compared_and_the_spread_is_the_range_over_it(run, measured, seen):
    """Of 1, 2 and 4 times the latency, the median is 2 and the range 3: a spread of 1.5."""
    several = [each for slower in (1.0, 4.0, 2.0) for each in seen(replay_of(measured(slower=slower)))]
    [server] = compare_with_run(run, "run.json", several).servers
    assert server.repeats == 3
    assert server.figures["ttft.p50"].spread == pytest.approx(1.5)
    assert server.figures["ttft.p50"].error == pytest.approx(-0.5)
    assert server.figures["throughput"].spread == 0.0
    assert server.adapters[0].figures["itl_mean"].spread == pytest.approx(1.5)


def test_a_figure_that_is_not_known_has_no_error(run, measured, seen):
    [server] = compare_with_run(run, "run.json", seen(replay_of(measured(mean_waiting=None)))).servers
    assert server.figures["mean_waiting"].error is None


def test_nothing_measured_has_no_error_unless_the_twin_has_nothing_too(run, measured, seen):
    [server] = compare_with_run(run, "run.json", seen(replay_of(measured(preemptions=0, mean_waiting=0.0)))).servers
    assert server.figures["preemptions"].error == 0.0
    assert (server.figures["mean_waiting"].error is None) == (run.mean_waiting > 0)


def test_the_adapter_with_the_largest_error_in_throughput_or_ttft_comes_first(run, measured, seen):
    replayed = measured()
    columns = replayed.adapters.to_dict(as_series=False)
    columns["ttft_p50"][1] *= 3
    columns["throughput"][2] /= 2
    columns["itl_mean"][0] *= 100
    found = compare_with_run(
        run, "run.json", seen(replay_of(replayed.model_copy(update={"adapters": pl.DataFrame(columns)})))
    )
    assert [(each.name, each.server) for each in found.adapters][:2] == [("base", "server"), ("a1", "server")]
    assert [round(each.severity, 2) for each in found.adapters] == [1.0, 0.67, 0.0]


def test_an_adapter_without_requests_is_not_compared(h100, seen):
    workload = WORKLOAD.model_copy(update={"adapters": (*WORKLOAD.adapters, Adapter("idle", 8, 0.0))})
    run = run_of(h100, SERVER, workload)
    found = compare_with_run(run, "run.json", seen(replay_of(replayed_run(h100, SERVER, workload))))
    assert {each.name for each in found.adapters} == {"a0", "a1", "base"}


# The twin simulates what was measured


def test_with_a_profile_the_twin_has_the_same_requests(h100, measured, seen):
    replay = replay_of(measured(seed=7), client=NO_PROBLEM.model_copy(update={"max_in_flight": 500}))
    [server] = compare_with_profile(h100, seen(replay)).servers
    assert server.run.seed == 7
    assert {name: pair.error for name, pair in server.figures.items() if pair.measured is not None} == pytest.approx(
        dict.fromkeys(("throughput", "request_rate", "ttft.mean", "ttft.p50", "ttft.p99", "itl.mean", "itl.p99",
                       "tpot.mean", "e2e.p50", "e2e.p99", "mean_running", "mean_waiting"), 0.0)
    )  # fmt: skip
    assert any("at most 500 requests open" in line for line in server.run.assumptions)


def test_a_replay_that_ended_early_is_simulated_up_to_there(h100, measured, seen):
    short = measured(workload=WORKLOAD.model_copy(update={"duration": 60.0}), seed=3)
    assert short.duration == 60.0
    replay = replay_of(short.model_copy(update={"workload": WORKLOAD}), ended_early="the server died")
    found = compare_with_profile(h100, seen(replay))
    assert found.servers[0].run.duration == 60.0
    assert found.servers[0].figures["throughput"].error == pytest.approx(0.0)
    assert "ended early: the server died" in found.doubts[0]


def test_runs_with_the_same_requests_are_repeats_and_those_of_another_seed_are_not(h100, measured, seen):
    several = [each for seed in (0, 0, 1) for each in seen(replay_of(measured(seed=seed)))]
    found = compare_with_profile(h100, several)
    assert [server.repeats for server in found.servers] == [2, 1]
    assert [server.name for server in found.servers] == ["server (r0.json)", "server (r2.json)"]
    assert found.total is None


def test_a_measured_run_is_simulated_with_its_server_and_workload(h100, tmp_path):
    real = MeasuredRun(name="monday", server=SERVER, workload=WORKLOAD, throughput=500.0, itl_mean=0.02)
    real.write(tmp_path / "measured.json")
    found = compare_with_profile(h100, read_observations(tmp_path / "measured.json"))
    assert found.servers[0].name == "monday"
    assert found.servers[0].run.repeats > 1
    assert found.servers[0].adapters == ()


def test_another_version_of_vllm_is_said(h100, measured, seen):
    [doubt] = compare_with_profile(h100, seen(replay_of(measured(vllm_version="0.99.1")))).doubts
    assert doubt.endswith(f"the server runs vLLM 0.99.1, but {h100.name} is of vLLM {h100.vllm_version}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws_own_requests": False}, "every request went to the next server in turn"),
        ({"server": None}, "server: missing: replay a fleet file that has the settings"),
        ({"duration": 0.5}, "duration: 0.5 s after warm-up are too few to compare"),
    ],
)
def test_what_cannot_be_simulated_again_is_refused(h100, measured, seen, changes, message):
    with pytest.raises(SpecError, match=rf"r0\.json: runs\[0\].*{message}"):
        compare_with_profile(h100, seen(replay_of(measured().model_copy(update=changes))))


def test_a_server_that_would_not_start_names_the_file(h100, measured, seen):
    huge = measured().model_copy(update={"server": SERVER.with_slots(20_000, max_lora_rank=16)})
    with pytest.raises(OutOfMemory, match=r"r0\.json: "):
        compare_with_profile(h100, seen(replay_of(huge)))


# Plans


@pytest.fixture(scope="module")
def plan(h100) -> Plan:
    """Two servers."""
    placed = {"gpu-0": {"a0": 1.0}, "gpu-1": {"a1": 1.0, "base": 1.0}}
    servers = tuple(
        PlacedServer(name=name, profile=h100.name, server=SERVER, adapters=adapters)
        for name, adapters in placed.items()
    )
    return Plan(options=PlanOptions(), seed=0, lower_bound=1, servers=servers, profiles=(h100,), workload=WORKLOAD)


@pytest.fixture(scope="module")
def of_plan(h100, plan):
    """Make the replay of the plan, with changes to the run of its second server."""

    def make(slower=1.0, **changes):
        first, second = plan.servers
        runs = [
            replayed_run(h100, SERVER, plan.workload_of(each), name=each.name, slower=slower)
            for each in (first, second)
        ]
        return replay_of(runs[0], runs[1].model_copy(update=changes), routing="plan")

    return make


def test_each_server_of_a_plan_is_compared_and_their_throughput_is_summed(plan, of_plan, seen):
    several = [each for slower in (1.0, 2.0) for each in seen(of_plan(slower))]
    found = compare_with_plan(plan, "plan.yaml", several)
    assert [(server.name, server.repeats) for server in found.servers] == [("gpu-0", 2), ("gpu-1", 2)]
    assert found.total is not None
    assert found.total.measured == pytest.approx(sum(server.run.throughput for server in found.servers))
    assert found.total.error == pytest.approx(0.0)
    errors = found.errors("itl.mean")
    assert errors is not None
    assert (errors.servers, errors.mean) == (2, pytest.approx(1 / 3))
    assert errors.spread == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "gpu-7"}, r"runs\[1\].name: 'gpu-7' was measured, but the servers of plan.yaml are gpu-0, gpu-1"),
        (
            {"server": SERVER.with_slots(5, max_lora_rank=16)},
            r"runs\[1\].server.max_cpu_loras: 5 was measured, but plan",
        ),
        ({"workload": WORKLOAD}, "'a0' was measured, but plan.yaml does not place it on gpu-1"),
        ({"workload": BENCHED}, "'a1' was not measured on gpu-1"),
    ],
)
def test_a_run_that_is_not_of_the_plan_is_refused(plan, of_plan, seen, changes, message):
    with pytest.raises(SpecError, match=message):
        compare_with_plan(plan, "plan.yaml", seen(of_plan(**changes)))


def test_a_plan_is_not_compared_with_a_measured_run(plan, tmp_path):
    MeasuredRun(name="monday", server=SERVER, workload=WORKLOAD, throughput=500.0).write(tmp_path / "m.json")
    with pytest.raises(SpecError, match="only results of adaptwin replay can be compared with a plan"):
        compare_with_plan(plan, "plan.yaml", read_observations(tmp_path / "m.json"))


def test_a_replay_of_several_servers_is_not_compared_with_a_run_of_one(run, of_plan, seen):
    with pytest.raises(SpecError, match=r"2 servers were measured, but run\.json is a run of one"):
        compare_with_run(run, "run.json", seen(of_plan()))


# What makes a comparison meaningless


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"server": SERVER.with_slots(4, max_lora_rank=16, max_cpu_loras=4)},
            "server.max_cpu_loras: 4 was measured, but",
        ),
        (
            {"server": Server(max_loras=2, max_lora_rank=32)},
            "server.max_lora_rank: 32 was measured, but run.json has 16",
        ),
        ({"max_loras": 8}, r"max_loras: 8 \(as the server reports\) was measured, but run.json has 2"),
        ({"window": "drain"}, "window: drain was measured, but run.json has cut: simulate with --window drain"),
        ({"duration": 90.0}, "duration: 90 s was measured, but run.json has 150 s: simulate with --duration 90s"),
        ({"warmup": 5.0}, "warmup: 5 s was measured, but run.json has 0 s: simulate with --warmup 5s"),
        ({"offered_request_rate": 4.0}, "request_rate: 4 was measured, but run.json has .*: this is another workload"),
        ({"workload": BENCHED}, "adapters: 'a0' of run.json was not measured"),
    ],
)
def test_another_server_or_workload_is_refused(run, measured, seen, changes, message):
    with pytest.raises(SpecError, match=rf"r0\.json: runs\[0\]\.{message}"):
        compare_with_run(run, "run.json", seen(replay_of(measured().model_copy(update=changes))))


def test_other_arrivals_from_the_same_seed_are_refused(run, measured, seen):
    other = WORKLOAD.model_copy(update={"adapters": (Adapter("a0", 8, 1.05), *WORKLOAD.adapters[1:])})
    with pytest.raises(SpecError, match=r"adapters: a0: arrivals: .* with the same seed: this is another workload"):
        compare_with_run(run, "run.json", seen(replay_of(measured(workload=other))))


def test_another_rank_is_refused(run, measured, seen):
    other = WORKLOAD.model_copy(update={"adapters": (Adapter("a0", 16, 1.0), *WORKLOAD.adapters[1:])})
    with pytest.raises(SpecError, match=r"adapters: a0: rank 16 was measured, but run\.json has rank 8"):
        compare_with_run(run, "run.json", seen(replay_of(measured(workload=other))))


def test_an_adapter_that_the_run_does_not_have_is_refused(h100, measured, seen):
    fewer = run_of(h100, SERVER, WORKLOAD.without({"a1"}))
    with pytest.raises(SpecError, match=r"adapters: 'a1' was measured, but run\.json does not have it"):
        compare_with_run(fewer, "run.json", seen(replay_of(measured())))


def test_host_memory_that_holds_the_slots_is_the_same_as_its_default(run, measured, seen):
    stated = SERVER.model_copy(update={"max_cpu_loras": 2})
    assert not compare_with_run(run, "run.json", seen(replay_of(measured(server=stated)))).doubts


# What only blurs it


@pytest.mark.parametrize(
    ("changes", "of_replay", "doubt"),
    [
        ({"failed": 3}, {}, "3 of 300 requests failed"),
        ({"finished": 99}, {}, "only 99 requests finished, too few for a 99th percentile"),
        ({"server": None}, {}, "does not say the settings of the server"),
        (
            {"server": Server(max_loras=2, max_num_seqs=64)},
            {},
            "sets max_num_seqs, for which run.json has vLLM's defaults",
        ),
        ({"offered_throughput": 540.0}, {}, "270 tokens per request were offered, but 300 in run.json"),
        ({}, {"client": NO_PROBLEM.model_copy(update={"complaint": "it computed"})}, "the bottleneck: it computed"),
        ({"duration": 100.0}, {"ended_early": "it died"}, "ended early: it died"),
        ({"duration": 100.0}, {"ended_early": "it died"}, "a window of 100 s is short: verdicts need 120 s"),
        ({"duration": 100.0}, {"ended_early": "it died"}, "100 s were measured, but run.json has 150 s"),
    ],
)
def test_what_blurs_a_comparison_is_said(run, measured, seen, changes, of_replay, doubt):
    replayed = measured()
    settings = {"arrived": 300, "offered_request_rate": 2.0, "offered_throughput": 600.0, **changes}
    even = run.model_copy(update={"offered_request_rate": 2.0, "offered_throughput": 600.0})
    found = compare_with_run(even, "run.json", seen(replay_of(replayed.model_copy(update=settings), **of_replay)))
    assert any(doubt in line for line in found.doubts), found.doubts


def test_another_seed_is_said(run, measured, seen):
    found = compare_with_run(run, "run.json", seen(replay_of(measured(seed=5))))
    assert any("the seed is 5, but that of run.json is 0: other arrivals" in line for line in found.doubts)


def test_a_limit_that_servers_share_is_said_only_if_it_was_reached(plan, of_plan, seen):
    for most, is_said in ((50, True), (49, False)):
        client = NO_PROBLEM.model_copy(update={"max_in_flight": 50, "most_in_flight": most})
        found = compare_with_plan(plan, "plan.yaml", seen(of_plan().model_copy(update={"client": client})))
        assert any("reached its limit of 50 open requests" in line for line in found.doubts) == is_said


# Benchmarks


@pytest.fixture(scope="module")
def benched(h100) -> Run:
    """The run of the twin that a benchmark may be compared with."""
    return run_of(h100, SERVER, BENCHED, window="drain")


@pytest.mark.parametrize(
    ("report", "throughput", "ttft", "itl"),
    [
        (bench_serve(), 1.0 * 300, 0.038, 0.0101),
        (guidellm(), 30 / 31 * 300, 0.05, 0.012),
        (inference_perf(), 1.0 * 301, 0.03, 0.01),
    ],
    ids=["vllm", "guidellm", "inference-perf"],
)
def test_the_throughput_of_a_benchmark_counts_prompts_as_the_twin_does(
    benched, tmp_path, report, throughput, ttft, itl
):
    seen = read_observations(written(tmp_path / "bench.json", report))
    [server] = compare_with_run(benched, "run.json", seen).servers
    assert server.figures["throughput"].measured == pytest.approx(throughput)
    assert server.figures["ttft.p50"].measured == pytest.approx(ttft)
    assert server.figures["itl.mean"].measured == pytest.approx(itl)
    assert server.figures["e2e.p50"].measured is None


def test_without_the_tokens_of_prompts_the_throughput_of_a_benchmark_is_left_out(benched, tmp_path):
    seen = read_observations(written(tmp_path / "bench.json", bench_serve(total_input_tokens=None)))
    found = compare_with_run(benched, "run.json", seen)
    assert found.servers[0].figures["throughput"].measured is None
    assert any("throughput is left out" in line for line in found.doubts)


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"request_rate": "inf"}, "as fast as it could"),
        ({"request_rate": "inf", "max_concurrency": 8}, "as fast as it could, with 8 open at most"),
        ({"failed": 2}, "2 requests failed"),
        ({**FEWER, "duration": 50.0}, "only 50 requests finished"),
    ],
)
def test_what_blurs_a_comparison_with_a_benchmark_is_said(benched, tmp_path, changes, doubt):
    seen = read_observations(written(tmp_path / "bench.json", bench_serve(**changes)))
    assert any(doubt in line for line in compare_with_run(benched, "run.json", seen).doubts)


def test_a_run_with_several_adapters_or_a_cut_window_is_said_to_differ_from_a_benchmark(run, tmp_path):
    seen = read_observations(written(tmp_path / "bench.json", bench_serve(request_rate=2.0)))
    doubts = compare_with_run(run, "run.json", seen).doubts
    assert any("but run.json has 3 adapters" in line for line in doubts)
    assert any("simulate with --window drain" in line for line in doubts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_rate": 2.0}, "request_rate: 2 was measured, but run.json has"),
        ({"total_input_tokens": 90_000}, "tokens_per_request: 1e.03 was measured, but run.json has 300"),
    ],
)
def test_a_benchmark_of_other_traffic_is_refused(benched, tmp_path, changes, message):
    seen = read_observations(written(tmp_path / "bench.json", bench_serve(**changes)))
    with pytest.raises(SpecError, match=message):
        compare_with_run(benched, "run.json", seen)


def test_a_benchmark_cannot_be_simulated_again(h100, tmp_path):
    seen = read_observations(written(tmp_path / "bench.json", bench_serve()))
    with pytest.raises(SpecError, match="a result of vllm bench serve does not say the settings of the server"):
        compare_with_profile(h100, seen)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"avg_latency": 1.0, "latencies": [1.0], "percentiles": {"50": 1.0}}, "was made without a server"),
        (guidellm() | {"args": {"model": "mock-model"}}, "is of a stand-in for a server"),
    ],
)
def test_a_result_without_a_server_is_refused(tmp_path, report, message):
    with pytest.raises(SpecError, match=message):
        read_observations(written(tmp_path / "bench.json", report))


def test_a_report_without_metadata_is_a_benchmark_too(tmp_path):
    report = guidellm()
    del report["metadata"]
    [seen] = read_observations(written(tmp_path / "bench.json", report))
    assert seen.name == "guidellm"


def test_runs_without_a_common_figure_are_refused(h100, tmp_path):
    silent = run_of(h100, SERVER, BENCHED, window="drain")
    nothing = dict.fromkeys(("ttft", "itl", "tpot"), type(silent.ttft)())
    silent = silent.model_copy(update={**nothing, "throughput": math.nan, "request_rate": math.nan})
    seen = read_observations(written(tmp_path / "bench.json", bench_serve()))
    with pytest.raises(SpecError, match=r"bench\.json: has no figure in common with run\.json"):
        compare_with_run(silent, "run.json", seen)


def test_a_replay_reads_back_equal_in_what_is_compared(run, measured, seen, tmp_path):
    """What is NaN in a run is null in its file, and None in what is compared."""
    bare = measured().model_copy(update={"ttft": type(run.ttft)()})
    [server] = compare_with_run(run, "run.json", seen(replay_of(bare))).servers
    assert server.figures["ttft.p50"] == (None, run.ttft.p50, None)
    assert json.loads((tmp_path / "r0.json").read_text())["runs"][0]["ttft"]["p50"] is None
