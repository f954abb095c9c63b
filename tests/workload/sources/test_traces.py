"""Traces: rate and lengths of the first part of a request log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import SpecError
from adaptwin.workload.sources.traces import MAX_PAIRS, read_trace, representative_pairs, workload_from_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
MOONCAKE = "timestamp_ms,input_length,output_length"
REAL_TRACES = ("azure_2023_conv.csv", "azure_2023_code.csv", "mooncake_2025_conversation.csv")


@pytest.fixture
def trace_file(tmp_path):
    """Return a function that writes a trace and returns its path."""

    def write(header, *rows):
        path = tmp_path / "trace.csv"
        path.write_text("\n".join((header, *rows, "")), encoding="utf-8")
        return path

    return write


@pytest.fixture
def ten_requests(trace_file):
    """Write a trace of one request per second from 0 to 10 s, except at 5 s, with longer prompts in the second half."""
    return trace_file(MOONCAKE, *(f"{t * 1000},{10 if t < 5 else 99},{t + 1}" for t in range(11) if t != 5))


def test_azure_times_are_seconds_since_the_first_request(trace_file):
    rows = ("2023-11-16 23:59:59.5000000,374,44", "2023-11-17 00:00:01.7500000,396,109")
    trace = read_trace(trace_file(AZURE, *rows))
    assert trace.time == pytest.approx([0.0, 2.25])
    assert trace.input.tolist() == [374, 396]
    assert trace.output.tolist() == [44, 109]


def test_azure_times_may_name_their_zone(trace_file):
    rows = ("2024-05-10 00:00:00.25+00:00,1,1", "2024-05-10T02:00:01+02:00,1,1", "2024-05-10 00:00:02,1,1")
    assert read_trace(trace_file(AZURE, *rows)).time == pytest.approx([0.0, 0.75, 1.75])


def test_mooncake_times_are_milliseconds(trace_file):
    assert read_trace(trace_file(MOONCAKE, "500,6,1", "3500,7,2")).time.tolist() == [0.0, 3.0]


def test_requests_are_sorted_by_time(trace_file):
    trace = read_trace(trace_file(MOONCAKE, "9000,3,3", "0,1,1", "3000,2,2", "0,4,4"))
    assert trace.time.tolist() == [0, 0, 3, 9]
    assert trace.input.tolist() == [1, 4, 2, 3]


def test_lengths_of_0_tokens_are_raised_to_1(trace_file):
    trace = read_trace(trace_file(MOONCAKE, "0,0,5", "1,7,0"))
    assert trace.input.tolist() == [1, 7]
    assert trace.output.tolist() == [5, 1]


def test_other_columns_are_ignored(trace_file):
    assert len(read_trace(trace_file(f"id,{MOONCAKE}", "x,0,1,1", "y,1,1,1")).time) == 2


def test_the_rate_is_that_of_the_first_part(ten_requests):
    workload = workload_from_trace(ten_requests, adapters=3, ranks=(8,))
    assert workload.rate == pytest.approx(5 / 5)  # five requests in the first 5 s
    assert workload_from_trace(ten_requests, adapters=3, ranks=(8,), first_part=1.0).rate == pytest.approx(1.0)
    assert workload_from_trace(ten_requests, adapters=3, ranks=(8,), first_part=0.8).rate == pytest.approx(8 / 8)
    assert workload_from_trace(ten_requests, adapters=3, ranks=(8,), first_part=0.41).rate == pytest.approx(5 / 4.1)


def test_rate_scale_multiplies_every_rate(ten_requests):
    one, three = (workload_from_trace(ten_requests, adapters=4, ranks=(8,), rate_scale=s) for s in (1, 3))
    assert [a.rate for a in three.adapters] == pytest.approx([3 * a.rate for a in one.adapters])


def test_lengths_are_those_of_the_first_part(ten_requests):
    lengths = workload_from_trace(ten_requests, adapters=3, ranks=(8,)).lengths
    assert lengths.pairs == ((10, 1), (10, 2), (10, 3), (10, 4), (10, 5))


def test_the_traffic_is_distributed_by_popularity(ten_requests):
    fields = {"popularity": "zipf:1", "base_share": 0.25, "duration": 60.0, "seed": 3}
    workload = workload_from_trace(ten_requests, adapters=2, ranks=(8, 16), **fields)
    assert [(a.name, a.rank) for a in workload.adapters] == [("a000", 8), ("a001", 16), ("base", 0)]
    assert [a.rate for a in workload.adapters] == pytest.approx([0.5, 0.25, 0.25])
    assert (workload.duration, workload.seed, workload.arrivals) == (60.0, 3, "poisson")


def test_few_pairs_are_all_kept_in_ascending_order_of_total():
    pairs = representative_pairs(np.array([5, 1, 3]), np.array([1, 1, 9]))
    assert pairs.tolist() == [[1, 1], [5, 1], [3, 9]]


@given(seed=st.integers(0, 10_000), count=st.integers(MAX_PAIRS + 1, 4000), spread=st.floats(0.1, 1.5))
@settings(max_examples=30, deadline=None)
def test_a_selection_of_pairs_keeps_both_means(seed, count, spread):
    generator = np.random.default_rng(seed)
    tokens = np.maximum(1, np.exp(spread * generator.standard_normal((count, 2))) * [800, 150]).astype(np.int64)
    pairs = representative_pairs(tokens[:, 0], tokens[:, 1])
    assert pairs.shape == (MAX_PAIRS, 2)
    assert {*map(tuple, pairs)} <= {*map(tuple, tokens)}
    assert np.all(np.diff(pairs.sum(axis=1)) >= 0)
    assert pairs.mean(axis=0) == pytest.approx(tokens.mean(axis=0), rel=0.01)


def test_one_request_may_outweigh_all_others():
    inputs = np.ones(1000, dtype=np.int64)
    inputs[500] = 10**6
    assert representative_pairs(inputs, np.ones(1000, dtype=np.int64)).shape == (MAX_PAIRS, 2)


@pytest.mark.parametrize("name", REAL_TRACES)
@pytest.mark.parametrize("first_part", [0.1, 0.5, 1.0])
def test_a_real_trace_keeps_its_rate_and_means(shared_data, name, first_part):
    path = shared_data / "traces" / name
    trace = read_trace(path)
    seen = trace.until(first_part * trace.span)
    workload = workload_from_trace(path, adapters=128, ranks=(8, 16, 32), base_share=0.1, first_part=first_part)
    assert workload.rate == pytest.approx(len(seen.time) / (first_part * trace.span))
    assert len(workload.lengths.pairs) == MAX_PAIRS
    assert workload.lengths.mean_input == pytest.approx(seen.input.mean(), rel=0.01)
    assert workload.lengths.mean_output == pytest.approx(seen.output.mean(), rel=0.01)


@pytest.mark.parametrize("name", REAL_TRACES)
def test_a_real_trace_keeps_its_spread(shared_data, name):
    trace = read_trace(shared_data / "traces" / name)
    pairs = representative_pairs(trace.input, trace.output)
    assert pairs[:, 0].std() == pytest.approx(trace.input.std(), rel=0.03)
    assert pairs[:, 1].std() == pytest.approx(trace.output.std(), rel=0.15)
    assert np.median(pairs, axis=0) == pytest.approx([np.median(trace.input), np.median(trace.output)], rel=0.1, abs=3)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("a,b,c", (), "unknown trace format (needed: TIMESTAMP,ContextTokens,GeneratedTokens or timestamp_ms,"),
        ("TIMESTAMP,ContextTokens", (), "GeneratedTokens: missing column"),
        ("input_length,output_length", (), "timestamp_ms: missing column"),
        (MOONCAKE, (), "too few requests: 0 (at least 2 needed)"),
        (MOONCAKE, ("0,1,1",), "too few requests: 1 (at least 2 needed)"),
        (MOONCAKE, ("5,1,1", "5,2,2"), "all 2 requests arrive at the same time"),
        (MOONCAKE, ("0,1,1", "soon,1,1"), "line 3: timestamp_ms: 'soon' is not a number"),
        (AZURE, ("2023-11-16 18:15:46,1,1", "yesterday,1,1"), "line 3: TIMESTAMP: 'yesterday' is not a time"),
        (MOONCAKE, ("0,1,1", ",1,1"), "line 3: timestamp_ms: missing"),
        (MOONCAKE, ("0,many,1",), "line 2: input_length: 'many' is not a number"),
        (MOONCAKE, ("0,1,1.5",), "line 2: output_length: '1.5' is not a whole number"),
        (MOONCAKE, ("0,1,-4",), "line 2: output_length: -4 must be at least 0 tokens"),
        (MOONCAKE, ("0,-2,4",), "line 2: input_length: -2 must be at least 0 tokens"),
    ],
)
def test_what_is_wrong_in_a_trace_is_named_with_its_place(trace_file, header, rows, message):
    path = trace_file(header, *rows)
    with pytest.raises(SpecError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_trace_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: no such file"):
        workload_from_trace(tmp_path / "none.csv", adapters=1, ranks=(8,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first_part": 0.0}, "first_part: 0 must be above 0 and at most 1"),
        ({"first_part": 1.1}, "first_part: 1.1 must be above 0 and at most 1"),
        ({"rate_scale": 0.0}, "rate_scale: 0 must be above 0"),
        ({"adapters": 0}, "adapters: 0 must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(ten_requests, fields, message):
    with pytest.raises(SpecError, match=message):
        workload_from_trace(ten_requests, **{"adapters": 1, "ranks": (8,), **fields})
