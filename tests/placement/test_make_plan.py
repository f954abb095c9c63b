"""make_plan: arguments that it refuses, and plans with several profiles."""

import pytest

from adaptwin import (
    Adapter,
    Constraints,
    Infeasible,
    Lengths,
    Plan,
    Server,
    SpecError,
    Workload,
    load_profile,
    make_front,
    make_plan,
    make_plans,
    replan,
    simulate,
)
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES


@pytest.fixture
def small(h100):
    """Return the H100 with memory for few slots only."""
    memory = h100.memory.model_copy(update={"gpu_bytes": 24 * 2.0**30})
    shape = h100.model.model_copy(update={"max_model_len": 8192})
    return h100.model_copy(update={"name": "small", "memory": memory, "model": shape})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "magic"}, f"strategy: 'magic' is not one of {', '.join(STRATEGIES)}"),
        ({"strategy": 3}, "strategy: 3 is neither the name of a strategy nor a function"),
        ({"objective": "magic"}, f"objective: 'magic' is not one of {', '.join(OBJECTIVES)}"),
        ({"headroom": -0.1}, "headroom: -0.1 must be from 0 to 10"),
        ({"margin": -0.1}, "margin: -0.1 must be from 0 to 10"),
    ],
)
def test_wrong_options_are_refused(h100, fleet, fields, message):
    with pytest.raises(SpecError, match=f"^{message}$"):
        make_plan(h100, fleet(("a", 8, 1.0)), **fields)


def test_a_function_is_a_strategy_whose_name_the_plan_stores(h100, fleet, tmp_path):
    asked = []

    def one_by_one(problem):
        asked.append(problem)
        return STRATEGIES["round_robin"].place(problem)

    workload = fleet(("a", 8, 1.0), ("b", 16, 0.5))
    plan = make_plan(h100, workload, strategy=one_by_one)
    assert asked
    assert plan.verified
    assert plan.servers == make_plan(h100, workload, strategy="round_robin").servers
    plan.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml").options.strategy == "one_by_one"
    more = fleet(("a", 8, 1.0), ("b", 16, 0.5), ("c", 8, 0.5))
    assert replan(plan, more).verified


@pytest.mark.parametrize("placed", [None, 3, ["gpu-0"]])
def test_a_function_that_returns_no_assignments_is_named(h100, fleet, placed):
    def lost(problem):
        return placed

    with pytest.raises(SpecError, match=r"^lost: returned .* instead of a list of Assignment$"):
        make_plan(h100, fleet(("a", 8, 1.0)), strategy=lost)


def test_a_function_that_leaves_adapters_out_is_named(h100, fleet):
    with pytest.raises(SpecError, match=r"^strategy: <lambda> places 0 of 'a' instead of 1$"):
        make_plan(h100, fleet(("a", 8, 1.0)), strategy=lambda _: [])


def test_profiles_are_given_by_name_or_path(h100, fleet, tmp_path):
    name, workload = "h100-64gb-llama-3.1-8b-instruct", fleet(("a", 8, 1.0))
    by_name = make_plan(name, workload)
    assert by_name.profiles == (load_profile(name),)
    assert by_name.servers == make_plan(load_profile(name), workload).servers
    h100.model_copy(update={"name": "mine"}).write(tmp_path / "mine.yaml")
    both = make_plan([name, tmp_path / "mine.yaml"], workload)
    assert [profile.name for profile in both.profiles] == [name, "mine"]
    assert make_plans([name], workload).plans[0].servers == by_name.servers
    assert make_front(str(tmp_path / "mine.yaml"), workload).plans[0].profiles[0].name == "mine"


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ("h100", "profile: 'h100' is neither a file nor one of h100-64gb-llama-3.1-8b-instruct, "),
        (["h100-64gb-llama-3.1-8b-instruct", "no.yaml"], "no.yaml: no such file"),
        (3, "profile: 3 is neither a profile nor several"),
        ([3], r"profiles\[0\]: 3 must be a Profile, not a int"),
    ],
)
def test_what_is_no_profile_is_named(fleet, profiles, message):
    with pytest.raises(SpecError, match=f"^{message}"):
        make_plan(profiles, fleet(("a", 8, 1.0)))


def test_a_workload_without_adapters_is_refused(h100):
    with pytest.raises(SpecError, match=r"^adapters: lists no adapter$"):
        make_plan(h100, Workload([]))


def test_of_several_profiles_the_one_that_needs_the_fewest_gpus_is_used(h100, small):
    workload = Workload([Adapter(f"a{i}", 64, 1.0) for i in range(12)], duration=300.0)
    plan = make_plan([small, h100], workload)
    assert {server.profile for server in plan.servers} == {h100.name}
    assert [profile.name for profile in plan.profiles] == ["small", h100.name]
    assert plan.gpus < make_plan(small, workload).gpus


def test_a_profile_that_cannot_start_is_not_used(h100, fleet):
    tiny = h100.model_copy(
        update={"name": "tiny", "memory": h100.memory.model_copy(update={"gpu_bytes": 24 * 2.0**30})}
    )
    plan = make_plan([tiny, h100], fleet(("a", 8, 1.0)))
    assert {server.profile for server in plan.servers} == {h100.name}


def test_an_adapter_too_big_for_any_gpu_is_named(h100, fleet):
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rank: 512 of 'big' fits on no GPU"):
        make_plan(h100, fleet(("a", 8, 1.0), ("big", 512, 1.0)), server=Server(gpu_memory_utilization=0.6))


def test_settings_common_to_all_servers_are_in_the_plan(h100, fleet):
    common = Server(max_num_seqs=64, max_model_len=4096, gpu_memory_utilization=0.8)
    plan = make_plan(h100, fleet(("a", 8, 1.0), ("b", 16, 1.0)), server=common)
    for server in plan.servers:
        assert (server.server.max_num_seqs, server.server.max_model_len) == (64, 4096)
        assert server.server.gpu_memory_utilization == 0.8


def test_the_workload_is_left_as_it_was(h100, fleet):
    workload = fleet(("hot", 8, 40.0), ("a", 16, 1.0))
    before = workload.model_dump_json()
    make_plan(h100, workload, headroom=0.2)
    assert workload.model_dump_json() == before


def test_progress_comes_to_its_end(h100, fleet):
    told = []
    make_plan(h100, fleet(("a", 8, 1.0), ("b", 16, 1.0)), progress=lambda *what: told.append(what))
    last = {stage: (done, total) for stage, done, total in told}
    assert {"packing", "verifying", "measuring headroom"} <= set(last)
    assert all(done == total for done, total in last.values())
    assert all(0 <= done <= total for _, done, total in told)


def test_an_adapter_keeps_its_own_lengths(h100):
    long = Adapter("long", 8, 0.5, lengths=Lengths.fixed(6000, 400))
    short = Adapter("short", 8, 0.5, lengths=Lengths.fixed(60, 4))
    plan = make_plan(h100, Workload([long, short], duration=300.0))
    offered = sum(server.forecast.offered_throughput for server in plan.servers)
    assert offered == pytest.approx(0.5 * 6400 + 0.5 * 64, rel=0.2)


def test_replayed_timestamps_of_a_hot_adapter_are_split(h100):
    times = tuple(i / 80 for i in range(24_000))
    plan = make_plan(h100, Workload([Adapter("hot", 8, 80.0, arrivals=times)], duration=300.0))
    assert plan.gpus == 2


def test_a_single_adapter_with_few_requests_is_served(h100):
    lone = Workload([Adapter("lone", 8, 0.05)], duration=300.0)
    assert all(make_plan(h100, lone, seed=seed).verified for seed in range(12))


def test_an_adapter_that_fits_only_in_parts_is_split(small, fleet):
    plan = make_plan(small, fleet(("a", 64, 14.0)))
    assert plan.gpus == 2


def test_the_papers_greedy_places_an_adapter_where_eight_slots_do_not_start(small, fleet):
    assert make_plan(small, fleet(("a", 64, 1.0)), strategy="paper_greedy").gpus == 1


def test_servers_are_listed_by_name_even_if_pins_name_them(h100, fleet):
    pinned = {"a": "gpu-1", "b": "gpu-0", "c": "edge"}
    plan = make_plan(h100, fleet(("a", 8, 0.2), ("b", 8, 0.2), ("c", 8, 0.2)), constraints=Constraints(pinned=pinned))
    assert [(server.name, list(server.adapters)) for server in plan.servers] == [
        ("edge", ["c"]),
        ("gpu-0", ["b"]),
        ("gpu-1", ["a"]),
    ]
    assert plan.verified


def test_the_numbers_in_names_count_as_numbers_and_standbys_come_last(h100, fleet):
    pinned = Constraints(pinned={"a": "gpu-10", "b": "gpu-9", "c": "zeus"})
    plan = make_plan(h100, fleet(("a", 8, 20.0), ("b", 8, 20.0), ("c", 8, 20.0)), constraints=pinned, spare=1)
    assert [server.name for server in plan.servers if not server.is_standby] == ["gpu-9", "gpu-10", "zeus"]
    assert [server.is_standby for server in plan.servers] == sorted(server.is_standby for server in plan.servers)
    assert plan.verified


def test_spares_for_servers_that_take_nothing_over_are_planned(h100, fleet):
    pinned = Constraints(pinned={"a0": "zeus", "a1": "apollo"})
    plan = make_plan(h100, fleet(("a0", 8, 18.0), ("a1", 8, 18.0)), constraints=pinned, spare=1)
    assert plan.verified
    assert {"zeus", "apollo"} <= {server.name for server in plan.servers}


def test_arguments_of_another_type_are_named(h100):
    for arguments, message in (
        (([Server()], Workload([])), "profiles\\[0\\]: .* must be a Profile, not a Server"),
        ((h100, Server()), "workload: .* must be a Workload, not a Server"),
    ):
        with pytest.raises(SpecError, match=message):
            make_plan(*arguments)
    with pytest.raises(SpecError, match=r"server: .* must be a Server, not a Workload"):
        simulate(h100, Workload([Adapter("a", 8, 1.0)]), Server())
