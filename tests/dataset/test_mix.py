"""Mix: server and workload at a point of a design."""

from collections import Counter

import pytest
from tests.dataset.designs import LLAMA, mixes_of, the_mix, tiny

from adaptwin import Lengths, load_profile
from adaptwin.dataset.design import Range
from adaptwin.dataset.mix import make_mix, most_slots_that_start
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import steady_state
from adaptwin.workload.demand.traffic import demands_of, sum_demands

GIVEN = {"utilisation": None, "loads": 1}


def rates_of(mix) -> Counter[float]:
    return Counter(adapter.rate for adapter in mix.workload.adapters)


# Traffic


@pytest.mark.parametrize("popularity", ["uniform", "zipf:1", "levels:3", "hot:0.9"])
def test_rates_are_those_of_a_full_batch(popularity):
    mix = the_mix(adapters=(8,), popularity=(popularity,), max_loras=(8,))
    limits, costs = mix.server.limits(mix.profile), costs_of(mix.profile, mix.server)
    settled = steady_state(sum_demands(mix.demands), limits, costs, mix.workload.duration)
    assert settled.utilisation == pytest.approx(1, rel=1e-3)


def test_demands_are_those_of_the_workload():
    mix = the_mix(adapters=(8,), lengths=("several",), base_share=(0.3,), arrivals=("gamma:cv=2",))
    model = mix.profile.model
    stops = {"early_stop_share": model.early_stop_share, "early_stop_reach": model.early_stop_reach}
    again = demands_of(mix.workload, **stops, longest=model.max_model_len)
    assert all(ours == pytest.approx(theirs) for ours, theirs in zip(mix.demands, again, strict=True))


def test_absolute_rates_are_assigned_in_turn():
    mix = the_mix(adapters=(7,), popularity=("rates:3.2,1.6,0.8",), **GIVEN)
    assert rates_of(mix) == {3.2: 3, 1.6: 2, 0.8: 2}


def test_absolute_rates_may_leave_adapters_without_traffic():
    assert rates_of(the_mix(adapters=(5,), popularity=("rates:2,0",), **GIVEN)) == {2.0: 3, 0.0: 2}


def test_the_base_model_gets_its_share_of_the_traffic():
    # Four adapters get 3 + 1 + 3 + 1 = 8 requests/s; 2 more to the base model are a fifth of the traffic.
    given = the_mix(adapters=(4,), base_share=(0.2,), popularity=("rates:3,1",), **GIVEN).workload
    assert (given.adapters[-1].name, given.adapters[-1].rank, given.adapters[-1].rate) == ("base", 0, 2.0)
    assert given.rate == 10.0
    shared = the_mix(adapters=(4,), base_share=(0.2,), popularity=("zipf:1",)).workload
    assert (len(shared), shared.adapters[-1].rank) == (5, 0)
    assert shared.adapters[-1].rate == pytest.approx(0.2 * shared.rate)


def test_ranks_are_assigned_in_turn_and_do_not_follow_the_rates():
    design = tiny(adapters=(8,), ranks=((8, 16, 32),), popularity=("zipf:2",), max_loras=(4,), mixes=40)
    mixes = mixes_of(design)
    assert all(Counter(a.rank for a in mix.workload.adapters) == {8: 3, 16: 3, 32: 2} for mix in mixes)
    hottest = {max(mix.workload.adapters, key=lambda adapter: adapter.rate).rank for mix in mixes}
    assert hottest == {8, 16, 32}


def test_lengths_are_one_for_all_or_several():
    def kinds(mix):
        return {adapter.lengths for adapter in mix.workload.adapters}

    fields = {"adapters": (60,), "max_loras": (8,), "input_mean": (100,), "output_mean": (20,)}
    assert kinds(the_mix(lengths=("fixed",), **fields)) == {Lengths.fixed(100, 20)}
    assert kinds(the_mix(lengths=("sharegpt",), **fields)) == {Lengths.named("sharegpt")}
    (lognormal,) = kinds(the_mix(lengths=("lognormal",), length_cv=(0.7,), **fields))
    assert (lognormal.input_mean, lognormal.output_mean) == (100, 20)
    assert (lognormal.input_cv, lognormal.output_cv) == (0.7, 0.7)
    several = kinds(the_mix(lengths=("several",), **fields))
    assert len(several) == 3
    assert all(25 <= lengths.input_mean <= 400 and 5 <= lengths.output_mean <= 80 for lengths in several)


# Servers


def test_a_range_of_slots_goes_from_one_to_the_most_that_are_of_use():
    def slots(share, adapters=64):
        return the_mix(adapters=(adapters,), ranks=((8,),), max_loras=Range(low=share, high=share)).server.max_loras

    assert [slots(share) for share in (0, 0.5, 1, 1.2)] == [1, 8, 64, 64]
    assert slots(1.0, adapters=1) == slots(0.0, adapters=1) == 1


def test_no_more_slots_are_made_than_start():
    mix = the_mix(adapters=(400,), ranks=((64,),), max_loras=Range(low=1, high=1))
    assert mix.server.max_loras < 400
    assert mix.server.starts_on(mix.profile)
    assert not mix.server.model_copy(update={"max_loras": mix.server.max_loras + 1}).starts_on(mix.profile)


@pytest.mark.parametrize("at_most", [1, 2, 30, 31, 60, 61, 500])
def test_the_most_slots_are_those_of_a_search_from_below(at_most):
    template = the_mix(adapters=(1,), ranks=((64,),), max_loras=(1,)).server
    profile = load_profile(LLAMA)
    counted = [n for n in range(1, at_most + 1) if template.model_copy(update={"max_loras": n}).starts_on(profile)]
    assert most_slots_that_start(profile, template, at_most=at_most) == len(counted)
    assert (
        most_slots_that_start(profile, template.model_copy(update={"gpu_memory_utilization": 0.1}), at_most=at_most)
        == 0
    )


@pytest.mark.parametrize(
    ("fields", "field", "value"),
    [
        ({"ranks": ((8, 32),)}, "max_lora_rank", 32),
        ({"ranks": ((8, 32),), "further_padding": (True,)}, "max_lora_rank", 64),
        ({"ranks": ((512,),), "further_padding": (True,)}, "max_lora_rank", 512),
        ({"max_num_seqs": (4096,), "max_num_batched_tokens": (512,)}, "max_num_batched_tokens", 4096),
        ({"max_num_seqs": (64,), "max_num_batched_tokens": (512,)}, "max_num_batched_tokens", 512),
        ({"max_model_len": (8192,)}, "max_model_len", 8192),
        ({}, "max_cpu_loras", 2),
    ],
)
def test_a_server_has_the_settings_of_its_design(fields, field, value):
    mix = the_mix(adapters=(2,), max_loras=(1,), **fields)
    assert getattr(mix.server, field) == value


def test_more_slots_than_adapters_and_servers_that_do_not_start_make_no_mix():
    values = {"adapters": (2,), "ranks": ((8,),)}
    for fields in ({"max_loras": (3,)}, {"max_loras": (1,), "gpu_memory_utilization": (0.2,)}):
        assert mixes_of(tiny(**values, **fields)) == [None] * 7


# What a mix depends on


def test_a_mix_depends_on_no_other_mix():
    few, many = (tiny(mixes=mixes, lengths=("several",), popularity=("dirichlet:0.5",)) for mixes in (4, 9))
    for number in range(4):
        one, other = mixes_of(few)[number], mixes_of(many)[number]
        assert (one.server, one.workload) == (other.server, other.workload)
    among = mixes_of(few)[2]
    assert make_mix(few, among.profile, 2, few.values()[2]).workload == among.workload


def test_another_seed_gives_other_rates():
    values = tiny(adapters=(8,), popularity=("dirichlet:0.5",)).values()[0]
    one, other = (make_mix(tiny(seed=seed), load_profile(LLAMA), 0, values).workload for seed in (0, 1))
    assert [a.rate for a in one.adapters] != [a.rate for a in other.adapters]
    assert one.seed != other.seed
