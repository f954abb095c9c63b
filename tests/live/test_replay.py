"""replay against stand-in servers: what is sent, and what is noted of the answers."""

import time

import pytest
from tests.live.test_traffic import plan_on

from adaptwin import SpecError, Workload
from adaptwin.live import open_loop
from adaptwin.live.prompts import PromptsOfFile, RandomPrompts
from adaptwin.live.replay import replay
from adaptwin.live.traffic import traffic_of_fleet, traffic_of_plan
from adaptwin.workload.drawing.requests import draw_requests

LONG = 60.0  # seconds in which something happens on the slowest machine


def fleet_of(*adapters, duration=2.0, lengths=(20, 5), **fields):
    """Make a workload of adapters given as name and rate, or name and times of arrival."""
    rows = [
        {"name": name, "rank": 0 if name == "base" else 8, "rate": 1.0, "arrivals": tuple(when)}
        if isinstance(when, (list, tuple))
        else {"name": name, "rank": 0 if name == "base" else 8, "rate": when}
        for name, when in adapters
    ]
    lengths = {"fixed": list(lengths)} if isinstance(lengths, tuple) else lengths
    return Workload.parse({"adapters": rows, "duration": duration, "lengths": lengths, **fields})


def replayed(servers, workload, *, window="drain", timeout=LONG, sample_every=0.05, **settings):
    """Replay a workload to servers in turn, and return the results; with one server also its run."""
    servers = servers if isinstance(servers, list) else [servers]
    traffic = traffic_of_fleet(workload, [server.url for server in servers], 0, None, None)
    routing = "one server" if len(servers) == 1 else "round-robin"
    found = replay(traffic, routing=routing, window=window, timeout=timeout, sample_every=sample_every, **settings)
    return found, found.runs[0]


def numbers_of(server, prompts, requests):
    """Return the number of each request that a server got, by its prompt."""
    number = {tuple(prompts.prompt(i, int(tokens))): i for i, tokens in enumerate(requests.input)}
    return [number[tuple(got.fields["prompt"])] for got in server.received]


def test_what_is_sent_is_what_is_drawn(serve):
    lengths = {"lognormal": {"input_mean": 40, "input_cv": 1.0, "output_mean": 6, "output_cv": 1.0}}
    workload = fleet_of(("a0", 24.0), ("a1", 16.0), ("base", 10.0), duration=1.0, lengths=lengths)
    server, prompts, began = serve(step=0.002), RandomPrompts(7), time.perf_counter()
    _, run = replayed(server, workload, prompts=prompts)
    drawn = draw_requests(workload, 0)
    numbers = numbers_of(server, prompts, drawn)
    assert sorted(numbers) == list(range(len(drawn.arrival)))
    assert len(numbers) > 20
    for number, got in zip(numbers, server.received, strict=True):
        assert got.fields["model"] == ("a0", "a1", "base-model")[drawn.adapter[number]]
        assert got.fields["max_tokens"] == got.fields["min_tokens"] == drawn.output[number]
        assert got.fields["ignore_eos"]
        assert got.time >= began + drawn.arrival[number] / 1e9  # never before it is due
    assert (run.arrived, run.finished, run.failed) == (len(numbers), len(numbers), 0)
    assert run.adapters["arrivals"].to_list() == [list(drawn.adapter).count(a) for a in range(3)]


def test_figures_of_a_server_with_a_known_step(serve):
    server = serve(step=0.05)
    found, run = replayed(server, fleet_of(("a0", [0.0, 0.3, 0.6]), ("a1", [0.4]), duration=1.0, lengths=(20, 10)))
    assert (run.arrived, run.finished, found.ended_early) == (4, 4, "")
    assert run.throughput == pytest.approx(30 * run.request_rate)  # 20 tokens of the prompt and 10 of the answer
    assert run.offered_throughput == 4 * 30 / 1.0
    total, count = server.engine.sums["inter_token_latency_seconds"]
    assert count == 4 * 9
    assert 0 < run.itl.mean < 2 * total / count  # the server sees the gaps before a client that is late
    assert run.itl.mean == pytest.approx(run.tpot.mean, rel=1e-6)
    assert run.e2e.mean == pytest.approx(run.ttft.mean + 9 * run.tpot.mean, rel=1e-6)
    assert 0.04 < run.ttft.mean < LONG
    assert run.steps == server.engine.sums["iteration_tokens_total"][1]
    assert (run.vllm_version, run.base_model, run.kv_cache_tokens, run.max_loras) == ("0.32.0", "base-model", 16000, 8)
    assert run.preemptions == 0
    assert 0 < run.mean_running <= 4
    assert 0 < run.mean_adapters <= 2
    assert 0 < run.kv_usage < 1


def test_adapters_wait_for_a_slot(serve):
    server = serve(step=0.02, max_loras=1)
    _, run = replayed(server, fleet_of(("a0", [0.0, 0.001]), ("a1", [0.0, 0.001]), duration=0.1))
    assert (run.finished, server.engine.most_adapters, run.max_loras) == (4, 1, 1)


def test_requests_over_the_limit_wait_and_count_from_when_they_were_due(serve):
    server = serve(step=0.02)
    times = [0.001 * i for i in range(8)]
    found, run = replayed(server, fleet_of(("a0", times), duration=0.1, lengths=(20, 10)), max_in_flight=2)
    assert (run.finished, server.engine.most_running, found.client.most_in_flight) == (8, 2, 2)
    assert run.ttft.p99 > 3 * 10 * 0.02 * 0.9  # three pairs of requests are answered before
    assert found.client.max_in_flight == 2


def test_what_is_held_back_at_the_end_was_never_admitted(serve):
    server = serve(step=5.0)
    found, run = replayed(server, fleet_of(("a0", [0.1, 0.11, 0.12]), duration=0.5), window="cut", max_in_flight=1)
    assert (run.never_admitted, run.waiting_at_end, run.arrived, run.finished) == (2, 1, 3, 0)
    assert len(server.received) == 1
    assert found.ended_early == ""


def test_a_cut_window_gives_up_what_is_not_answered(serve):
    server = serve(step=0.05)
    began = time.perf_counter()
    _, run = replayed(server, fleet_of(("a0", [0.0, 0.1]), duration=1.0, lengths=(20, 4000)), window="cut")
    assert (run.running_at_end + run.waiting_at_end, run.finished, run.failed) == (2, 0, 0)
    assert 1.0 < time.perf_counter() - began < LONG  # the answers would take 200 s


def test_warmup_leaves_out_the_beginning(serve):
    workload = fleet_of(("a0", [0.1, 0.2, 0.3, 0.9]), duration=1.2)
    _, run = replayed(serve(), workload, warmup=0.6, window="cut")
    assert run.arrived == 4
    assert run.offered_request_rate == pytest.approx(1 / 0.6)
    assert run.adapters["arrivals"].to_list() == [1]
    with pytest.raises(SpecError, match=r"warmup: 0.7 must be from 0 to 0.6"):
        replayed(serve(), workload, warmup=0.7)


def test_tokens_that_come_in_one_chunk_are_all_counted(serve):
    server = serve(tokens_per_chunk=5)
    _, run = replayed(server, fleet_of(("a0", [0.0, 0.05]), duration=0.1, lengths=(20, 15)))
    assert (run.finished, run.failed) == (2, 0)
    assert run.itl.p50 == 0.0  # 12 of 14 gaps
    assert run.itl.p99 > 0.01


def test_tokens_that_only_the_last_event_counts_are_counted(serve):
    server = serve(tokens_per_chunk=4, counts_in_chunks=False)
    _, run = replayed(server, fleet_of(("a0", [0.0, 0.05]), duration=0.1, lengths=(20, 10)))
    assert (run.finished, run.failed) == (2, 0)


def test_requests_go_to_one_server_after_the_other(serve):
    servers, prompts = [serve(), serve()], RandomPrompts(7)
    workload = fleet_of(("a0", 20.0), ("a1", 20.0), duration=0.5)
    found, _ = replayed(servers, workload, prompts=prompts)
    drawn = draw_requests(workload, 0)
    for place, (server, run) in enumerate(zip(servers, found.runs, strict=True)):
        theirs = type(drawn)(*(column[place::2] for column in drawn))
        assert sorted(numbers_of(server, prompts, theirs)) == list(range(len(theirs.arrival)))
        assert (run.url, run.arrived, run.finished) == (server.url, len(theirs.arrival), len(theirs.arrival))
        assert not run.draws_own_requests
    assert found.routing == "round-robin"


def test_the_traffic_of_a_plan_goes_to_the_right_servers(serve, h100):
    workload = fleet_of(("a0", 8.0), ("a1", 8.0), ("base", 4.0), duration=1.0)
    plan = plan_on(h100, workload, {"a0": 1.0, "a1": 0.5}, {"a1": 0.5, "base": 1.0})
    servers = [serve(["a0", "a1"]), serve(["a1"])]
    urls = [f"gpu-1={servers[1].url}", servers[0].url]
    traffic = traffic_of_plan(plan, urls, 3, None, "plan")
    found = replay(traffic, routing="plan", window="drain")
    models = [{got.fields["model"] for got in server.received} for server in servers]
    assert models == [{"a0", "a1"}, {"a1", "base-model"}]
    assert [run.name for run in found.runs] == ["gpu-0", "gpu-1"]
    assert [run.arrived for run in found.runs] == [len(server.received) for server in servers]
    assert all(
        run.failed == 0 and run.draws_own_requests and run.server == plan.servers[0].server for run in found.runs
    )


def test_prompts_of_a_file_are_sent_in_turn_and_counted_by_the_server(serve, tmp_path):
    (tmp_path / "prompts.txt").write_text("one two three\nfour five\n")
    server = serve()
    prompts = PromptsOfFile(tmp_path / "prompts.txt")
    _, run = replayed(server, fleet_of(("a0", [0.0, 0.1, 0.15]), duration=0.2), prompts=prompts)
    got = sorted(got.fields["prompt"] for got in server.received)
    assert got == ["four five", "one two three", "one two three"]
    assert run.offered_throughput == pytest.approx((3 + 2 + 3 + 3 * 5) / 0.2)


def test_two_replays_have_different_random_prompts(serve):
    """The server may keep those of the first in its prefix cache."""
    server = serve()
    for _ in range(2):
        replayed(server, fleet_of(("a0", [0.0]), duration=0.1))
    one, two = (got.fields["prompt"] for got in server.received)
    assert len(one) == len(two) == 20
    assert one[:16] != two[:16]


def test_without_metrics_the_answers_are_measured_all_the_same(serve):
    found, run = replayed(serve(metrics_are_missing=True), fleet_of(("a0", [0.0, 0.1]), duration=0.2))
    assert (run.finished, found.ended_early) == (2, "")
    assert run.mean_running is run.steps is run.kv_cache_tokens is None


def test_requests_that_are_too_long_are_rejected_and_no_failure(serve):
    found, run = replayed(serve(), fleet_of(("a0", 80.0), duration=0.5, lengths=(5000, 5)))
    assert run.rejected == run.arrived > 20
    assert (run.failed, found.ended_early) == (0, "")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (b"data: {half\n\n", "an event of the stream is no JSON object"),
        (b"data: \xff\xfe\n\n", "an event of the stream is no JSON object"),
        (b"data: 5\n\n", "an event of the stream is no JSON object"),
        (b"data: " + b"x" * (3 << 20), "an event of the stream is longer than 1,048,576 bytes"),
        (b'data: {"error": {"message": "EngineCore\\u001b[0m died", "code": 500}}\n\n', r"EngineCore\x1b[0m died"),
        (b'data: {"choices": [{}], "usage": {"completion_tokens": 1000000000}}\n\n', "the answer has more than the 5"),
        (b'data: {"choices": [{}], "usage": {"completion_tokens": 6}}\n\n', "the answer has more than the 5 tokens"),
    ],
)
def test_a_stream_that_goes_wrong_fails_its_request(serve, event, error):
    _, run = replayed(serve(odd_event=event), fleet_of(("a0", [0.0, 0.05]), duration=0.1))
    assert (run.finished, run.failed, run.running_at_end + run.waiting_at_end) == (0, 2, 0)
    (said,) = run.errors
    assert said.startswith(error)


@pytest.mark.parametrize(
    "event",
    [
        b": comment\n\n",
        b"event: ping\r\ndata:\t[DONE] \r\n\r\n",
        b'data: {"choices": [], "usage": {"completion_tokens": "many", "prompt_tokens": -3}}\n\n',
        b'data: {"choices": [], "usage": 5, "error": null}\n\n',
    ],
)
def test_what_says_nothing_of_tokens_does_no_harm(serve, event):
    _, run = replayed(serve(odd_event=event), fleet_of(("a0", [0.0, 0.05]), duration=0.1))
    assert (run.finished, run.failed) == (2, 0)
    assert run.throughput == pytest.approx(25 * run.request_rate)


def test_comments_do_not_keep_a_request_alive(serve):
    _, run = replayed(serve(pings=True), fleet_of(("a0", [0.0]), duration=0.1), timeout=2.0)
    assert run.errors == {"no token within 2 s": 1}


def test_one_lost_adapter_does_not_end_the_replay_while_others_are_answered(serve):
    """Its requests fail at once, more in a row than end a replay, while all others wait for their last token."""
    lost = [0.1 + 0.01 * i for i in range(60)]
    server = serve(step=0.02, loses="a1")
    found, run = replayed(server, fleet_of(("a0", [0.0]), ("a1", lost), duration=0.8, lengths=(20, 60)))
    assert (run.finished, run.failed, found.ended_early) == (1, 60, "")
    assert run.errors == {"404: The model `a1` does not exist.": 60}


def test_metrics_that_hang_do_not_end_the_replay_while_tokens_come(serve, monkeypatch):
    monkeypatch.setattr(open_loop, "MOST_MISSED_SAMPLES", 1)
    server = serve(step=0.02, hangs=frozenset({"metrics"}))
    workload = fleet_of(("a0", 5.0), duration=1.5, lengths=(20, 20))
    found, run = replayed(server, workload, timeout=1.0, sample_every=0.05)
    assert found.ended_early == ""
    assert run.finished > 0
    assert run.mean_running is None


@pytest.mark.parametrize("metrics_are_missing", [False, True])
def test_a_server_that_dies_is_noticed_though_nothing_is_sent(serve, metrics_are_missing):
    server = serve(dies_at=2, metrics_are_missing=metrics_are_missing)
    began = time.perf_counter()
    found, run = replayed(server, fleet_of(("a0", [0.0, 0.5, 280.0]), duration=300.0))
    assert time.perf_counter() - began < LONG
    assert "cannot be reached: connection refused" in found.ended_early
    assert (run.arrived, run.finished, run.failed) == (2, 1, 1)
    assert run.duration < LONG


def test_one_dead_server_of_two_ends_the_replay_of_both(serve):
    found, _ = replayed([serve(), serve(dies_at=3)], fleet_of(("a0", 20.0), duration=120.0))
    assert found.ended_early
    assert found.runs[1].url in found.ended_early
    assert found.runs[0].finished >= 2
    assert found.runs[0].duration == found.runs[1].duration < LONG


def test_a_replay_without_requests_is_one(serve):
    found, run = replayed(serve(), fleet_of(("a0", [0.9]), duration=0.1))
    assert (run.arrived, run.verdict, found.client.most_in_flight) == (0, "ok", 0)
