"""StepCost, LoadCost and SchedulerCost: more work never takes less time, whatever the constants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import SpecError, load_profile
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.scheduler_cost import SchedulerCost, scheduler_seconds
from adaptwin.profile.step_cost import StepCost, step_seconds

same_every_time = settings(max_examples=200, deadline=None, derandomize=True, database=None)

CONSTANT = st.floats(0, 1e-2)
STEP_COSTS = st.builds(StepCost, *[CONSTANT] * len(StepCost.model_fields)) | st.sampled_from(
    [load_profile(name).step_cost for name in shipped_profiles()]
)
WORK = {
    "tokens": st.integers(1, 16_384),
    "prefill_tokens": st.integers(0, 16_384),
    "context": st.integers(0, 1_000_000),
    "adapters": st.integers(0, 400),
}
STEPS = st.fixed_dictionaries(WORK)
SLOTS = st.fixed_dictionaries({"max_loras": st.integers(1, 400), "max_lora_rank": st.sampled_from([1, 8, 16, 64, 256])})


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS, more=st.integers(1, 1000), name=st.sampled_from(sorted(WORK)))
def test_more_of_anything_in_a_step_never_makes_it_faster(cost, slots, step, more, name):
    coefficients = cost.resolve(**slots)
    assert step_seconds(coefficients, **{**step, name: step[name] + more}) >= step_seconds(coefficients, **step)


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS, more=st.integers(1, 100))
def test_more_slots_or_a_higher_rank_never_make_a_step_faster(cost, slots, step, more):
    seconds = step_seconds(cost.resolve(**slots), **step)
    wider = {**slots, "max_loras": slots["max_loras"] + more}
    higher = {**slots, "max_lora_rank": 2 * slots["max_lora_rank"]}
    assert step_seconds(cost.resolve(**wider), **step) >= seconds
    assert step_seconds(cost.resolve(**higher), **step) >= seconds


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS)
def test_a_step_without_adapters_does_not_feel_the_slots(cost, slots, step):
    step = {**step, "adapters": 0}
    plain = cost.resolve(max_loras=1, max_lora_rank=8)
    assert step_seconds(cost.resolve(**slots), **step) == step_seconds(plain, **step)


def test_a_step_costs_the_sum_of_its_terms():
    cost = StepCost(
        base=1e-3, per_token=1e-5, per_prefill_token=2e-5, per_context_token=1e-8,
        lora_base=1e-3, lora_per_slot=1e-4, lora_per_token=1e-6, lora_per_token_slot=1e-7,
        lora_per_adapter=2e-4, lora_per_token_adapter=1e-7, per_rank=0.01,
    )  # fmt: skip
    coefficients = cost.resolve(max_loras=10, max_lora_rank=32)
    # 100 tokens, 60 of them prefill, 5,000 of context: 1 + 1 + 1.2 + 0.05 ms
    assert step_seconds(coefficients, 100, 60, 5000, 0) == pytest.approx(3.25e-3)
    # 3 adapters: (1 + 0.01 x 24) x (1 + 1 + 0.1 + 0.1 + 0.6 + 0.03 ms) more
    assert step_seconds(coefficients, 100, 60, 5000, 3) == pytest.approx(3.25e-3 + 1.24 * 2.83e-3)


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_every_kind_of_work_costs_something(name):
    cost = load_profile(name).step_cost
    step = {"tokens": 100, "prefill_tokens": 50, "context": 10_000, "adapters": 4}
    slots = {"max_loras": 8, "max_lora_rank": 16}
    seconds = step_seconds(cost.resolve(**slots), **step)
    for more in ({"tokens": 200}, {"prefill_tokens": 100}, {"context": 20_000}, {"adapters": 8}):
        assert step_seconds(cost.resolve(**slots), **{**step, **more}) > seconds
    for more in ({"max_loras": 64}, {"max_lora_rank": 64}):
        assert step_seconds(cost.resolve(**{**slots, **more}), **step) > seconds


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_a_decode_step_takes_milliseconds_and_a_full_prefill_a_good_part_of_a_second(name):
    coefficients = load_profile(name).step_cost.resolve(max_loras=32, max_lora_rank=16)
    assert 0.01 < step_seconds(coefficients, 32, 0, 32 * 400, 16) < 0.1
    assert 0.1 < step_seconds(coefficients, 2048, 2048, 0, 16) < 1.0


@pytest.mark.parametrize("field", StepCost.model_fields)
def test_no_term_of_a_step_may_be_negative(field):
    fields = dict.fromkeys(StepCost.model_fields, 0.0)
    with pytest.raises(SpecError, match=rf"StepCost\.{field}: -1e-06 must be at least 0"):
        StepCost(**{**fields, field: -1e-6})


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
@given(base=CONSTANT, running=CONSTANT, skipped=CONSTANT, seats=st.integers(0, 2048), queue=st.integers(0, 100_000))
def test_more_requests_never_make_the_scheduler_faster(base, running, skipped, seats, queue):
    coefficients = SchedulerCost(base, running, skipped).coefficients()
    seconds = scheduler_seconds(coefficients, seats, queue)
    assert seconds >= base
    assert scheduler_seconds(coefficients, seats + 1, queue) >= seconds
    assert scheduler_seconds(coefficients, seats, queue + 1) >= seconds
