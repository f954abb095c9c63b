"""Any arguments of `simulate`, valid or not, give either finite figures or an error that names what is wrong."""

import math
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.effort import examples
from tests.wild import ARRIVALS, LENGTHS, places_of_profile, spoilt

from adaptwin import AdaptwinError, Profile, Run, Server, Workload, load_profile, simulate
from adaptwin.twin.run import VERDICTS

WINDOWS = (1e-9, 1.0, 60.0, 60.0, 200.0, 200.0, 3600.0, 3600.0, 1e6, 3e8)  # seconds
MOST_TOKENS = 3_000_000  # answer tokens of a run: what an example may cost


@st.composite
def workloads(draw) -> dict[str, Any]:
    duration, requests = draw(st.sampled_from(WINDOWS)), draw(st.sampled_from([0, 1, 40, 400, 4000, 4000, 4000]))
    count = draw(st.integers(0, 5))
    adapters = [
        {
            "name": f"a{i}",
            "rank": draw(st.sampled_from([0, 1, 8, 16, 16])),
            "rate": min(1e6, requests / duration),
            "lengths": draw(st.none() | LENGTHS),
            "arrivals": draw(st.none() | ARRIVALS),
            "slo_ttft": draw(st.sampled_from([None, None, 1e-9, 0.5, "1e9s"])),
            "slo_itl": draw(st.sampled_from([None, None, 1e-9, 0.5, "1e9s"])),
        }
        for i in range(count)
    ]
    return {"adapters": adapters, "duration": duration, "lengths": draw(LENGTHS), "arrivals": draw(ARRIVALS)}


SERVERS = st.fixed_dictionaries(
    {"max_loras": st.sampled_from([0, 1, 1, 2, 2, 3, 6]), "max_lora_rank": st.sampled_from([8, 16, 16, 64, 64])},
    optional={
        "max_cpu_loras": st.integers(6, 9),
        "max_num_seqs": st.sampled_from([1, 2, 30, 256]),
        "max_num_batched_tokens": st.sampled_from([256, 2048, 8192]),
        "max_model_len": st.sampled_from([31, 2048, 4096, 4096]),
        "gpu_memory_utilization": st.sampled_from([0.5, 0.9, 1.0]),
        "block_size": st.sampled_from([1, 16, 256]),
        "scheduler_reserve_full_isl": st.booleans(),
        "watermark": st.sampled_from([0.0, 0.01, 0.99]),
        "async_scheduling": st.booleans(),
        "kv_cache_tokens": st.sampled_from([1, 31, 5000, 100_000, 10**7]),
    },
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.sampled_from([0, 3, 2**62]),
        "repeats": st.sampled_from([1, 3]),
        "window": st.sampled_from(["cut", "drain"]),
        "warmup": st.sampled_from([0.0, 1e-9, 30.0, 3599.0]),
        "max_in_flight": st.sampled_from([1, 30]),
        "record": st.booleans(),
        "scrape_every": st.sampled_from([0.001, 2.0, 3e8]),
    },
)
PROFILES = st.sampled_from(["h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"])


@st.composite
def arguments(draw) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Draw profile, server, workload and options, and replace up to two of all their values by wild ones."""
    profile = load_profile(draw(PROFILES)).model_dump(mode="json")
    drawn = profile, draw(SERVERS), draw(workloads()), draw(OPTIONS)
    places = [
        *places_of_profile(profile),
        *((drawn[1], name) for name in Server.model_fields),
        *((adapter, name) for adapter in drawn[2]["adapters"] for name in adapter),
        *((drawn[2], name) for name in ("duration", "lengths", "arrivals", "seed")),
        *((drawn[3], name) for name in ("seed", "repeats", "window", "warmup", "max_in_flight", "scrape_every")),
    ]
    draw(spoilt(places))
    return drawn


def expected_tokens(workload: Workload, server: Server, profile: Profile) -> float:
    """Answer tokens of the requests that are not rejected, roughly."""
    longest = server.max_model_len or profile.model.max_model_len
    return sum(
        max(rate * workload.duration, 1.0) * min(longest, workload.lengths_of(adapter).mean_output)
        for adapter, rate in zip(workload.adapters, workload.rates, strict=True)
    )


def assert_every_figure_is_right(run: Run) -> None:
    assert all(0 <= value < math.inf for _, value in run if isinstance(value, float | int)), run
    latencies = [value for name in ("ttft", "itl", "tpot", "e2e") for _, value in getattr(run, name)]
    bounds = [bound for interval in (*run.confidence.values(), *run.intervals.values()) for bound in interval]
    assert all(0 <= value < math.inf for value in (*latencies, *bounds) if not math.isnan(value)), run
    measured = run.adapters["finished"].sum() > 0
    assert measured or run.repeats > 1 or math.isnan(run.ttft.mean)
    assert not measured or not math.isnan(run.ttft.p99)
    assert run.verdict in VERDICTS
    for column in run.adapters.select("offered_throughput", "throughput", "ttft_p50", "ttft_p99", "itl_mean"):
        assert all(0 <= value < math.inf for value in column.drop_nans()), column.name
    assert run.series is None or all((run.series[name] >= 0).all() for name in run.series.columns)
    assert run.kv_usage <= 1
    assert run.busy <= 1 + 1e-9
    assert run.mean_running <= (run.server.max_num_seqs or 1024)
    if run.duration <= 3600:  # the text of a longer time series takes a minute
        assert Run.model_validate_json(run.to_json()).to_json() == run.to_json()


def simulated(profile: dict[str, Any], server: dict[str, Any], workload: dict[str, Any], **options: Any) -> Run | str:
    """Simulate what was drawn; return the kind of the error if there is one."""
    try:
        a_profile, a_server, a_workload = Profile.parse(profile), Server.parse(server), Workload.parse(workload)
        assume(expected_tokens(a_workload, a_server, a_profile) < MOST_TOKENS)
        return simulate(a_profile, a_server, a_workload, **options)
    except AdaptwinError as error:
        return type(error).__name__ if str(error) else "an error without a message"


def test_any_arguments_give_figures_or_an_error_that_says_why():
    met: Counter[str] = Counter()

    @settings(
        max_examples=examples(900, 400),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(arguments())
    def attempt(drawn):
        profile, server, workload, options = drawn
        found = simulated(profile, server, workload, **options)
        if isinstance(found, Run):
            assert_every_figure_is_right(found)
            met["requests served"] += found.finished > 0
            met["overload"] += found.starved
        else:
            met[found] += 1

    attempt()
    assert min(met[kind] for kind in ("requests served", "SpecError", "OutOfMemory")) >= 10, met
    assert met["overload"] >= 2, met
    assert set(met) <= {"requests served", "overload", "SpecError", "OutOfMemory"}
