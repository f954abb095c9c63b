"""StepCost, LoadCost and SchedulerCost: more work never takes less time, for any constants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import SpecError, load_profile
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.lora_kernels import LoraKernels, rank_blocks
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.scheduler_cost import SchedulerCost, scheduler_seconds
from adaptwin.profile.step_cost import StepCost, pairs_of_chunk, step_seconds
from adaptwin.twin.server import Server
from adaptwin.twin.step_coefficients import kernels_of, step_coefficients

same_every_time = settings(max_examples=200, deadline=None, derandomize=True, database=None)

CONSTANT = st.floats(0, 1e-2)
WHOLE = {"graph_tokens", "split_tokens"}
FIELDS = {
    **{name: st.integers(0, 600) if name in WHOLE else CONSTANT for name in StepCost.model_fields},
    "balance_tokens": st.floats(1, 10_000),
    "expert_balance_tokens": st.floats(1, 10_000),
    "expert_share": st.floats(0, 1),
}
STEP_COSTS = st.builds(StepCost, **FIELDS) | st.sampled_from(
    [load_profile(name).step_cost for name in shipped_profiles()]
)
KERNELS = LoraKernels(
    launches=10, shrink_blocks=7, expand_blocks=20, bytes_per_token=4e3, bytes_per_rank=1e3, skip_base_only=False
)
WORK = {
    "tokens": st.integers(1, 16_384),
    "sequences": st.integers(1, 1000),
    "context": st.integers(0, 1_000_000),
    "pairs": st.integers(0, 10**9),
    "adapters": st.integers(0, 400),
}
STEPS = st.fixed_dictionaries(WORK)
SLOTS = st.fixed_dictionaries(
    {
        "kernels": st.builds(KERNELS._replace, skip_base_only=st.booleans()),
        "max_loras": st.integers(1, 400),
        "max_lora_rank": st.sampled_from([1, 8, 16, 64, 256]),
        "specialize_active_lora": st.booleans(),
    }
)


@same_every_time
@given(cost=STEP_COSTS, slots=SLOTS, step=STEPS, more=st.integers(1, 1000), name=st.sampled_from(sorted(WORK)))
def test_more_of_anything_in_a_step_never_makes_it_faster(cost, slots, step, more, name):
    larger = {**step, name: step[name] + more}
    if step["tokens"] <= cost.split_tokens < larger["tokens"]:  # vLLM's shrink kernel splits its sum less
        cost = cost.model_copy(update={"split_tokens": 0})
    coefficients = cost.resolve(**slots)
    assert step_seconds(coefficients, **larger) >= step_seconds(coefficients, **step)


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_the_measured_gpu_a_step_of_128_tokens_is_faster_than_one_of_127(name):
    coefficients = step_coefficients(load_profile(name), Server(max_loras=128, max_lora_rank=32))
    below, above = (
        step_seconds(coefficients, tokens=tokens, sequences=tokens, context=40_000, adapters=60)
        for tokens in (127, 128)
    )
    assert 0.65 * below < above < 0.95 * below


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
def test_a_grid_that_is_as_large_as_needed_never_makes_a_step_slower(cost, slots, step):
    fewest, all_slots = ({**slots, "specialize_active_lora": on} for on in (True, False))
    assert step_seconds(cost.resolve(**fewest), **step) <= step_seconds(cost.resolve(**all_slots), **step)


def test_a_step_costs_the_sum_of_its_terms():
    cost = StepCost(
        host_base=1e-3, gpu_base=2e-3, weights=4e-3, balance_tokens=100.0, per_token=1e-5, per_pair=1e-6,
        per_context_token=1e-8, per_sequence=1e-4, eager=7e-3, graph_tokens=150,
        communication=3e-3, communication_per_token=1e-6,
        slot_launch=1e-5, launched_block=1e-7, lora_launch=1e-4, lora_byte=1e-9, adapter_byte=1e-8,
        shrink_block=1e-6, expand_block=1e-5, active_block=2e-6, split_tokens=99,
    )  # fmt: skip
    coefficients = cost.resolve(KERNELS, max_loras=10, max_lora_rank=32)  # 11 slots in the grid, two blocks of rank
    step = {"tokens": 100, "sequences": 5, "context": 5000, "pairs": 1000}
    # Base, GPU and communication 6 ms; weights 4 ms x sqrt(2); 100 tokens 1.1 ms; five requests 0.5 ms; 1,000 pairs
    # 1 ms; 5,000 of context 0.05 ms; slots 11 x 10 x 10 us; grids 11 x (7 x 2 x 8 x 4 + 20 x 2) blocks.
    base = 6e-3 + 4e-3 * 2**0.5 + 1.1e-3 + 0.5e-3 + 1e-3 + 0.05e-3 + 1.1e-3 + 11 * (448 + 40) * 1e-7
    assert step_seconds(coefficients, **step, adapters=0) == pytest.approx(base)
    # 3 adapters: 10 kernels 1 ms, 100 tokens of 4,000 bytes 0.4 ms, 3 adapters of 32,000 bytes; 7 x 2 x 8 blocks for
    # each of 3 + 97 / 32 blocks of tokens; 20 blocks of 10 us and 20 x 2 blocks of 2 us for each adapter.
    lora = 1e-3 + 0.4e-3 + 3 * 0.32e-3 + 112 * (3 + 97 / 32) * 1e-6 + 3 * (0.2e-3 + 0.08e-3)
    assert step_seconds(coefficients, **step, adapters=3) == pytest.approx(base + lora)
    # 99 tokens, so eight times as many shrink blocks
    less = 4e-3 * (2**0.5 - (1 + 0.99**2) ** 0.5) + 0.011e-3 + 0.004e-3 + 112 / 32 * 1e-6
    more = 7 * (11 * 448 * 1e-7 + 112 * (3 + 96 / 32) * 1e-6)
    assert step_seconds(coefficients, **{**step, "tokens": 99}, adapters=3) == pytest.approx(base + lora - less + more)
    # 200 tokens are too many for a CUDA graph: 7 ms more
    more = 4e-3 * (5**0.5 - 2**0.5) + 1.1e-3 + 7e-3 + 11 * (7 * 2 * 8 * 3 + 20 * 2) * 1e-7
    assert step_seconds(coefficients, **{**step, "tokens": 200}, adapters=0) == pytest.approx(base + more)


def test_experts_are_read_as_far_as_tokens_use_them():
    """Two of eight experts for each token, so three tokens use 1 - (3/4)^3 = 37/64 of them."""
    law = dict.fromkeys(("host_base", "weights", "per_token", "per_context_token"), 0.0)
    cost = StepCost(**law, expert_weights=1.0, expert_share=0.25, expert_balance_tokens=4.0)
    coefficients = cost.resolve(KERNELS, max_loras=0, max_lora_rank=16)
    seconds = [step_seconds(coefficients, tokens=tokens, sequences=tokens, adapters=0) for tokens in (1, 3, 4000)]
    assert seconds[0] == pytest.approx((0.25**2 + 0.25**2) ** 0.5)
    assert seconds[1] == pytest.approx(((37 / 64) ** 2 + 0.75**2) ** 0.5)
    assert seconds[2] == pytest.approx((1 + 1000**2) ** 0.5)


def test_fully_sharded_adapters_exchange_what_shrink_kernels_computed():
    law = dict.fromkeys(("host_base", "weights", "per_token", "per_context_token"), 0.0)
    cost = StepCost(**law, communication=1e-3)
    sharded = cost.resolve(KERNELS._replace(more_exchanges=2.0), max_loras=1, max_lora_rank=16)
    assert [step_seconds(sharded, tokens=1, sequences=1, adapters=n) for n in (0, 1)] == pytest.approx([1e-3, 3e-3])


def test_newer_versions_launch_fewer_blocks():
    cost = StepCost(host_base=0.0, weights=0.0, per_token=0.0, per_context_token=0.0, slot_launch=1.0)
    slots = {"max_loras": 10, "max_lora_rank": 16}

    def launched(kernels, adapters, **more):
        coefficients = cost.resolve(kernels._replace(launches=1), **slots, **more)
        return step_seconds(coefficients, tokens=1, sequences=1, adapters=adapters)

    newer = KERNELS._replace(skip_base_only=True)
    assert [launched(KERNELS, adapters) for adapters in (0, 1, 10)] == [11, 11, 11]
    assert [launched(newer, adapters) for adapters in (0, 1, 10)] == [0, 11, 11]
    as_needed = [launched(newer, adapters, specialize_active_lora=True) for adapters in (0, 1, 2, 3, 5, 8, 9, 10)]
    assert as_needed == [0, 1, 2, 4, 8, 8, 11, 11]
    assert cost.resolve(KERNELS, max_loras=0, max_lora_rank=16).slots_with_lora == 0


@same_every_time
@given(prompt=st.integers(1, 10_000), cuts=st.lists(st.integers(1, 10_000), max_size=5))
def test_a_prompt_makes_the_same_pairs_in_any_chunks(prompt, cuts):
    ends = [*sorted({cut for cut in cuts if cut < prompt}), prompt]
    starts = [0, *ends[:-1]]
    chunks = [pairs_of_chunk(end - start, start) for start, end in zip(starts, ends, strict=True)]
    assert sum(chunks) == prompt * (prompt + 1) // 2


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_prompt_of_120_000_tokens_takes_seconds_more_than_one_that_is_linear_in_its_length(name):
    cost = load_profile(name).step_cost
    assert 4 < cost.per_pair * pairs_of_chunk(120_000, 0) < 10


def test_ranks_that_fill_the_same_blocks_cost_the_same():
    assert [rank_blocks(rank) for rank in (1, 8, 16, 32, 64, 256)] == [1, 1, 1, 2, 4, 16]


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_every_kind_of_work_costs_something(name):
    cost, kernels = load_profile(name).step_cost, kernels_of(load_profile(name), Server())
    step = {"tokens": 50, "sequences": 20, "context": 10_000, "pairs": 10_000, "adapters": 4}
    slots = {"max_loras": 8, "max_lora_rank": 16}
    seconds = step_seconds(cost.resolve(kernels, **slots), **step)
    for work in step:
        assert step_seconds(cost.resolve(kernels, **slots), **{**step, work: 2 * step[work]}) > seconds
    for more in ({"max_loras": 64}, {"max_lora_rank": 64}):
        assert step_seconds(cost.resolve(kernels, **{**slots, **more}), **step) > seconds


@pytest.mark.parametrize("name", shipped_profiles())
def test_on_a_shipped_profile_a_decode_step_takes_milliseconds_and_a_full_prefill_a_good_part_of_a_second(name):
    coefficients = step_coefficients(load_profile(name), Server(max_loras=32, max_lora_rank=16))
    assert 0.01 < step_seconds(coefficients, tokens=32, sequences=32, context=32 * 400, adapters=16) < 0.1
    assert 0.08 < step_seconds(coefficients, tokens=2048, sequences=10, pairs=10 * 20_000, adapters=16) < 0.5


@pytest.mark.parametrize("field", StepCost.model_fields)
def test_no_term_of_a_step_may_be_negative(field):
    fields = {**dict.fromkeys(StepCost.model_fields, 0), "balance_tokens": 1, "expert_balance_tokens": 1}
    least = 1 if field.endswith("balance_tokens") else 0
    with pytest.raises(SpecError, match=rf"StepCost\.{field}: -1 must be at least {least}"):
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
