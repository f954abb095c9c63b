"""StepCost, LoadCost and SchedulerCost: more work never takes less time, for any constants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import SpecError, load_profile
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.scheduler_cost import SchedulerCost, scheduler_seconds
from adaptwin.profile.step_cost import StepCost, further_blocks, step_seconds

same_every_time = settings(max_examples=200, deadline=None, derandomize=True, database=None)

CONSTANT = st.floats(0, 1e-2)
WHOLE = {"graph_tokens", "split_tokens"}
STEP_COSTS = st.builds(
    StepCost, **{name: st.integers(0, 600) if name in WHOLE else CONSTANT for name in StepCost.model_fields}
) | st.sampled_from([load_profile(name).step_cost for name in shipped_profiles()])
WORK = {"tokens": st.integers(1, 16_384), "context": st.integers(0, 1_000_000), "adapters": st.integers(0, 400)}
STEPS = st.fixed_dictionaries(WORK)
SLOTS = st.fixed_dictionaries({"max_loras": st.integers(1, 400), "max_lora_rank": st.sampled_from([1, 8, 16, 64, 256])})


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS, more=st.integers(1, 1000), name=st.sampled_from(sorted(WORK)))
def test_more_of_anything_in_a_step_never_makes_it_faster(cost, slots, step, more, name):
    larger = {**step, name: step[name] + more}
    if step["tokens"] <= cost.split_tokens < larger["tokens"]:  # vLLM's shrink kernel splits its sum less
        cost = cost.model_copy(update=dict.fromkeys(SPLIT, 0.0))
    coefficients = cost.resolve(**slots)
    assert step_seconds(coefficients, **larger) >= step_seconds(coefficients, **step)


SPLIT = ("split_per_token_slot", "split_per_adapter", "split_per_adapter_block")


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_the_measured_gpu_a_step_of_128_tokens_is_faster_than_one_of_127(name):
    coefficients = load_profile(name).step_cost.resolve(max_loras=128, max_lora_rank=32)
    below, above = (step_seconds(coefficients, tokens, 40_000, 60) for tokens in (127, 128))
    assert 0.7 * below < above < 0.95 * below


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS, more=st.integers(1, 100))
def test_more_slots_or_a_higher_rank_never_make_a_step_faster(cost, slots, step, more):
    seconds = step_seconds(cost.resolve(**slots), **step)
    wider = {**slots, "max_loras": slots["max_loras"] + more}
    higher = {**slots, "max_lora_rank": 2 * slots["max_lora_rank"]}
    assert step_seconds(cost.resolve(**wider), **step) >= seconds
    assert step_seconds(cost.resolve(**higher), **step) >= seconds


def test_a_step_costs_the_sum_of_its_terms():
    cost = StepCost(
        base=1e-3, per_token=1e-5, per_context_token=1e-8, eager=7e-3, graph_tokens=150,
        per_slot=1e-4, per_slot_block=5e-5, per_token_slot=1e-7,
        lora_base=1e-3, lora_per_token=1e-6, lora_per_adapter=2e-4, lora_per_adapter_block=1e-4,
        lora_per_token_adapter=1e-7,
        split_tokens=99, split_per_token_slot=1e-6, split_per_adapter=3e-4, split_per_adapter_block=1e-4,
    )  # fmt: skip
    coefficients = cost.resolve(max_loras=10, max_lora_rank=32)  # one further block of 16
    # 100 tokens, 5,000 of context, ten slots: 1 + 1 + 0.05 ms, and 1 + 0.5 + 0.1 ms for the slots
    assert step_seconds(coefficients, 100, 5000, 0) == pytest.approx(3.65e-3)
    # 3 adapters: 1 + 0.1 + 3 x (0.2 + 0.1) + 0.03 ms more
    assert step_seconds(coefficients, 100, 5000, 3) == pytest.approx(3.65e-3 + 2.03e-3)
    # 99 tokens: 0.01 + 0.001 + 0.001 + 0.0003 ms less, but a split sum adds 99 x 10 us for the slots and 3 x 0.4 ms
    assert step_seconds(coefficients, 99, 5000, 3) == pytest.approx(5.68e-3 - 0.0123e-3 + 0.99e-3 + 1.2e-3)
    # 200 tokens: 1 + 0.1 + 0.1 + 0.03 ms more, and 7 ms more as they are too many for a CUDA graph
    assert step_seconds(coefficients, 200, 5000, 3) == pytest.approx(5.68e-3 + 1.23e-3 + 7e-3)


def test_ranks_that_fill_the_same_blocks_cost_the_same():
    assert [further_blocks(rank) for rank in (0, 1, 8, 16, 32, 64, 256)] == [0, 0, 0, 0, 1, 3, 15]


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_every_kind_of_work_costs_something(name):
    cost = load_profile(name).step_cost
    step = {"tokens": 50, "context": 10_000, "adapters": 4}
    slots = {"max_loras": 8, "max_lora_rank": 16}
    seconds = step_seconds(cost.resolve(**slots), **step)
    for more in ({"tokens": 100}, {"context": 20_000}, {"adapters": 8}):
        assert step_seconds(cost.resolve(**slots), **{**step, **more}) > seconds
    for more in ({"max_loras": 64}, {"max_lora_rank": 64}):
        assert step_seconds(cost.resolve(**{**slots, **more}), **step) > seconds


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_a_decode_step_takes_milliseconds_and_a_full_prefill_a_good_part_of_a_second(name):
    coefficients = load_profile(name).step_cost.resolve(max_loras=32, max_lora_rank=16)
    assert 0.01 < step_seconds(coefficients, 32, 32 * 400, 16) < 0.1
    assert 0.08 < step_seconds(coefficients, 2048, 0, 16) < 0.5


@pytest.mark.parametrize("field", StepCost.model_fields)
def test_no_term_of_a_step_may_be_negative(field):
    fields = dict.fromkeys(StepCost.model_fields, 0)
    with pytest.raises(SpecError, match=rf"StepCost\.{field}: -1 must be at least 0"):
        StepCost(**{**fields, field: -1})


def test_a_load_costs_the_sum_of_its_terms():
    cost = LoadCost(gpu_base=2e-3, gpu_per_rank=1e-4, gpu_per_padding=5e-5, disk_base=3e-2, disk_per_rank=1e-3)
    assert cost.to_gpu(8, 32) == pytest.approx(2e-3 + 0.8e-3 + 1.2e-3)
    assert cost.to_gpu(32, 32) == pytest.approx(2e-3 + 3.2e-3)
    assert cost.from_disk(16) == pytest.approx(4.6e-2)


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_a_load_takes_milliseconds_and_more_from_disk(name):
    cost = load_profile(name).load_cost
    for rank in (8, 16, 32):
        assert 0.001 < cost.to_gpu(rank, 32) < 0.02
        assert cost.from_disk(rank) > cost.to_gpu(rank, 32)


@same_every_time
@given(base=CONSTANT, running=CONSTANT, waiting=CONSTANT, seats=st.integers(0, 2048), queue=st.integers(0, 100_000))
def test_more_requests_never_make_the_scheduler_faster(base, running, waiting, seats, queue):
    coefficients = SchedulerCost(base, running, waiting).coefficients()
    seconds = scheduler_seconds(coefficients, seats, queue)
    assert seconds >= base
    assert scheduler_seconds(coefficients, seats + 1, queue) >= seconds
    assert scheduler_seconds(coefficients, seats, queue + 1) >= seconds
