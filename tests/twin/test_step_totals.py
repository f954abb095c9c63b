"""StepTotals: the contents of the steps of a run, worked out by hand."""

import pytest
from tests.twin.scenarios import MS, by_hand

from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.step_totals import StepTotals

# Requests of 600, 100 and 20 tokens come at once, the last to the base model; two may run. Steps take 1 ms.
#   1: prompts of the first two. 700 tokens are too many for a CUDA graph and for a split sum; the third waits.
#   2: two decodes over 600 and 100 tokens of context. The second request has its two tokens and leaves.
#   3: a decode over 601 tokens, and the prompt of 20. The first has its three tokens and leaves.
#   4: a decode of the base model over 20 tokens.
ROWS = ((0, 0, 600, 3), (0, 1, 100, 2), (0, 2, 20, 2))
BY_HAND = StepTotals(
    steps=4,
    tokens=700 + 2 + 21 + 1,
    context=0 + 700 + 601 + 20,
    eager=1,
    lora=3,
    lora_tokens=700 + 2 + 21,
    adapters=2 + 2 + 1,
    token_adapters=2 * 700 + 2 * 2 + 1 * 21,
    split_tokens=2 + 21 + 1,
    split_adapters=2 + 1,
    running=2 + 2 + 2 + 1,
    waiting=1 + 1,
)

BOTH = pytest.mark.parametrize(
    "twin", [play, lambda scenario: ReferenceTwin(scenario).run()], ids=["kernel", "reference"]
)


def three_requests(**window):
    return by_hand(ROWS, adapters=3, base_model=(2,), max_num_seqs=2, window={"step_totals": True, **window})


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
    assert (totals.running, totals.waiting) == (2 + 1 + 1, 1)
