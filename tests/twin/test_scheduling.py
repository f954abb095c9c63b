"""vLLM's scheduling, worked out by hand: every step takes 1 ms, so times are numbers of steps."""

import pytest
from tests.twin.scenarios import MS, by_hand, watch

from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin

A, B = 0, 1


@pytest.fixture(params=["kernel", "reference"])
def played(request):
    """Return either implementation: both must agree with the numbers worked out by hand."""
    return play if request.param == "kernel" else lambda scenario: ReferenceTwin(scenario).run()


def ms(times):
    return [time / MS for time in times]


# One slot; B waits while A is in the batch. Step 1 admits requests 0 and 2; step 2 admits request 4, which arrived with
# request 3. A's last token is made at 3 ms, so step 4 admits both requests of B, in their order.
ONE_SLOT = by_hand([(0, A, 4, 3), (0, B, 4, 1), (0, A, 4, 1), (1, B, 4, 1), (1, A, 4, 1)], adapters=2, max_loras=1)


def test_later_requests_of_adapters_in_the_batch_overtake_those_without_a_slot(played):
    outcome = played(ONE_SLOT)
    assert ms(outcome.first_token) == [1, 4, 1, 4, 2]
    assert ms(outcome.finish) == [3, 4, 1, 4, 2]


def test_skipped_requests_keep_their_order():
    _, steps = watch(ONE_SLOT)
    assert [step.waiting for step in steps] == [(1,), (1, 3), (1, 3), ()]
    assert steps[-1].running == (1, 3)


def test_without_a_free_seat_no_request_overtakes(played):
    outcome = played(ONE_SLOT._replace(limits=ONE_SLOT.limits._replace(max_num_seqs=1)))
    assert ms(outcome.finish) == [3, 4, 5, 6, 7]


def test_an_adapter_whose_requests_keep_coming_starves_the_others(played):
    """Adapter A has a request in the batch at all times, so B is served when A's traffic ends, 50 ms late."""
    rows = [(0, A, 4, 2), (0, B, 4, 1), *((i, A, 4, 2) for i in range(1, 50))]
    outcome = played(by_hand(rows, adapters=2, max_loras=1))
    assert ms(outcome.finish[[0, 2, 50]]) == [2, 3, 51]
    assert outcome.first_token[1] == 52 * MS


def test_the_base_model_needs_no_slot(played):
    outcome = played(by_hand([(0, A, 4, 3), (0, B, 4, 1)], adapters=2, base_model=(B,), max_loras=1))
    assert ms(outcome.finish) == [3, 1]


def test_waiting_requests_cost_scheduler_time(played):
    scenario = ONE_SLOT._replace(scheduler_cost=ONE_SLOT.scheduler_cost._replace(per_waiting=1e-3))
    # One, two and two requests wait in steps 1, 2 and 3; requests 3 and 4 now arrive during step 1.
    assert ms(played(scenario).finish) == [8, 9, 2, 9, 5]


# Six blocks of four tokens. Request 0 takes four blocks and a fifth one for its answer; request 1 needs three.
FULL_CACHE = by_hand([(0, A, 16, 4), (0, A, 12, 1), (0, A, 4, 1)], block_size=4, kv_blocks=6)


def test_a_request_that_does_not_fit_in_the_cache_holds_up_those_behind_it(played):
    outcome = played(FULL_CACHE)  # request 2 would fit from the start
    assert ms(outcome.finish) == [4, 5, 5]
    assert outcome.preemptions == 0


# Four blocks of two tokens. Step 2 needs a third block for request 0, so request 1 is preempted and loses its two. In
# step 3 one block is free, but request 1 now needs room for five tokens. Request 0 finishes at 4 ms, and step 5 admits
# both others.
PREEMPTION = by_hand([(0, A, 4, 4), (0, A, 4, 3), (1, A, 2, 1)], block_size=2, kv_blocks=4)


def test_a_preempted_request_keeps_its_first_token_and_its_answer_so_far(played):
    outcome = played(PREEMPTION)
    assert outcome.preemptions == 1
    assert ms(outcome.first_token) == [1, 1, 5]
    assert ms(outcome.finish) == [4, 6, 5]


def test_a_preempted_request_goes_to_the_front_of_the_queue():
    _, steps = watch(PREEMPTION)
    assert [step.waiting for step in steps] == [(), (1, 2), (1, 2), (1, 2), (), ()]
    assert [step.preempted for step in steps] == [0, 1, 0, 0, 0, 0]


def test_a_preempted_request_computes_prompt_and_answer_again():
    _, steps = watch(PREEMPTION)
    assert steps[4].tokens == {1: 5, 2: 2}  # request 1: four tokens of the prompt and one of the answer


def test_the_gap_over_a_preemption_counts_as_an_inter_token_gap(played):
    outcome = played(PREEMPTION)
    assert outcome.gaps.sum() == 3 + 2
    assert outcome.gap_sum == (3 * 1 + 4 + 1) * MS


def test_a_long_prompt_is_computed_in_chunks_beside_the_decodes(played):
    """With a budget of four, prompt 0 takes 4, 4 and 2 tokens; prompt 1 takes the 2 left, then 1 beside a decode."""
    scenario = by_hand([(0, A, 10, 2), (0, A, 3, 1)], token_budget=4, max_num_seqs=2)
    outcome = played(scenario)
    assert ms(outcome.first_token) == [3, 4]
    assert ms(outcome.finish) == [4, 4]
    _, steps = watch(scenario)
    assert [step.tokens for step in steps] == [{0: 4}, {0: 4}, {0: 2, 1: 2}, {0: 1, 1: 1}]


@pytest.mark.parametrize(("reserve", "finish", "preemptions"), [(False, [2, 4], 1), (True, [2, 4], 0)])
def test_reserving_the_whole_prompt_admits_later_and_saves_a_preemption(played, reserve, finish, preemptions):
    """Of three blocks of four tokens, prompt 1 needs all, but its first chunk of four tokens only one."""
    scenario = by_hand(
        [(0, A, 4, 2), (0, A, 12, 1)],
        block_size=4,
        kv_blocks=3,
        token_budget=8,
        max_num_seqs=2,
        reserve_whole_prompt=reserve,
    )
    outcome = played(scenario)
    assert (ms(outcome.finish), outcome.preemptions) == (finish, preemptions)
    _, steps = watch(scenario)
    assert len(steps[0].tokens) == (1 if reserve else 2)


@pytest.mark.parametrize(("watermark", "finish"), [(0, [1, 1]), (2, [1, 2])])
def test_the_watermark_keeps_blocks_free_while_something_runs(played, watermark, finish):
    rows = [(0, A, 12, 1), (0, A, 4, 1)]
    assert ms(played(by_hand(rows, block_size=4, kv_blocks=4, watermark_blocks=watermark)).finish) == finish


def test_max_num_seqs_limits_the_requests_running_at_once(played):
    assert ms(played(by_hand([(0, A, 4, 2)] * 3, max_num_seqs=2)).finish) == [2, 2, 4]


def test_the_clock_jumps_over_idle_time(played):
    outcome = played(by_hand([(0, A, 4, 1), (500, A, 4, 1)]))
    assert (ms(outcome.finish), outcome.steps) == ([1, 501], 2)


def test_requests_that_the_server_cannot_hold_are_rejected_and_block_no_other(played):
    rows = [(0, A, 60, 41), (0, A, 60, 40), (0, A, 4, 1)]
    outcome = played(by_hand(rows, max_model_len=100))
    assert outcome.rejected.tolist() == [True, False, False]
    outcome = played(by_hand(rows, kv_blocks=6))  # 96 tokens; the last token of an answer needs no room
    assert outcome.rejected.tolist() == [True, True, False]
    assert outcome.finish.tolist() == [-1, -1, MS]


# Adapters: three, loaded in order at start-up; a load to the GPU takes 1 ms.


def test_a_server_starts_with_the_adapters_loaded_last(played):
    """With two slots, adapters 1 and 2 are on the GPU; only adapter 0 must be loaded."""
    for adapter, loads in ((0, 1), (1, 0), (2, 0)):
        outcome = played(by_hand([(0, adapter, 4, 1)], adapters=3, max_loras=2, max_cpu_loras=3, loads_ms=(1, 0)))
        assert (outcome.gpu_loads, outcome.finish[0]) == (loads, (1 + loads) * MS)


@pytest.mark.parametrize(
    ("order", "loads"),
    [
        ([0, 1, 2], 2),  # 0 is visited first and evicts 1, the oldest, which this step needs: 1 is loaded again
        ([1, 0, 2], 1),  # 1 is visited first and becomes the newest, so 0 evicts 2
    ],
)
def test_eviction_takes_the_oldest_adapter_even_one_that_the_same_step_still_needs(played, order, loads):
    outcome = played(
        by_hand(
            [(0, 0, 4, 1), (0, 1, 4, 1)],
            adapters=3,
            max_loras=2,
            max_cpu_loras=3,
            loads_ms=(1, 0),
            position=order,
        )
    )
    assert (outcome.gpu_loads, outcome.load_time) == (loads, loads * MS)
    assert ms(outcome.finish) == [1 + loads] * 2  # loads run one after the other, before the step


def test_an_adapter_that_is_neither_on_the_gpu_nor_in_host_memory_comes_from_disk(played):
    """There is one slot; host memory holds two adapters, at first 1 and 2; a load from disk takes 5 ms."""

    def finish(*adapters):
        rows = [(20 * i, adapter, 4, 1) for i, adapter in enumerate(adapters)]
        outcome = played(
            by_hand(rows, adapters=3, max_loras=1, max_cpu_loras=2, loads_ms=(1, 5), window={"sample_every": MS})
        )
        return outcome.gpu_loads, outcome.disk_loads, [t % 20 for t in ms(outcome.finish)]

    assert finish(2) == (0, 0, [1])
    assert finish(1) == (1, 0, [2])
    assert finish(0) == (1, 1, [7])
    assert finish(0, 2, 0) == (3, 1, [7, 2, 2])  # 0 evicts 1 from host memory, 2 stays there
    assert finish(0, 1, 2) == (3, 3, [7, 7, 7])  # each is needed just after it was evicted


def test_leaving_host_memory_means_leaving_the_gpu(played):
    """Host memory and slots hold two adapters each: adapter 0 evicts 1, and 2 is then the oldest."""
    rows = [(0, 0, 4, 1), (20, 2, 4, 1), (40, 1, 4, 1)]
    outcome = played(by_hand(rows, adapters=3, max_loras=2, max_cpu_loras=2, loads_ms=(1, 5)))
    assert (outcome.gpu_loads, outcome.disk_loads) == (2, 2)
    assert [t % 20 for t in ms(outcome.finish)] == [7, 1, 7]


# The window and the client.


def test_requests_beyond_max_num_queued_reqs_are_rejected_at_once():
    """Two of four requests that come together are let in; the fifth comes when both are done."""
    outcome, _ = watch(by_hand([(0, 0, 5, 2)] * 4 + [(10, 0, 5, 2)], max_num_queued_reqs=2))
    assert outcome.rejected.tolist() == [False, False, True, True, False]
    assert outcome.finish[4] > 0


def test_a_cut_window_gives_no_credit_for_what_is_not_finished(played):
    outcome = played(by_hand([(0, A, 4, 3), (1, A, 4, 3)], window={"drain": False, "end": 3 * MS}))
    assert outcome.finish.tolist() == [3 * MS, -1]
    assert (outcome.generated.tolist(), outcome.running.tolist(), outcome.end) == ([3, 2], [False, True], 3 * MS)
    assert outcome.gaps.sum() == 2  # gaps of the finished request only


def test_a_step_that_would_end_after_a_cut_window_yields_nothing(played):
    outcome = played(by_hand([(0, A, 4, 3)], window={"drain": False, "end": 5 * MS // 2}))
    assert (outcome.generated.tolist(), outcome.steps, outcome.end) == ([2], 2, 5 * MS // 2)
    assert outcome.busy_time == 5 * MS // 2


def test_draining_lets_every_request_finish(played):
    outcome = played(by_hand([(0, A, 4, 3), (1, A, 4, 3)], window={"end": 3 * MS}))
    assert (ms(outcome.finish), outcome.end) == ([3, 4], 4 * MS)


def test_the_client_sends_nothing_while_it_is_out_of_connections(played):
    """With one request in flight, the next is sent when the one before is done."""
    window = {"max_in_flight": 1, "drain": False, "end": 5 * MS}
    outcome = played(by_hand([(0, A, 4, 2)] * 4, window=window))
    assert outcome.finish.tolist() == [2 * MS, 4 * MS, -1, -1]
    assert outcome.arrived == 3


def test_the_recorder_shows_the_state_in_which_each_sampling_time_fell(played):
    outcome = played(by_hand([(0, A, 16, 2), (1, A, 16, 1), (6, A, 4, 1)], window={"sample_every": MS, "end": 8 * MS}))
    # time, running, waiting, blocks, adapters, finished tokens, preemptions
    assert outcome.samples.tolist() == [
        [0 * MS, 1, 0, 1, 1, 0, 0],
        [1 * MS, 2, 0, 3, 1, 0, 0],  # the first answer token opens a second block
        *([t * MS, 0, 0, 0, 0, 35, 0] for t in (2, 3, 4, 5)),
        [6 * MS, 1, 0, 1, 1, 35, 0],
    ]


def test_the_integrals_are_weighted_by_time(played):
    outcome = played(by_hand([(0, A, 16, 2), (1, A, 16, 1)]))
    assert outcome.busy_time == 2 * MS
    assert outcome.running_time == 3 * MS
    assert outcome.kv_time == 4 * MS
    assert outcome.adapter_time == 2 * MS
    assert outcome.waiting_time == 0


def test_the_integrals_leave_the_warm_up_out(played):
    outcome = played(by_hand([(0, A, 16, 4)], window={"warmup": MS}))
    assert (outcome.busy_time, outcome.running_time) == (3 * MS, 3 * MS)
