"""Capacity: answers of the twin about adapters on one server, and the search for the number of slots."""

import pytest

from adaptwin import Infeasible, Server, simulate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_slots, choose_slots, downhill


def test_downhill_goes_on_to_either_side_while_the_cost_falls():
    cost = {1: 5.0, 2: 3.0, 4: 4.0, 6: 2.0, 8: 9.0}
    assert list(downhill([1, 2, 4, 6, 8], 2, cost.__getitem__)) == [4, 6, 8, 2, 1]


def test_downhill_looks_at_both_neighbours_of_a_valley():
    cost = {1: 9.0, 2: 5.0, 4: 1.0, 6: 5.0, 8: 9.0}
    assert list(downhill([1, 2, 4, 6, 8], 2, cost.__getitem__)) == [4, 6, 2]


def test_downhill_stops_at_the_ends():
    assert list(downhill([1, 2, 3], 2, float)) == [3, 2, 1]
    assert list(downhill([1, 2, 3], 0, lambda _: 1.0)) == [1, 2, 3]
    assert list(downhill([7], 0, float)) == [7]


def test_an_answer_has_the_figures_of_the_twin(h100, fleet, capacity_of):
    workload = fleet(("a", 8, 2.0), ("b", 16, 1.0))
    answer = capacity_of(workload).ask({"a": 1.0, "b": 1.0}, 2)
    run = simulate(h100, Server(max_loras=2, max_lora_rank=16, max_cpu_loras=2), workload)
    assert answer.throughput == run.throughput
    assert answer.verdict == run.worst == "ok"
    assert answer.mean_adapters == run.mean_adapters
    assert answer.kv_usage == run.kv_usage


def test_the_twin_is_run_once_for_an_answer(fleet, capacity_of):
    capacity = capacity_of(fleet(("a", 8, 2.0), ("b", 16, 1.0)))
    assert capacity.ask({"a": 1.0, "b": 1.0}, 1) is capacity.ask({"b": 1.0, "a": 1.0}, 1)
    capacity.ask({"a": 1.0, "b": 1.0}, 2)
    assert capacity.twin_runs == 2


def test_a_share_a_factor_and_headroom_are_equivalent(fleet, capacity_of):
    half = capacity_of(fleet(("a", 8, 10.0))).ask({"a": 0.5}, 1)
    assert half == capacity_of(fleet(("a", 8, 5.0))).ask({"a": 1.0}, 1)
    assert half == capacity_of(fleet(("a", 8, 2.5))).ask({"a": 1.0}, 1, factor=2.0)
    assert half == capacity_of(fleet(("a", 8, 2.5)), factor=2.0).ask({"a": 1.0}, 1)


def test_a_server_is_of_the_highest_rank_and_holds_every_adapter(fleet, capacity_of):
    capacity = capacity_of(fleet(("a", 8, 1.0), ("b", 32, 1.0), ("c", 8, 1.0), ("base", 0, 1.0)))
    server = capacity.server({"a": 1.0, "b": 1.0, "base": 1.0}, 1)
    assert (server.max_loras, server.max_lora_rank, server.max_cpu_loras) == (1, 32, 2)
    assert capacity.server({"a": 1.0, "c": 1.0}, 2).max_lora_rank == 8
    assert capacity.server({"base": 1.0}, 0).max_cpu_loras == 0


def test_settings_common_to_all_servers_are_kept(h100, fleet):
    capacity = Capacity(h100, fleet(("a", 8, 1.0)), Server(max_num_seqs=17, max_model_len=4096))
    server = capacity.server({"a": 1.0}, 1)
    assert (server.max_num_seqs, server.max_model_len) == (17, 4096)


def test_slot_choices_end_with_the_number_of_adapters(fleet, capacity_of):
    capacity = capacity_of(fleet(*[(f"a{i}", 8, 1.0) for i in range(10)], ("base", 0, 1.0)))
    shares = dict.fromkeys(capacity.names, 1.0)
    assert capacity.slot_choices(shares) == [1, 2, 4, 6, 8, 10]
    assert capacity.slot_choices({"base": 1.0}) == [0]
    assert capacity.slot_choices({"a0": 1.0, "base": 1.0}) == [1]


def test_slots_that_leave_no_memory_are_no_choice(h100, fleet):
    capacity = Capacity(h100, fleet(*[(f"a{i}", 512, 0.1) for i in range(12)]), Server())
    shares = dict.fromkeys(capacity.names, 1.0)
    assert capacity.all_slot_choices(shares) == [1, 2, 4, 6, 8, 12]
    started = capacity.slot_choices(shares)
    assert started == [1, 2, 4, 6]
    assert not capacity.ask(shares, 12).starts
    assert not capacity.ask(shares, 12).ok


def test_what_is_beyond_a_gpu_is_refused_without_a_run(fleet, capacity_of):
    capacity = capacity_of(fleet(("a", 8, 500.0)))
    assert capacity.load_of(AdapterPart("a", 1.0)) > 1.0
    assert choose_slots(capacity, {"a": 1.0}) is None
    assert capacity.twin_runs == 0


def test_a_fit_is_served_with_its_slots(fleet, capacity_of):
    capacity = capacity_of(fleet(*[(f"a{i}", 8, 1.0) for i in range(12)]))
    shares = dict.fromkeys(capacity.names, 1.0)
    fit = choose_slots(capacity, shares)
    assert fit.answer.ok
    assert fit.answer == capacity.ask(shares, fit.max_loras)


def test_the_best_number_of_slots_has_the_lowest_latency(fleet, capacity_of):
    capacity = capacity_of(fleet(*[(f"a{i}", 8, 0.5) for i in range(12)]))
    shares = dict.fromkeys(capacity.names, 1.0)
    asked = {slots: capacity.ask(shares, slots) for slots in capacity.slot_choices(shares)}
    lowest = min(answer.e2e_mean for answer in asked.values() if answer.ok)
    assert best_slots(capacity, shares).answer.e2e_mean == lowest


def test_without_a_number_of_slots_that_serves_there_is_no_best(fleet, capacity_of):
    capacity = capacity_of(fleet(("a", 8, 60.0), ("b", 8, 60.0)))
    with pytest.raises(Infeasible, match=r"2 adapters do not fit on one h100-64gb-llama-3.1-8b-instruct"):
        best_slots(capacity, {"a": 1.0, "b": 1.0})


def test_an_adapter_without_memory_for_a_slot_is_named(h100, fleet):
    small = h100.model_copy(update={"memory": h100.memory.model_copy(update={"slot_bytes_per_rank": 2e9})})
    capacity = Capacity(small, fleet(("a", 8, 1.0)), Server())
    wide = capacity.workload.adapters[0].model_copy(update={"rank": 64, "name": "wide"})
    capacity._by_name["wide"], capacity._position["wide"], capacity._host["wide"] = wide, 1, 1.0
    capacity.require_startable("a")
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rank: 64 of 'wide' fits on no GPU: max_loras 1 at"):
        capacity.require_startable("wide")
