"""Any arguments of `simulate`, valid or not, give either finite figures or an error that names what is wrong."""

import math
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adaptwin import AdaptwinError, Profile, Run, Server, Workload, load_profile, simulate
from adaptwin.twin.run import VERDICTS

WINDOWS = (1e-9, 1.0, 60.0, 60.0, 200.0, 200.0, 3600.0, 3600.0, 1e6, 3e8)  # seconds
MOST_TOKENS = 3_000_000  # answer tokens of a run: what an example may cost

INTEGERS = (-1, 0, 1, 2, 15, 31, 255, 10**4, 10**5, 10**6, 10**9, 2**31, 2**53, 2**63, 2**64, 10**400)
FLOATS = (-1.0, -0.0, 1e-300, 1e-9, 0.5, 1e4, 1e10, 1e300, math.inf, -math.inf, math.nan)
WILD = st.sampled_from((*INTEGERS, *FLOATS, "", "poisson", "x" * 300, None, True, [], [1], {}))
PROMPTS, ANSWERS = st.sampled_from([1, 20, 3000, 10**7]), st.sampled_from([1, 2, 90, 10**7])
PAIRS = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 90)), min_size=1)
LENGTHS = st.one_of(
    st.just("sharegpt"),
    st.builds(lambda prompt, answer: {"fixed": [prompt, answer]}, PROMPTS, ANSWERS),
    st.builds(
        lambda prompt, answer, cv: {
            "lognormal": {"input_mean": prompt, "input_cv": cv, "output_mean": answer, "output_cv": cv}
        },
        st.floats(1, 2000),
        st.floats(1, 200),
        st.floats(0, 3),
    ),
    st.builds(lambda pairs: {"empirical": pairs}, PAIRS),
)
ARRIVALS = st.one_of(
    st.just("poisson"),
    st.builds("gamma:cv={}".format, st.sampled_from([0.01, 0.3, 1, 4, 100])),
    st.builds("regimes:period={},factor={}".format, st.sampled_from([1, 300, 1e8]), st.sampled_from([0.01, 1, 3, 100])),
    st.lists(st.floats(0, 500), max_size=30).map(sorted),
)


@st.composite
def workloads(draw) -> dict[str, Any]:
    duration, requests = draw(st.sampled_from(WINDOWS)), draw(st.sampled_from([0, 1, 5, 40, 40, 400]))
    count = draw(st.integers(0, 5))
    adapters = [
        {
            "name": f"a{i}",
            "rank": draw(st.sampled_from([0, 1, 8, 16, 16])),
            "rate": min(1e6, requests / duration),
            "lengths": draw(st.none() | LENGTHS),
            "arrivals": draw(st.none() | ARRIVALS),
            "slo_ttft": draw(st.sampled_from([None, None, 1e-9, 1.0, 1e9])),
            "slo_itl": draw(st.sampled_from([None, None, 1e-9, 1.0, 1e9])),
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
    costs = ("memory", "step_cost", "load_cost", "scheduler_cost", "scrape_cost", "model")
    places = [
        *((profile[part], name) for part in costs for name in profile[part]),
        *((profile, name) for name in ("request_latency", "price_per_hour")),
        *((drawn[1], name) for name in Server.model_fields),
        *((adapter, name) for adapter in drawn[2]["adapters"] for name in adapter),
        *((drawn[2], name) for name in ("duration", "lengths", "arrivals", "seed")),
        *((drawn[3], name) for name in ("seed", "repeats", "window", "warmup", "max_in_flight", "scrape_every")),
    ]
    for values, name in draw(st.lists(st.sampled_from(places), max_size=2)):
        values[name] = draw(WILD)
    return drawn


def expected_tokens(workload: Workload, server: Server, profile: Profile) -> float:
    """Answer tokens of the requests that are not rejected, roughly."""
    longest = server.max_model_len or profile.model.max_model_len
    return sum(
        max(workload.rate_of(adapter) * workload.duration, 1.0) * min(longest, workload.lengths_of(adapter).mean_output)
        for adapter in workload.adapters
    )


def assert_every_figure_is_right(run: Run) -> None:
    for name, value in run:
        if isinstance(value, float | int) and name != "seed":
            assert 0 <= value < math.inf, (name, value)
    for name in ("ttft", "itl", "tpot", "e2e"):
        for part, value in getattr(run, name):
            assert value >= 0 or math.isnan(value), (name, part, value)
            assert value < math.inf or math.isnan(value), (name, part, value)
    measured = run.adapters["finished"].sum() > 0
    assert measured or run.repeats > 1 or math.isnan(run.ttft.mean)
    assert not measured or not math.isnan(run.ttft.p99)
    assert run.verdict in VERDICTS
    for column in run.adapters.select("offered_throughput", "throughput", "ttft_p50", "ttft_p99", "itl_mean"):
        assert all(0 <= value < math.inf for value in column.drop_nans()), column.name
    for name, bounds in {**run.confidence, **run.intervals}.items():
        assert all(math.isnan(bound) or 0 <= bound < math.inf for bound in bounds), (name, bounds)
    if run.series is not None:
        assert all((run.series[name] >= 0).all() for name in run.series.columns)
        assert (run.series["kv_usage"] <= 1).all()
    assert run.kv_usage <= 1
    assert run.busy <= 1 + 1e-9
    assert run.mean_running <= (run.server.max_num_seqs or 1024)
    Run.model_validate_json(run.to_json())


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

    @settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
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
    assert min(met[kind] for kind in ("requests served", "overload", "SpecError", "OutOfMemory")) >= 5, met
    assert set(met) <= {"requests served", "overload", "SpecError", "OutOfMemory"}
