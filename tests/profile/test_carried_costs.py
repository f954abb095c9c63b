"""Carried costs: LoRA constants of measured GPUs on another one, by multiprocessors, clock and bandwidth."""

import pytest

from adaptwin.profile.carried_costs import OF_BLOCKS, OF_BYTES, OF_HOST, lora_costs, scheduler_costs, scrape_costs
from adaptwin.profile.derive import measured_profiles
from adaptwin.profile.step_cost import StepCost

MEASURED = measured_profiles()
SAME = MEASURED[0].gpu


def on(**changes):
    return lora_costs(MEASURED, SAME.model_copy(update=changes))


def test_the_measured_gpu_gives_the_mean_back():
    costs = on()
    for name, cost in costs.items():
        of_each = [getattr(each.profile.step_cost, name) for each in MEASURED]
        assert cost == pytest.approx(sum(of_each) / len(of_each), rel=1e-4)


def test_one_measured_profile_gives_its_own_constants_back():
    [first, *_] = MEASURED
    assert lora_costs([first], first.gpu) == {name: getattr(first.profile.step_cost, name) for name in on()}


@pytest.mark.parametrize("what", [{"sms": 2 * SAME.sms}, {"clock_hz": 2 * SAME.clock_hz}])
def test_twice_the_multiprocessors_or_the_clock_halve_thread_blocks_alone(what):
    before, after = on(), on(**what)
    assert {name: after[name] for name in OF_BLOCKS} == {
        name: pytest.approx(before[name] / 2, rel=1e-4) for name in OF_BLOCKS
    }
    assert all(after[name] == before[name] for name in (*OF_BYTES, *OF_HOST))


def test_twice_the_bandwidth_halves_bytes_alone():
    before, after = on(), on(memory_bandwidth=2 * SAME.memory_bandwidth)
    assert {name: after[name] for name in OF_BYTES} == {
        name: pytest.approx(before[name] / 2, rel=1e-4) for name in OF_BYTES
    }
    assert all(after[name] == before[name] for name in (*OF_BLOCKS, *OF_HOST))


def test_every_lora_constant_of_a_step_is_carried():
    of_base = {"host_base", "gpu_base", "weights", "balance_tokens", "per_token", "per_pair", "per_context_token"}
    of_base |= {"per_sequence", "eager", "graph_tokens", "communication", "communication_per_token", "split_tokens"}
    of_base |= {"expert_weights", "expert_share", "expert_balance_tokens"}
    assert set(on()) == set(StepCost.model_fields) - of_base


def test_planning_and_scrapes_cost_the_host_between_what_was_measured():
    for carried, part in (
        (scheduler_costs(MEASURED), "scheduler_cost"),
        (scrape_costs(MEASURED), "scrape_cost"),
    ):
        for name, value in carried:
            of_each = [getattr(getattr(each.profile, part), name) for each in MEASURED]
            assert min(of_each) <= value <= max(of_each)
