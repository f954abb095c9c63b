"""Verdicts, worked out by hand: every request is given with the times of its first and last token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin.scenarios import by_hand, plain_profile

from adaptwin import Adapter, Server, Workload, load_profile, simulate
from adaptwin.twin.kernel.play import play
from adaptwin.twin.run import VERDICTS, grade_of, worst_of
from adaptwin.twin.verdict import judge

END = 600.0
NEVER = None
TOKENS = 100  # tokens of every request: 50 in, 50 out


def judged(*adapters, fields=None, warmup=0.0, rejected=(), drain=False, end=END):
    """Judge adapters, each given as a list of (arrival, first token, last token[, holds a seat]) in seconds.

    The requests that arrive at one of the times in `rejected` are rejected.
    """
    told = sorted((row, a) for a, rows in enumerate(adapters) for row in (key(*row) for row in rows))
    scenario = by_hand(
        [(row[0] * 1e3, a, 50, 50) for row, a in told],
        adapters=len(adapters),
        window={"end": int(end * 1e9), "drain": drain, "warmup": int(warmup * 1e9)},
    )
    happened = play(by_hand([]))._replace(
        first_token=np.array([row[1] * 1e9 if row[1] < np.inf else -1 for row, _ in told], np.int64),
        finish=np.array([row[2] * 1e9 if row[2] < np.inf else -1 for row, _ in told], np.int64),
        rejected=np.array([row[0] in rejected for row, _ in told], np.bool_),
        running=np.array([row[3] for row, _ in told], np.bool_),
        end=int(end * 1e9),
    )
    workload = Workload([Adapter(f"a{i}", 8, 1.0, **(fields or {})) for i in range(len(adapters))], duration=end)
    latency = plain_profile().request_latency
    return judge(workload, scenario.requests, scenario.window, happened.ends, request_latency=latency)


def key(arrival, first, last, seat=False):
    return arrival, np.inf if first is NEVER else first, np.inf if last is NEVER else last, seat


def served(count, start=0.0, gap=5.0, wait=1.0):
    """Make `count` requests, one every `gap` seconds; the first token comes after `wait`, the last 1 s later."""
    return [(start + gap * i, start + gap * i + wait, start + gap * i + wait + 1.0) for i in range(count)]


def unserved(count, start=0.0, gap=5.0, seat=False):
    return [(start + gap * i, NEVER, NEVER, seat) for i in range(count)]


def test_no_arrivals_are_ok():
    judgement = judged([], [])
    assert (judgement.server, judgement.adapters) == ("ok", ["ok", "ok"])


def test_requests_that_finish_soon_are_ok():
    judgement = judged(served(20))
    assert (judgement.server, judgement.adapters, judgement.worst) == ("ok", ["ok"], "ok")


def test_an_adapter_with_over_a_tenth_of_its_tokens_unserved_is_starved():
    assert judged(served(16) + unserved(2, start=200.0)).adapters == ["starved"]  # 2 of 18
    assert judged(served(19) + unserved(2, start=200.0)).adapters == ["ok"]  # 2 of 21


def test_exactly_a_tenth_unserved_is_not_over_a_tenth():
    assert judged(served(9) + unserved(1, start=200.0)).adapters == ["ok"]


def test_the_server_is_starved_when_under_nine_tenths_of_the_tokens_finished():
    assert judged(served(17) + unserved(2, start=200.0)).server == "starved"  # 17 of 19
    assert judged(served(19) + unserved(2, start=200.0)).server == "ok"  # 19 of 21


def test_a_starved_adapter_shows_although_the_server_as_a_whole_is_fine():
    judgement = judged(served(90), unserved(6, start=100.0))
    assert judgement.server == "ok"  # 90 of 96
    assert judgement.adapters == ["ok", "starved"]
    assert judgement.worst == "starved"


def test_requests_in_the_last_minute_do_not_count_against_an_adapter():
    young = unserved(4, start=END - 59.0, gap=1.0)
    assert judged(served(20) + young).adapters == ["ok"]
    old = unserved(4, start=END - 64.0, gap=1.0)
    assert judged(served(20) + old).adapters == ["starved"]


def test_a_request_that_holds_a_seat_is_being_served():
    assert judged(served(10) + unserved(5, start=200.0, seat=True)).adapters == ["ok"]


def test_a_request_that_was_preempted_and_waits_again_is_not_served():
    preempted = [(200.0 + i, 201.0 + i, NEVER) for i in range(5)]
    assert judged(served(10) + preempted).adapters == ["starved"]


def test_a_few_requests_say_whether_they_were_served():
    assert judged(unserved(1, start=200.0)).adapters == ["starved"]
    assert judged(served(1)).adapters == ["ok"]
    assert judged(served(3) + unserved(1, start=200.0)).adapters == ["starved"]
    assert judged(unserved(1, start=541.0)).adapters == ["ok"]  # 59 s old: not due yet


def test_a_few_requests_say_nothing_about_a_queue():
    """All of them waited over 10 s, but the server, which has many other requests, keeps up."""
    assert judged(served(4, wait=12.0), served(90)).adapters == ["ok", "ok"]
    assert judged(served(5, wait=12.0), served(90)).adapters == ["backlogged", "ok"]
    assert judged(served(4, wait=12.0)).server == "ok"


def test_fifty_adapters_whose_only_request_gets_nothing_are_starved_and_so_is_their_server():
    judgement = judged(*(unserved(1, start=5.0 * i) for i in range(50)))
    assert judgement.adapters == ["starved"] * 50
    assert judgement.server == "starved"


def test_a_rejected_request_was_not_served_however_young_it_is():
    assert judged(served(18), rejected=(0.0, 5.0)).adapters == ["starved"]  # 2 of 18
    assert judged(served(21), rejected=(0.0, 5.0)).adapters == ["ok"]  # 2 of 21
    young = unserved(2, start=590.0)
    assert judged(served(16) + young, rejected=(590.0, 595.0)).adapters == ["starved"]
    assert judged(served(16) + young).adapters == ["ok"]


def test_a_server_that_rejects_everything_is_starved():
    judgement = judged(unserved(10), rejected=tuple(5.0 * i for i in range(10)))
    assert (judgement.server, judgement.adapters) == ("starved", ["starved"])


def test_a_queue_that_grew_through_the_window_is_a_backlog():
    # 100 requests in 600 s: ten seconds of traffic are 1.7 requests; seven wait at the end, none in the middle.
    rows = served(93) + unserved(7, start=560.0)
    assert judged(rows).adapters == ["backlogged"]
    assert judged(rows).server == "backlogged"


def test_a_queue_that_holds_less_than_ten_seconds_of_traffic_is_no_backlog():
    # 600 requests in 600 s; those up to 590 s have waited 10 s by the end: ten from 581 s on, eleven from 580 s on.
    assert judged(served(581, gap=1.0) + unserved(19, start=581.0, gap=1.0)).adapters == ["ok"]
    assert judged(served(580, gap=1.0) + unserved(20, start=580.0, gap=1.0)).adapters == ["backlogged"]


def test_a_burst_in_the_last_ten_seconds_is_no_backlog_but_an_old_queue_is():
    """At the end, twenty requests have waited for 6 to 8 s, or for 18 to 20 s."""
    just_come, old = (judged(served(93) + unserved(20, start=start, gap=0.1)) for start in (592.0, 580.0))
    assert (just_come.server, just_come.adapters) == ("ok", ["ok"])
    assert (old.server, old.adapters) == ("backlogged", ["backlogged"])


def test_a_queue_that_did_not_grow_is_no_backlog():
    # Seven wait at the end; in the middle, at 300 s, eight of the served ones had waited over 10 s, too.
    jam = [(280.0 + i, 303.0, 304.0) for i in range(8)]
    rows = served(85, gap=3.0) + jam + unserved(7, start=560.0)
    assert judged(rows).adapters == ["ok"]
    # If they had come 11 s later, the middle would have seen a burst, and no queue.
    burst = [(291.0 + i, 303.0, 304.0) for i in range(8)]
    rows = served(85, gap=3.0) + burst + unserved(7, start=560.0)
    assert judged(rows).adapters == ["backlogged"]


def test_waiting_over_ten_seconds_in_the_median_is_a_backlog():
    slow, quick = served(11, wait=10.5), served(9, start=100.0)
    assert judged(slow + quick).adapters == ["backlogged"]
    assert judged(slow + quick).server == "backlogged"
    assert judged(slow[:10] + quick + served(1, start=200.0)).adapters == ["ok"]  # half is not over half


def test_starved_takes_precedence_over_backlogged_and_backlogged_over_slow():
    impatient = served(10, wait=20.0)
    assert judged(impatient + unserved(5, start=200.0)).adapters == ["starved"]
    assert judged(impatient, fields={"slo_ttft": 1.0}).adapters == ["backlogged"]
    assert worst_of({"ok", "unknown"}) == "unknown"
    assert worst_of({"unknown", "slow"}) == "slow"
    assert worst_of({"ok", "slow", "backlogged"}) == "backlogged"
    assert worst_of({"ok", "slow", "backlogged", "starved"}) == "starved"
    assert worst_of(set()) == "ok"


def test_an_adapter_that_misses_its_ttft_objective_is_slow():
    """One late request in a hundred is within the 99th percentile, two are not."""
    late = served(2, start=550.0, wait=3.0)
    assert judged(served(99) + late[:1], fields={"slo_ttft": 2.0}).adapters == ["ok"]
    assert judged(served(98) + late, fields={"slo_ttft": 2.0}).adapters == ["slow"]
    assert judged(served(98) + late).adapters == ["ok"]


def test_the_ttft_objective_includes_what_api_and_client_add():
    """5 ms in the plain profile: a first token after 1.997 s reaches the client after 2.002 s."""
    assert judged(served(20, wait=1.997), fields={"slo_ttft": 2.0}).adapters == ["slow"]
    assert judged(served(20, wait=1.994), fields={"slo_ttft": 2.0}).adapters == ["ok"]


def test_an_adapter_that_misses_its_itl_objective_is_slow():
    """There are 49 gaps in one second: 20.4 ms each."""
    assert judged(served(20), fields={"slo_itl": 0.020}).adapters == ["slow"]
    assert judged(served(20), fields={"slo_itl": 0.021}).adapters == ["ok"]


def test_an_objective_missed_by_an_adapter_is_not_held_against_the_server():
    judgement = judged(served(20), fields={"slo_itl": 0.020})
    assert (judgement.server, judgement.worst) == ("ok", "slow")


def test_over_one_in_a_hundred_waits_above_two_seconds_without_an_objective_is_sluggish():
    """5 ms in the plain profile: a first token after 1.997 s reaches the client after 2.002 s."""
    long = served(2, start=550.0, wait=1.997)
    for rows, sluggish in (
        (served(98) + long, True),
        (served(99) + long[:1], False),
        (served(98) + served(2, start=550.0, wait=1.994), False),
    ):
        judgement = judged(rows)
        assert (judgement.worst, judgement.is_sluggish, judgement.sluggish_adapters.tolist()) == (
            "ok",
            sluggish,
            [sluggish],
        )


def test_with_an_objective_nothing_is_sluggish():
    judgement = judged(served(10, wait=3.0), fields={"slo_ttft": 5.0})
    assert (judgement.worst, judgement.is_sluggish, judgement.sluggish_adapters.tolist()) == ("ok", False, [False])


def test_sluggish_is_a_grade_of_ok_alone():
    assert [grade_of(verdict, sluggish=True) for verdict in VERDICTS] == [*VERDICTS[:-1], "sluggish"]
    assert [grade_of(verdict, sluggish=False) for verdict in VERDICTS] == list(VERDICTS)


def test_a_window_of_under_two_minutes_shows_nothing_unless_the_server_is_overloaded():
    for end, verdict in ((119.0, "unknown"), (120.0, "ok")):
        judgement = judged(served(10), [], end=end)
        assert (judgement.server, judgement.adapters) == (verdict, [verdict, verdict])
    assert judged(served(10, start=90.0), end=200.0, warmup=81.0).server == "unknown"
    assert judged(served(10) + unserved(9, gap=1.0), end=90.0).server == "starved"
    assert judged(served(2) + unserved(30, start=20.0, gap=0.5), end=60.0).server == "backlogged"
    assert judged([], end=60.0).server == "ok"


def test_a_window_in_which_no_due_request_finished_shows_nothing():
    """All of the answers take longer than the window, so the server is still filling up when it ends."""
    in_seat = [(10.0 * i, 10.0 * i + 1.0, NEVER, True) for i in range(20)]
    assert judged(in_seat).server == "unknown"
    assert judged(in_seat + served(1)).server == "ok"


def test_a_drained_window_is_judged_by_the_first_tokens_that_came_before_the_last_arrival():
    """In the end, all requests are served; at 600 s, none of the late ones was."""
    late = [(300.0 + i, 700.0 + i, 701.0 + i) for i in range(3)]
    assert judged(served(20) + late, drain=True).adapters == ["starved"]
    slow_answers = [(300.0 + i, 301.0 + i, 700.0 + i) for i in range(3)]
    judgement = judged(served(20) + slow_answers, drain=True)
    assert (judgement.server, judgement.adapters) == ("ok", ["ok"])


seconds = st.floats(0.0, 600.0).map(lambda value: round(value, 3))
requests = st.tuples(seconds, st.one_of(st.none(), st.floats(0.0, 100.0)), st.one_of(st.none(), seconds), st.booleans())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(requests, max_size=8), min_size=1, max_size=6),
    st.sampled_from([30.0, 119.0, 120.0, 600.0]),
    st.booleans(),
    st.sampled_from([None, 3.0]),
)
def test_server_and_adapters_agree(rows, end, drain, slo):
    """If the server is overloaded, some adapter is; if all that ask are, the server is; unknown goes for all."""
    adapters = [
        [
            (arrival, NEVER, NEVER, seat)
            if wait is None
            else (
                arrival,
                arrival + wait,
                NEVER if answer is None else arrival + wait + answer,
                answer is None and seat,
            )
            for arrival, wait, answer, seat in of_adapter
            if arrival < end
        ]
        for of_adapter in rows
    ]
    judgement = judged(*adapters, end=end, drain=drain, fields={"slo_ttft": slo})
    asking = {verdict for verdict, own in zip(judgement.adapters, adapters, strict=True) if own}
    overloaded = {"starved", "backlogged"}
    if judgement.server in overloaded:
        assert overloaded & asking
    if judgement.server == "starved":
        assert "starved" in asking
    if asking and asking <= overloaded:
        assert judgement.server in overloaded
    if judgement.is_sluggish:
        assert judgement.sluggish_adapters.any()
    assert ("unknown" in judgement.adapters) <= (judgement.server in {"unknown", *overloaded})
    assert (judgement.server == "unknown") <= ("ok" not in judgement.adapters)


def test_requests_of_the_warm_up_do_not_count():
    rows = unserved(5) + served(20, start=100.0)
    assert judged(rows, warmup=90.0).adapters == ["ok"]
    assert judged(rows).adapters == ["starved"]


def fleet(adapters, rate, **fields):
    return Workload([Adapter(f"a{i}", 8, rate / adapters) for i in range(adapters)], **fields)


@pytest.mark.parametrize("rate", [7.0, 7.5, 8.0])
def test_full_throughput_with_a_long_wait_for_the_first_token_shows_as_backlogged(rate):
    """Not starved by the paper's measure: 0.98 of the tokens are served, but the median request waits half a minute."""
    server = Server(max_loras=16, max_lora_rank=8, max_cpu_loras=128)
    run = simulate(load_profile("h100-64gb-llama-3.1-8b-instruct"), server, fleet(128, rate))
    assert not run.starved
    assert run.throughput > 0.97 * run.offered_throughput
    assert run.ttft.p50 > 20.0
    assert run.verdict == "backlogged"


def test_a_slot_for_every_adapter_makes_the_same_load_ok():
    server = Server(max_loras=128, max_lora_rank=8)
    run = simulate(load_profile("h100-64gb-llama-3.1-8b-instruct"), server, fleet(128, 7.5))
    assert (run.verdict, run.worst) == ("ok", "ok")
    assert run.ttft.p50 < 1.0


def test_far_more_than_a_server_can_do_is_starved():
    server = Server(max_loras=16, max_lora_rank=8, max_cpu_loras=128)
    run = simulate(load_profile("h100-64gb-llama-3.1-8b-instruct"), server, fleet(128, 60.0, duration=600.0))
    assert run.starved
    assert run.verdict == run.worst == "starved"
