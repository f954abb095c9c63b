"""Prefix caching, worked out by hand: blocks of 4 tokens, steps of 1 ms, one adapter."""

import numpy as np
from tests.twin.scenarios import by_hand, watch

from adaptwin.twin.kernel.play import play
from adaptwin.workload.drawing.prefixes import Prefixes


def server(rows, *shared, **limits):
    """Make a scenario of rows (arrival in milliseconds, prompt, answer); `shared` are (source, tokens) of each."""
    scenario = by_hand(
        [(arrival, 0, prompt, answer) for arrival, prompt, answer in rows],
        **{"block_size": 4, "prefix_caching": True, **limits},
    )
    source, tokens = (np.array(column, np.int32) for column in zip(*shared, strict=True))
    return scenario._replace(requests=scenario.requests._replace(prefixes=Prefixes(source, tokens)))


def first_tokens(steps):
    """Return how many tokens each request computes in the first step that it is in."""
    found: dict[int, int] = {}
    for step in steps:
        for request, tokens in step.tokens.items():
            found.setdefault(request, tokens)
    return found


def test_a_prompt_takes_over_the_whole_blocks_that_it_shares():
    """Of 10 shared tokens, 8 fill two blocks; 4 of the 12 tokens remain to be computed."""
    outcome, steps = watch(server([(0, 20, 2), (10, 12, 2)], (-1, 0), (0, 10)))
    assert first_tokens(steps) == {0: 20, 1: 4}
    assert (outcome.queried_tokens, outcome.hit_tokens) == (32, 8)


def test_running_requests_hold_a_shared_block_once():
    """Each prompt of 12 tokens needs three blocks, of which two are shared."""
    outcome, steps = watch(server([(0, 12, 3), (0, 12, 3)], (-1, 0), (0, 8)))
    assert first_tokens(steps) == {0: 12, 1: 4}
    assert steps[0].blocks_held == 4
    assert outcome.hit_tokens == 8


def test_the_last_token_of_a_prompt_is_always_computed_and_with_it_its_block():
    """A prompt of 12 tokens that is cached as a whole computes its third block once more."""
    _, steps = watch(server([(0, 12, 1), (10, 12, 1)], (-1, 0), (0, 12)))
    assert first_tokens(steps) == {0: 12, 1: 4}


def test_the_next_turn_of_a_conversation_takes_over_prompt_and_answer():
    """8 prompt and 5 answer tokens: the last one is never computed, so that 12 tokens fill three blocks."""
    _, steps = watch(server([(0, 8, 5), (10, 16, 1)], (-1, 0), (0, 13)))
    assert first_tokens(steps) == {0: 8, 1: 4}


def test_a_prefix_outlives_what_follows_it():
    """Of ten blocks, the first request leaves five; one of seven blocks takes the five others and the last two."""
    rows = [(0, 20, 1), (10, 28, 1), (20, 20, 1)]
    _, steps = watch(server(rows, (-1, 0), (-1, 0), (0, 20), kv_blocks=10))
    assert first_tokens(steps)[2] == 20 - 3 * 4


def test_blocks_that_are_used_again_are_lost_later():
    """The second request uses the first two blocks again, so that the third request takes all others before them."""
    rows = [(0, 20, 1), (5, 12, 1), (10, 32, 1), (20, 12, 1)]
    _, steps = watch(server(rows, (-1, 0), (0, 8), (-1, 0), (0, 8), kv_blocks=10))
    assert first_tokens(steps)[3] == 4


def test_a_preempted_request_takes_over_its_own_blocks_that_are_left():
    """When the first request needs its third of four blocks, the second gives up its two, and loses some of them."""
    outcome, steps = watch(server([(0, 8, 6), (0, 7, 8)], (-1, 0), (-1, 0), kv_blocks=4))
    assert outcome.preemptions == 1
    back = next(i for i, step in enumerate(steps) if step.preempted) + 1
    returned = next(step for step in steps[back:] if 1 in step.tokens)
    assert 1 < returned.tokens[1] < 9
    assert outcome.hit_tokens == 0  # as vLLM counts: only of requests that come for the first time


def test_without_prefix_caching_nothing_is_shared():
    scenario = server([(0, 20, 2), (10, 12, 2)], (-1, 0), (0, 10), prefix_caching=False)
    outcome, steps = watch(scenario)
    assert first_tokens(steps) == {0: 20, 1: 12}
    assert (outcome.queried_tokens, outcome.hit_tokens) == (0, 0)


def test_a_long_conversation_is_cached_turn_by_turn_in_the_kernel_as_well():
    turns = 30
    rows = [(20 * turn, 40 * (turn + 1), 10) for turn in range(turns)]
    shared = [(-1, 0), *((turn, 40 * (turn + 1) + 10) for turn in range(turns - 1))]
    shared = [(source, min(tokens, 40 * (r + 1))) for r, (source, tokens) in enumerate(shared)]
    scenario = server(rows, *shared)
    outcome, steps = watch(scenario)
    assert all(tokens <= 40 for request, tokens in first_tokens(steps).items() if request)
    assert play(scenario).hit_tokens == outcome.hit_tokens
