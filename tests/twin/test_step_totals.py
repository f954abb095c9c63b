"""StepTotals: the contents of the steps of a run, worked out by hand."""

import pytest
from tests.twin.scenarios import MS, by_hand

from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.step_totals import StepTotals

# Requests of 600, 100 and 20 tokens come at once, the last to the base model; two may run. Steps take 1 ms.
# The grid has four slots; a slot has 32-token and 64-token blocks, the sum of the former is in 8 parts, or 64 up to 127
# tokens.
#   1: prompts of the first two, in 22 and 11 blocks. 700 tokens are too many for a CUDA graph; the third waits.
#   2: two decodes over 600 and 100 tokens of context. The second request has its two tokens and leaves.
#   3: a decode over 601 tokens, and the prompt of 20. The first has its three tokens and leaves.
#   4: a decode of the base model over 20 tokens.
ROWS = ((0, 0, 600, 3), (0, 1, 100, 2), (0, 2, 20, 2))
BY_HAND = StepTotals(
    steps=4,
    tokens=700 + 2 + 21 + 1,
    sequences=2 + 2 + 2 + 1,
    pairs=600 * 601 // 2 + 100 * 101 // 2 + 0 + 20 * 21 // 2 + 0,
    bend=sum(round(2**20 * (1 + (tokens / 400) ** 2) ** 0.5) for tokens in (700, 2, 21, 1)),
    expert_bend=sum(round(2**20 * ((1 - 0.5**tokens) ** 2 + (tokens / 100) ** 2) ** 0.5) for tokens in (700, 2, 21, 1)),
    eager=1,
    slots=4 * 4,
    shrink_grid=4 * (8 * 22 + 64 + 64 + 64),
    expand_grid=4 * (11 + 1 + 1 + 1),
    lora=3,
    lora_tokens=700 + 2 + 21,
    adapters=2 + 2 + 1,
    shrink_work=8 * (2 * 31 + 700) + 64 * (2 * 31 + 2) + 64 * (31 + 21),
    expand_active=2 * 11 + 2 + 1,
    context=0 + 700 + 601 + 20,
    waiting=1 + 1,
)

BOTH = pytest.mark.parametrize(
    "twin", [play, lambda scenario: ReferenceTwin(scenario).run()], ids=["kernel", "reference"]
)


def three_requests(**window):
    window = {"step_totals": True, **window}
    scenario = by_hand(ROWS, adapters=3, base_model=(2,), max_num_seqs=2, window=window)
    law = {"slots_without_lora": 4, "slots_with_lora": 4, "balance": 1 / 400**2}
    law |= {"expert_weights": 1e-12, "untouched": 0.5, "expert_balance": 0.01}
    return scenario._replace(step_cost=scenario.step_cost._replace(**law))


@BOTH
def test_three_requests_on_paper(twin):
    outcome = twin(three_requests())
    assert outcome.step_totals == BY_HAND
    assert outcome.steps == 4


@BOTH
def test_a_step_that_the_window_cuts_off_is_counted(twin):
    """After 3.5 ms three steps are done; the contents of the fourth are counted as well."""
    outcome = twin(three_requests(end=7 * MS // 2, drain=False))
    assert outcome.steps == 3
    assert outcome.step_totals == BY_HAND


@BOTH
def test_steps_of_the_warm_up_are_counted(twin):
    assert twin(three_requests(warmup=3 * MS)).step_totals == BY_HAND


@BOTH
def test_nothing_is_summed_up_unless_step_totals_are_on(twin):
    assert twin(three_requests(step_totals=False)).step_totals == StepTotals(*[0] * len(StepTotals._fields))


@BOTH
def test_tokens_that_a_preempted_request_computes_again_count(twin):
    """Two prompts of 16 tokens fill both blocks, so the second is preempted for the next token of the first."""
    rows = ((0, 0, 16, 2), (0, 0, 16, 2))
    # 1: both prompts; 2: a decode over 16 tokens, the other waits; 3: the other's 17 tokens, as a prompt again
    outcome = twin(by_hand(rows, kv_blocks=2, block_size=16, window={"step_totals": True}))
    assert outcome.preemptions == 1
    totals = outcome.step_totals
    assert (totals.steps, totals.tokens, totals.context) == (3, 32 + 1 + 17, 16)
    assert totals.pairs == 2 * 16 * 17 // 2 + 17 * 18 // 2
    assert (totals.sequences, totals.waiting) == (2 + 1 + 1, 1)


@BOTH
def test_a_prompt_in_chunks_makes_as_many_pairs_as_in_one_step(twin):
    """A prompt of 100 tokens is computed in steps of 30, beside a decode that takes one of them, then of the rest."""
    rows = ((0, 0, 5, 9), (2, 0, 100, 2))
    totals = twin(by_hand(rows, token_budget=30, window={"step_totals": True})).step_totals
    assert totals.pairs == 5 * 6 // 2 + 100 * 101 // 2
