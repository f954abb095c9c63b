"""Explanations: their statements about a plan hold when they are tried."""

import pytest

from adaptwin import Adapter, Lengths, Plan, Server, SpecError, explain, make_plan, simulate
from adaptwin.explanation import savings
from adaptwin.explanation.explanation import MOST_MORE, Advice
from adaptwin.explanation.newcomer import typical_adapter, typical_lengths
from adaptwin.explanation.room import Room
from adaptwin.placement.verification.headroom import headroom_seeds
from adaptwin.plan.forecast import MOST_HEADROOM
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

SEATS = Server(max_num_seqs=16)


@pytest.fixture(scope="module")
def seated(h100, fleet):
    """Return a plan on two GPUs, which only a small ``max_num_seqs`` makes necessary."""
    workload = fleet(*((f"a{i:02}", 8, 0.5) for i in range(12)))
    return make_plan(h100, workload, server=SEATS, surrogate=None)


@pytest.fixture(scope="module")
def explained(seated):
    return explain(seated, surrogate=None)


def without_brinks(plan):
    return plan.model_copy(
        update={
            "servers": tuple(
                placed.model_copy(update={"forecast": placed.forecast.model_copy(update={"brink": None})})
                for placed in plan.servers
            )
        }
    )


def test_beyond_its_headroom_a_server_does_not_serve(seated):
    for placed in seated.servers:
        brink = placed.forecast.brink
        assert brink.traffic == pytest.approx(1.0 + placed.forecast.headroom, abs=0.021)
        grown = seated.workload_of(placed).scaled(brink.traffic)
        runs = [
            simulate(seated.profile_of(placed), placed.server, grown, seed=seed) for seed in headroom_seeds(seated.seed)
        ]
        failing = [run for run in runs if run.worst != "ok"]
        assert (brink.mean_running, brink.mean_waiting) in {(run.mean_running, run.mean_waiting) for run in failing}


def test_a_batch_at_its_limit_is_recognised(seated, explained):
    assert seated.gpus == 2
    assert {placed.forecast.binding for placed in seated.servers} == {"max_num_seqs"}
    assert [each.max_num_seqs for each in explained.servers] == [16, 16]


def test_a_larger_max_num_seqs_saves_a_gpu_where_the_batch_is_at_its_limit(h100, seated, explained):
    found = {saving.change: saving.gpus for saving in explained.savings.saving}
    assert found["max_num_seqs 512 instead of 16"] == 1
    assert "max_num_seqs 1,024 instead of 16" in explained.savings.tried  # tried, but saves no more than 512
    assert make_plan(h100, seated.workload, server=Server(max_num_seqs=512), surrogate=None).gpus == 1


def test_without_the_excess_load_the_emptiest_gpu_is_not_needed(h100, seated, explained):
    emptiest = explained.savings.emptiest
    placed = next(each for each in seated.servers if each.name == emptiest.server)
    assert emptiest.server == max(seated.servers, key=lambda each: each.forecast.headroom).name
    assert 0 < emptiest.too_much < 0.8
    less = tuple(
        adapter.scaled(0.8 - emptiest.too_much) if adapter.name in placed.adapters else adapter
        for adapter in seated.workload.adapters
    )
    workload = seated.workload.model_copy(update={"adapters": less})
    assert make_plan(h100, workload, server=SEATS, surrogate=None).gpus == 1


def test_what_a_server_could_still_take_is_served_and_one_more_is_not(seated, explained):
    for placed, each in zip(seated.servers, explained.servers, strict=True):
        room = Room(seated, placed, explained.newcomer)
        assert 0 < each.kin.more < MOST_MORE
        assert room.takes(each.kin.more)
        assert not room.takes(each.kin.more + 1)


def test_about_as_many_adapters_of_other_names_are_served(seated, explained):
    placed, kin = seated.servers[0], explained.servers[0].kin

    def serves(more):
        now = seated.workload_of(placed, 1)
        others = (Adapter(f"other-{i}", kin.rank, kin.rate) for i in range(more))
        both = now.model_copy(update={"adapters": (*now.adapters, *others)})
        return simulate(seated.profile_of(placed), placed.server, both).worst == "ok"

    assert serves(kin.more // 2)
    assert not serves(2 * kin.more + 2)


def test_an_adapter_of_higher_rank_needs_a_restart(seated):
    higher = explain(seated, rank=64, rate=0.1, surrogate=None)
    assert [each.addition.restart.max_lora_rank for each in higher.servers] == [64, 64]
    assert (higher.advice.action, higher.advice.max_lora_rank) == ("restart", 64)
    same = explain(seated, rank=8, rate=0.1, surrogate=None)
    assert [each.addition.restart for each in same.servers] == [None, None]
    assert same.advice.action == "load"


def test_where_slots_of_a_higher_rank_leave_no_memory_a_restart_has_fewer_of_them(h100, fleet):
    rows = [(f"a{i:02}", 8, 0.02) for i in range(60)]
    plan = make_plan(h100, fleet(*rows), surrogate=None)
    placed = plan.servers[0].model_copy(update={"server": Server(max_loras=60, max_lora_rank=8, max_cpu_loras=60)})
    crowded = plan.model_copy(update={"servers": (placed,)})
    addition = Room(crowded, placed, typical_adapter(plan, 128, 0.1, None)).addition
    assert addition.ok
    assert addition.restart.max_lora_rank == 128
    assert addition.restart.max_loras < 60
    hot = Room(crowded, placed, typical_adapter(plan, 128, 60.0, None)).addition
    assert hot.after is not None
    assert hot.verdict != "ok"


def test_where_slots_are_short_one_more_adapter_needs_a_restart_with_more(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 2.0)), surrogate=None)
    assert plan.servers[0].server.max_loras == 1
    found = explain(plan, rank=8, rate=2.0, surrogate=None)
    assert found.servers[0].kin.more == 0
    assert found.servers[0].addition.ok
    assert (found.advice.action, found.advice.max_loras) == ("restart", 2)


def test_the_new_adapter_goes_where_it_adds_the_least_latency(explained):
    as_it_is = [each for each in explained.servers if each.addition.ok and not each.addition.restart]
    harm = {each.server: each.addition.harm for each in as_it_is}
    assert explained.advice.server == min(harm, key=harm.get)
    assert all(each.addition.after.in_system > each.addition.before.in_system for each in explained.servers)


def test_an_adapter_that_fits_nowhere_needs_a_new_gpu_unless_that_would_not_do_either(seated):
    large = explain(seated, rank=8, rate=4.5, surrogate=None)
    assert not any(each.addition.ok for each in large.servers)
    assert large.advice.action == "new GPU"
    assert explain(seated, rank=8, rate=60.0, surrogate=None).advice.action == "nowhere"


def test_required_headroom_is_kept_and_costs_a_gpu(h100, fleet):
    workload = fleet(*((f"a{i}", 8, 0.5) for i in range(6)))
    plan = make_plan(h100, workload, server=SEATS, headroom=0.8, surrogate=None)
    assert plan.gpus == 2
    found = explain(plan, surrogate=None)
    assert ("without the requested headroom of 80 %", 1) in [tuple(dict(s).values()) for s in found.savings.saving]
    free = explain(plan.model_copy(update={"options": PlanOptions()}), surrogate=None)
    assert sum(each.kin.more for each in found.servers) < sum(each.kin.more for each in free.servers)


def test_a_server_far_from_full_has_no_brink(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 0.1), ("b", 8, 0.1)), surrogate=None)
    found = explain(plan, surrogate=None).servers[0]
    assert found.forecast.headroom == MOST_HEADROOM
    assert found.forecast.brink is None
    assert found.kin.more > 0


def test_plans_of_earlier_versions_are_explained_equally(seated, explained, tmp_path):
    old = without_brinks(seated)
    old.write(tmp_path / "plan.yaml")
    assert "brink" not in (tmp_path / "plan.yaml").read_text(encoding="utf-8")
    assert explain(Plan.read(tmp_path / "plan.yaml"), surrogate=None) == explained
    bare = seated.model_copy(
        update={"servers": tuple(each.model_copy(update={"forecast": None}) for each in seated.servers)}
    )
    assert [each.forecast.headroom for each in explain(bare, surrogate=None).servers] == [
        each.forecast.headroom for each in explained.servers
    ]


def test_gpus_of_two_types_are_explained_by_their_own_profiles(h100, seated, explained):
    slow = h100.step_cost.model_copy(
        update={
            name: 2.0 * getattr(h100.step_cost, name)
            for name in ("host_base", "weights", "lora_launch", "expand_block")
        }
    )
    other = h100.model_copy(update={"name": "slower", "step_cost": slow})
    first, second = seated.servers
    mixed = seated.model_copy(
        update={
            "profiles": (h100, other),
            "servers": (first, second.model_copy(update={"profile": "slower", "forecast": None})),
        }
    )
    found = explain(mixed, surrogate=None)
    assert found.servers[0] == explained.servers[0]
    assert found.servers[1].forecast.itl_mean > 1.4 * explained.servers[1].forecast.itl_mean
    assert found.servers[1].kin.more < explained.servers[1].kin.more


def test_advice_keeps_the_limits_on_latency_of_the_plan(seated, explained):
    """Any request waits longer for its first token than 1 ms, so with this limit no GPU takes another adapter."""
    assert all(each.kin.more > 0 for each in explained.servers)
    options = seated.options.model_copy(update={"ttft_p99": 0.001})
    strict = explain(seated.model_copy(update={"options": options}), surrogate=None)
    assert {each.kin.more for each in strict.servers} == {0}
    assert {each.addition.verdict for each in strict.servers} == {"slow"}
    assert strict.advice.action == "nowhere"


def test_the_objective_that_is_missed_is_named(h100, fleet):
    workload = fleet(("a", 8, 2.0), ("b", 8, 2.0))
    strict = workload.model_copy(
        update={"adapters": (workload.adapters[0], workload.adapters[1].model_copy(update={"slo_itl": 0.02}))}
    )
    forecast = make_plan(h100, strict, surrogate=None).servers[0].forecast
    assert forecast.binding == "slo"
    missed = forecast.brink.missed
    assert (missed.adapter, missed.objective, missed.allowed) == ("b", "itl", 0.02)
    assert missed.latency > 0.02


def test_by_default_the_new_adapter_is_the_median_one(h100, fleet):
    rows = (("newcomer", 8, 0.1), ("b", 16, 0.3), ("c", 64, 0.2), ("base", 0, 9.0))
    plan = make_plan(h100, fleet(*rows), surrogate=None)
    newcomer = typical_adapter(plan, None, None, None)
    assert (newcomer.name, newcomer.rank, newcomer.rate) == ("newcomer 2", 16, 0.2)
    given = typical_adapter(plan, 0, 3.0, Lengths.fixed(10, 20))
    assert (given.rank, given.rate, given.lengths) == (0, 3.0, Lengths.fixed(10, 20))
    with pytest.raises(SpecError, match="600 is above 512, the highest that vLLM serves"):
        explain(plan, rank=600)


def test_lengths_together_have_the_mean_of_all_requests(fleet):
    workload = fleet(("a", 8, 3.0, Lengths.fixed(100, 10)), ("b", 8, 1.0, Lengths.fixed(500, 50)))
    both = typical_lengths(workload, workload.adapters)
    assert both.mean_input == pytest.approx(200, rel=0.01)
    assert both.mean_output == pytest.approx(20, rel=0.02)
    assert both.input_cv == pytest.approx(30000**0.5 / 200)
    assert typical_lengths(workload, workload.adapters[:1]) == Lengths.fixed(100, 10)


def test_savings_that_were_not_tried_are_unknown(seated, explained, monkeypatch):
    monkeypatch.setattr(savings, "MOST_TWIN_RUNS", 0)
    forecasts = {placed.name: placed.forecast for placed in seated.servers}
    found = savings.savings(seated, forecasts, surrogate=None)
    assert (found.as_it_is, found.tried, found.saving, found.emptiest.too_much) == (None, (), (), None)
    assert found.unknown == explained.savings.tried


def test_a_plan_without_servers_has_nothing_to_explain(seated):
    with pytest.raises(SpecError, match="nothing to explain"):
        explain(seated.model_copy(update={"servers": ()}))


@pytest.fixture(scope="module")
def merged(h100, fleet):
    """Return a plan with merged weights on one of two servers, and its explanation."""
    workload = fleet(("hot", 8, 50.0), ("a", 8, 1.0))
    hot = PlacedServer("m", h100.name, Server(max_num_seqs=1024).with_merged_weights(), {"hot": 1.0})
    lora = Server(max_loras=4, max_lora_rank=8, max_cpu_loras=4)
    servers = (hot, PlacedServer("x", h100.name, lora, {"a": 1.0}))
    plan = Plan(PlanOptions(), seed=0, lower_bound=1, profiles=(h100,), servers=servers, workload=workload)
    return explain(plan)


def test_a_server_with_merged_weights_takes_no_adapter_without_a_restart(merged):
    server, other = merged.servers
    assert server.kin.more == 0
    assert not server.addition.restart.merged
    assert server.addition.restart.max_loras >= 1
    assert merged.advice == Advice(action="load", server="x")
    assert other.unmerging is None


def test_with_lora_a_server_with_merged_weights_would_be_slower(merged):
    unmerging = merged.servers[0].unmerging
    assert (unmerging.adapter, unmerging.verdict, unmerging.settings.merged) == ("hot", "backlogged", False)
    assert unmerging.settings.max_num_seqs == 1024
    assert unmerging.after.itl_mean > 1.2 * unmerging.before.itl_mean
    assert merged.savings.as_it_is == 2
