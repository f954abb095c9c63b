"""Figures of a replay, worked out by hand: answers with the times of their tokens, on a clock that is set."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Server, Workload, simulate
from adaptwin.live.answer import TakenAnswer
from adaptwin.live.figures import client_complaint, client_figures, server_figures
from adaptwin.live.open_loop import OpenLoop, Sent
from adaptwin.live.prompts import RandomPrompts
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.traffic import ServerTraffic
from adaptwin.twin.played import play_scenario
from adaptwin.twin.scenario import NOT_YET, make_scenario
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests

START = 1_000 * NANOSECONDS  # of the replay on the clock
PROMPT, ANSWER = 20, 5  # tokens of every request


class Row(NamedTuple):
    """A request and what became of it; times in seconds since the start of the replay."""

    arrival: float
    tokens: tuple[float, ...] = ()  # when they came; all of them if there are `ANSWER`
    adapter: int = 0
    error: str = ""
    is_rejected: bool = False
    is_sent: bool = True
    prompt_tokens: int = 0  # as the server counted them


def answer_of(row):
    answer = TakenAnswer(error=row.error, is_rejected=row.is_rejected, prompt_tokens=row.prompt_tokens)
    times = [START + round(time * NANOSECONDS) for time in row.tokens]
    if row.is_sent:
        answer.sent = START + round(row.arrival * NANOSECONDS)
    if times:
        answer.first, answer.latest, answer.tokens = times[0], times[-1], len(times)
        answer.gaps.extend(np.diff(times).tolist())
    if len(times) == ANSWER and not row.error:
        answer.last = times[-1]
    return answer


def open_loop(duration, *, drain=False, ended=None, ended_early="", max_in_flight=None, **fields):
    loop = OpenLoop(
        sent=(),
        duration=duration,
        drain=drain,
        prompts=RandomPrompts(0),
        max_in_flight=max_in_flight,
        timeout=1.0,
        sample_every=1.0,
        **fields,
    )
    loop.started = START
    loop.ended = START + round((duration if ended is None else ended) * NANOSECONDS)
    loop.ended_early = ended_early
    return loop


def figures(*rows, duration=100.0, warmup=0.0, window="cut", adapters=1, **fields):
    """Compute the figures of a replay of these requests to one server."""
    rows = sorted(rows)
    arrival = np.array([round(row.arrival * NANOSECONDS) for row in rows], np.int64)
    outputs = np.full(len(rows), ANSWER, np.int32)
    requests = Requests(
        arrival,
        np.array([row.adapter for row in rows], np.int32),
        np.full(len(rows), PROMPT, np.int32),
        outputs,
        outputs,
    )
    workload = Workload([Adapter(f"a{i}", 8, 1.0) for i in range(adapters)], duration=duration)
    sent = Sent(ServerTraffic("server", "http://x", workload, requests, 0), [], [answer_of(row) for row in rows])
    return client_figures(open_loop(duration, drain=window == "drain", **fields), sent, window, warmup)


ONE = Row(10.0, (11.0, 12.0, 13.0, 14.0, 15.0))
TWO = Row(20.0, (22.0, 22.5, 23.0, 23.5, 24.0))


def test_rates_and_latencies_of_two_requests():
    found = figures(ONE, TWO)
    assert found["throughput"] == found["offered_throughput"] == 2 * 25 / 100
    assert found["request_rate"] == found["offered_request_rate"] == 2 / 100
    assert found["ttft"].mean == pytest.approx(1.5)  # 1 s and 2 s
    assert found["ttft"].p50 == pytest.approx(1.0, rel=0.008)
    assert found["ttft"].p99 == pytest.approx(2.0, rel=0.008)
    assert found["itl"].mean == pytest.approx(0.75)  # four gaps of 1 s, four of 0.5 s
    assert found["itl"].p50 == pytest.approx(0.5, rel=0.008)
    assert found["tpot"].mean == pytest.approx(0.75)
    assert found["e2e"].mean == pytest.approx(4.5)  # 5 s and 4 s
    assert (found["arrived"], found["finished"], found["failed"], found["verdict"]) == (2, 2, 0, "unknown")


def test_figures_of_adapters():
    found = figures(ONE, TWO._replace(adapter=1), adapters=3)["adapters"]
    assert found["name"].to_list() == ["a0", "a1", "a2"]
    assert found["arrivals"].to_list() == found["finished"].to_list() == [1, 1, 0]
    assert found["throughput"].to_list() == found["offered_throughput"].to_list() == [0.25, 0.25, 0.0]
    assert found["ttft_p99"].to_list()[:2] == [1.0, 2.0]
    assert found["itl_mean"].to_list()[:2] == [1.0, 0.5]
    assert np.isnan(found["itl_mean"][2])


def test_prompts_are_as_long_as_the_server_counted_them():
    found = figures(ONE._replace(prompt_tokens=30), TWO)
    assert found["throughput"] == found["offered_throughput"] == (35 + 25) / 100


def test_tokens_that_come_at_once_have_no_time_between_them():
    found = figures(ONE._replace(tokens=(11.0, 11.0, 13.0, 13.0, 13.0)))
    assert found["itl"].mean == 2.0 / 4
    assert found["itl"].p50 == 0.0
    assert found["tpot"].mean == 2.0 / 4


def test_without_finished_requests_there_are_no_latencies():
    found = figures(Row(10.0))
    assert (found["throughput"], found["offered_throughput"]) == (0.0, 0.25)
    assert all(np.isnan(found[name].mean) for name in ("ttft", "itl", "tpot", "e2e"))
    assert figures()["verdict"] == "ok"  # nothing was due


def test_a_cut_window_leaves_out_what_comes_after_it():
    ends_late = Row(97.0, (98.0, 99.0, 99.5, 101.0, 102.0))
    starts_late = Row(98.0, (101.0, 102.0))
    found = figures(ONE, ends_late, starts_late, ended=103.0)
    assert (found["arrived"], found["finished"]) == (3, 1)
    assert (found["running_at_end"], found["waiting_at_end"], found["never_admitted"]) == (1, 1, 0)
    assert (found["throughput"], found["offered_throughput"]) == (0.25, 0.75)
    assert found["adapters"]["waiting_at_end"].to_list() == [1]


def test_a_drained_window_waits_for_the_last_answer():
    ends_late = Row(97.0, (98.0, 100.0, 105.0, 115.0, 125.0))
    found = figures(ONE, ends_late, window="drain", ended=126.0)
    assert (found["finished"], found["running_at_end"], found["waiting_at_end"]) == (2, 0, 0)
    assert found["throughput"] == 2 * 25 / 125
    assert found["offered_throughput"] == 2 * 25 / 100
    assert found["duration"] == 100.0


def test_warmup_leaves_out_what_is_early():
    over_the_edge = Row(19.0, (19.5, 20.0, 20.5, 21.0, 21.5))  # arrives before its end, finishes after it
    found = figures(ONE, over_the_edge, Row(60.0, (61.0, 62.0, 63.0, 64.0, 65.0)), warmup=20.0)
    assert found["throughput"] == 2 * 25 / 80
    assert found["offered_throughput"] == 1 * 25 / 80
    assert (found["request_rate"], found["offered_request_rate"]) == (2 / 80, 1 / 80)
    assert found["ttft"].mean == pytest.approx(0.75)
    assert (found["arrived"], found["finished"]) == (3, 3)


def test_what_the_client_held_back_does_not_wait_at_the_server():
    unsent = Row(50.0, is_sent=False)
    found = figures(ONE, unsent, max_in_flight=1)
    assert (found["never_admitted"], found["waiting_at_end"]) == (1, 0)
    assert found["adapters"]["waiting_at_end"].to_list() == [1]
    found = figures(ONE, unsent)  # the client is late with it, but holds nothing back
    assert (found["never_admitted"], found["waiting_at_end"]) == (0, 1)


def test_failed_requests_are_counted_by_what_was_said():
    rows = [Row(float(i), error="500: no") for i in range(3)]
    found = figures(ONE, *rows, Row(9.0, (9.5, 9.7), error="broke"), Row(30.0, error="400: too long", is_rejected=True))
    assert (found["arrived"], found["finished"], found["failed"], found["rejected"]) == (6, 1, 4, 1)
    assert found["errors"] == {"500: no": 3, "broke": 1}
    assert list(found["errors"]) == ["500: no", "broke"]
    assert (found["running_at_end"], found["waiting_at_end"]) == (0, 0)
    assert found["offered_throughput"] == 5 * 25 / 100  # of all but the rejected one
    assert found["adapters"]["waiting_at_end"].to_list() == [0]


@pytest.mark.parametrize("window", ["cut", "drain"])
def test_a_server_whose_answers_break_is_starved(window):
    broken = [Row(float(t), (t + 1.0, t + 2.0), error="the connection broke") for t in range(0, 300, 10)]
    whole = [Row(t + 5.0, tuple(t + 5.0 + i for i in range(1, 6))) for t in range(0, 300, 10)]
    found = figures(*broken, *whole, duration=300.0, window=window)
    assert found["verdict"] == "starved"
    assert figures(*whole, duration=300.0, window=window)["verdict"] == "ok"


def test_a_replay_that_ends_early_ends_its_window():
    found = figures(ONE, TWO, Row(30.0), Row(60.0, is_sent=False), ended=40.0, ended_early="dead")
    assert (found["duration"], found["arrived"], found["finished"], found["waiting_at_end"]) == (40.0, 3, 2, 1)
    assert (found["throughput"], found["offered_throughput"]) == (50 / 40, 75 / 40)


def test_a_replay_that_ends_in_its_warmup_or_at_once_has_no_rates():
    for ended in (15.5, 0.0):
        found = figures(ONE, TWO, warmup=20.0, ended=ended, ended_early="dead")
        assert (found["throughput"], found["offered_throughput"]) == (0.0, 0.0)
        assert found["duration"] == ended


def test_what_comes_while_the_results_are_written_has_not_come():
    """After Ctrl-C, the requests go on until the file is written."""
    found = figures(ONE, TWO, window="drain", ended=21.0, ended_early="interrupted")
    assert (found["arrived"], found["finished"], found["waiting_at_end"]) == (2, 1, 1)


kinds = st.sampled_from(["whole", "running", "waiting", "failed", "broken", "rejected", "unsent"])


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 99.0), st.floats(0.0, 60.0), kinds, st.integers(0, 1)), max_size=12),
    st.sampled_from(["cut", "drain"]),
    st.sampled_from([None, 3]),
    st.sampled_from([None, 50.0]),
)
def test_every_request_is_counted_once(told, window, max_in_flight, ended_early):
    rows = []
    for arrival, wait, kind, adapter in told:
        times = tuple(arrival + wait * (i + 1) for i in range(ANSWER))
        tokens = {"whole": times, "running": times[:2], "broken": times[:2]}.get(kind, ())
        error = {"failed": "no", "broken": "broke", "rejected": "too long"}.get(kind, "")
        rows.append(Row(arrival, tokens, adapter, error, kind == "rejected", kind != "unsent"))
    ended = {"ended": ended_early or 500.0, "ended_early": "dead" if ended_early else ""}
    found = figures(*rows, window=window, max_in_flight=max_in_flight, adapters=2, **ended)
    parts = ("finished", "running_at_end", "waiting_at_end", "never_admitted", "rejected", "failed")
    assert found["arrived"] == sum(found[part] for part in parts)
    assert found["adapters"]["waiting_at_end"].sum() == found["waiting_at_end"] + found["never_admitted"]
    assert found["failed"] == sum(found["errors"].values())


@pytest.mark.parametrize("window", ["cut", "drain"])
def test_figures_equal_those_of_a_simulated_run_with_the_same_times(window):
    profile = plain_profile().model_copy(update={"request_latency": 0.0})
    workload = Workload([Adapter("a", 8, 3.0), Adapter("b", 16, 2.0)], lengths={"fixed": [50, 20]}, duration=200.0)
    server = Server(max_loras=1, max_lora_rank=16, max_num_seqs=64, kv_cache_tokens=40_000, max_model_len=4096)
    run = simulate(profile, server, workload, seed=5, window=window, warmup=20.0)
    scenario = make_scenario(profile, server, workload, seed=5, drain=window == "drain", warmup=20.0)
    outcome = play_scenario(profile, workload, scenario).outcome
    answers = []
    for first, last, output in zip(outcome.first_token, outcome.finish, scenario.requests.output, strict=True):
        answers.append(TakenAnswer(sent=START))
        if first != NOT_YET:
            answers[-1].first = START + int(first)
        if last != NOT_YET:
            answers[-1].last = START + int(last)
            answers[-1].gaps.extend([0] * (output - 1))
    sent = Sent(ServerTraffic("server", "http://x", workload, scenario.requests, 5), [], answers)
    loop = open_loop(200.0, drain=window == "drain", ended=outcome.end / NANOSECONDS)
    found = client_figures(loop, sent, window, 20.0)
    assert run.finished > 100
    for name in ("throughput", "offered_throughput", "request_rate", "offered_request_rate", "verdict", "sluggish"):
        assert found[name] == getattr(run, name), name
    for name in ("arrived", "finished", "ttft", "tpot", "e2e"):
        assert found[name] == getattr(run, name), name
    assert found["adapters"].drop("waiting_at_end").equals(run.adapters.drop("waiting_at_end"))


def metrics(running, adapters, steps, **fields):
    sums = {"step_tokens": (10.0 * steps, float(steps))}
    names = tuple(f"a{i}" for i in range(adapters))
    return ServerMetrics(running=running, waiting=2 * running, running_adapters=names, sums=sums, **fields)


def test_figures_of_a_server_are_means_over_its_samples_after_the_warmup():
    sent = Sent(ServerTraffic("server", "http://x", None, None, 0), [], [])
    sent.first_metrics = metrics(0, 0, 100, preemptions=3.0, max_loras=4, kv_cache_tokens=1600)
    sent.last_metrics = metrics(0, 0, 350, preemptions=5.0, max_loras=4)
    sent.samples = [
        (5.0, metrics(1000, 4, 110)),
        (15.0, metrics(2, 1, 120, kv_usage=0.5)),
        (25.0, metrics(4, 2, 130, kv_usage=0.7)),
        (35.0, metrics(1000, 4, 140)),
    ]
    assert server_figures(sent, warmup=10.0, duration=30.0) == {
        "kv_cache_tokens": 1600,
        "max_loras": 4,
        "kv_usage": pytest.approx(0.6),
        "mean_running": 3.0,
        "mean_waiting": 6.0,
        "mean_adapters": 1.5,
        "steps": 250,
        "preemptions": 2,
    }
    sent.last_metrics = None  # it is dead
    assert "steps" not in server_figures(sent, warmup=10.0, duration=30.0)
    sent.first_metrics = None
    assert server_figures(sent, warmup=10.0, duration=30.0) == {}


def test_a_client_that_does_not_keep_up_says_so():
    assert client_complaint(open_loop(10.0, late=[0.001] * 1000, busy=0.5)) == ""
    assert "95% of the time" in client_complaint(open_loop(10.0, late=[], busy=0.95))
    assert "0.2 s late" in client_complaint(open_loop(10.0, late=[0.001] * 50 + [0.2] * 50, busy=0.5))
