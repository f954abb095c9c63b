"""Any arguments of `make_plan`, valid or not, give either a plan of finite figures or an error that says why not."""

import math
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.wild import ARRIVALS, WILD, places_of_profile, spoilt

from adaptwin import AdaptwinError, Plan, Profile, Server, Workload, load_profile, make_plan
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES

LLAMA, OTHER = "h100-64gb-llama-3.1-8b-instruct", "smaller"
SHORT = st.sampled_from(["sharegpt", {"fixed": [200, 100]}, {"empirical": [[30, 5], [900, 90]]}])
SMALL_ARRIVALS = ARRIVALS.filter(lambda arrivals: arrivals != "regimes:period=1,factor=100")


@st.composite
def workloads(draw) -> dict[str, Any]:
    duration = draw(st.sampled_from([10.0, 120.0, 300.0, 300.0]))
    adapters = [
        {
            "name": f"a{i}",
            "rank": draw(st.sampled_from([0, 8, 16, 64])),
            "rate": draw(st.sampled_from([0.0, 0.01, 0.5, 2.0, 40.0])),
            "slo_ttft": draw(st.sampled_from([None, None, 1e-9, 0.5, 1e9])),
            "slo_itl": draw(st.sampled_from([None, None, None, 0.05])),
        }
        for i in range(draw(st.integers(1, 6)))
    ]
    return {"adapters": adapters, "duration": duration, "lengths": draw(SHORT), "arrivals": draw(SMALL_ARRIVALS)}


OPTIONS = st.fixed_dictionaries(
    {"objective": st.sampled_from([*OBJECTIVES, "min-gpus", "min-gpus"])},
    optional={
        "strategy": st.sampled_from([*STRATEGIES]),
        "gpus": st.sampled_from([1, 2, 3]),
        "headroom": st.sampled_from([0.0, 0.2, 10.0]),
        "margin": st.sampled_from([0.0, 0.1, "profile"]),
        "ttft_p99": st.sampled_from([1e-9, 0.5, 1e9]),
        "itl_p99": st.sampled_from([1e-9, 0.05, 1e9]),
        "latency": st.sampled_from(["itl", "ttft"]),
        "constraints": st.sampled_from(
            [{"pinned": {"a0": "gpu-0"}}, {"apart": [["a0", "a1"]]}, {"together": [["a0", "a1"]]}]
        ),
        "prices": st.sampled_from([{LLAMA: 1.0, OTHER: 0.3}, {OTHER: 1e300}]),
        "spare": st.sampled_from([0, 1]),
        "seed": st.sampled_from([0, 2**62]),
        "time_limit": st.sampled_from([1e-9, 5.0]),
    },
)
SERVERS = st.fixed_dictionaries(
    {},
    optional={
        "max_num_seqs": st.sampled_from([1, 64, 10**6]),
        "max_model_len": st.sampled_from([31, 2048, 4096]),
        "gpu_memory_utilization": st.sampled_from([0.1, 0.5, 0.9]),
        "kv_cache_tokens": st.sampled_from([31, 20_000, 10**9]),
        "async_scheduling": st.booleans(),
    },
)


@st.composite
def arguments(draw) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Draw profiles, workload, server and options, and replace up to two of all their values by wild ones."""
    profile = load_profile(LLAMA).model_dump(mode="json")
    smaller = {**load_profile(LLAMA).model_dump(mode="json"), "name": OTHER}
    smaller["memory"]["gpu_bytes"] *= 0.6
    drawn = draw(st.sampled_from([[profile], [profile, smaller]])), draw(workloads()), draw(SERVERS), draw(OPTIONS)
    places = [
        *places_of_profile(profile),
        *((adapter, name) for adapter in drawn[1]["adapters"] for name in adapter),
        *((drawn[1], name) for name in ("lengths", "arrivals", "seed")),
        *((drawn[2], name) for name in Server.model_fields),
    ]
    draw(spoilt(places))
    for name in draw(
        st.lists(st.sampled_from(["gpus", "headroom", "margin", "spare", "seed", "strategy"]), max_size=1)
    ):
        drawn[3][name] = draw(WILD)
    return drawn


def planned(
    profiles: list[dict[str, Any]], workload: dict[str, Any], server: dict[str, Any], options: dict[str, Any]
) -> Plan | str:
    """Plan what was drawn; return the kind of the error if there is one."""
    try:
        return make_plan(
            [Profile.parse(profile) for profile in profiles],
            Workload.parse(workload),
            server=Server.parse(server),
            **options,
        )
    except AdaptwinError as error:
        return type(error).__name__ if str(error) else "an error without a message"


def assert_no_figure_is_negative_or_infinite(value: Any, place: str = "plan") -> None:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name not in ("workload", "profiles", "options"):
                assert_no_figure_is_negative_or_infinite(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, dict | list | tuple):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            assert_no_figure_is_negative_or_infinite(part, f"{place}[{name}]")
    elif isinstance(value, float | int):
        assert 0 <= value < math.inf or math.isnan(value), (place, value)


def test_any_arguments_give_a_plan_or_an_error_that_says_why_not(tmp_path):
    met: Counter[str] = Counter()

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(arguments())
    def attempt(drawn):
        found = planned(*drawn)
        if isinstance(found, Plan):
            assert_no_figure_is_negative_or_infinite(found)
            assert {name for server in found.servers for name in server.adapters} <= {
                a.name for a in found.workload.adapters
            }
            found.write(tmp_path / "plan.yaml")
            Plan.read(tmp_path / "plan.yaml")
        met["a plan" if isinstance(found, Plan) else found] += 1

    attempt()
    assert met["a plan"] >= 5, met
    assert met["SpecError"] >= 5, met
    assert set(met) <= {"a plan", "SpecError", "Infeasible", "OutOfMemory"}
