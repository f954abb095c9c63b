"""Traces: arrivals and lengths of the busiest window of a request log."""

import json
import math

import numpy as np
import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.representative_lengths import representative_pairs
from adaptwin.workload.sources.traces import read_trace, trace_window, workload_from_trace

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
def twenty_requests(trace_file):
    """Write a trace of two requests per second for 10 s; prompts of 10 tokens, from 5 s on 99; answers of 1, 2 ..."""
    return trace_file(MOONCAKE, *(f"{t * 500},{10 if t < 10 else 99},{t + 1}" for t in range(20)))


@pytest.fixture
def a_day(trace_file):
    """Write a trace of a request per minute for 24 h, and one per second from 10:30 to 11:00."""
    quiet = range(0, 24 * 3600, 60)
    busy = (second for second in range(37800, 39600) if second % 60)
    return trace_file(MOONCAKE, *(f"{second * 1000},100,10" for second in (*quiet, *busy)))


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


def test_published_mooncake_files_are_json_lines(tmp_path):
    path = tmp_path / "conversation_trace.jsonl"
    rows = ({"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]},
            {"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46]})  # fmt: skip
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    trace = read_trace(path)
    assert trace.time == pytest.approx([0.0, 3.053])
    assert (trace.input.tolist(), trace.output.tolist()) == ([6955, 6472], [52, 26])


def test_a_line_that_is_no_json_object_is_named(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 0, "input_length": 1, "output_length": 1}\n[]\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"trace\.jsonl: line 2: is not a JSON object"):
        read_trace(path)


def test_json_lines_without_a_key_name_it(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 0, "input_length": 1}\n', encoding="utf-8")
    with pytest.raises(
        SpecError, match=r"line 1: output_length: missing key \(needed: timestamp, input_length, output"
    ):
        read_trace(path)


def test_timestamps_and_lengths_are_kept_request_by_request(twenty_requests):
    workload = workload_from_trace(twenty_requests, adapters=3, ranks=(8,))
    assert workload.arrivals == tuple(t / 2 for t in range(20))
    assert workload.lengths.pairs == tuple((10 if t < 10 else 99, t + 1) for t in range(20))
    assert workload.duration == 10.0  # the last second is the one in which the last request arrives, at 9.5 s
    assert workload.rate == 2.0


def test_each_request_keeps_its_lengths_when_it_is_dealt_to_an_adapter(twenty_requests):
    workload = workload_from_trace(twenty_requests, adapters=3, ranks=(8,)).dealt()
    requests = [
        (time, pair[1])
        for adapter in workload.adapters if adapter.arrivals
        for time, pair in zip(adapter.arrivals, adapter.lengths.pairs, strict=True)
    ]  # fmt: skip
    assert sorted(requests) == [(t / 2, t + 1) for t in range(20)]


def test_the_busiest_hour_is_taken(a_day):
    window = trace_window(a_day)
    assert window.figures.start == 36000.0  # the first of the hours that hold all of the busy half hour
    assert window.figures.kept == 1770 + 60
    assert (window.figures.before, window.figures.after) == (600, 1440 - 600 - 60)
    assert window.figures.requests == window.figures.before + window.figures.kept + window.figures.after
    assert window.figures.mean_rate == pytest.approx(1830 / 3600)
    assert window.figures.peak_rate == 1.0
    workload = window.workload(adapters=3, ranks=(8,))
    assert workload.duration == 3600.0
    assert workload.arrivals[:2] == (0.0, 60.0)
    assert workload.rate == pytest.approx(1830 / 3600)


def test_windows_have_the_length_that_is_asked_for(a_day):
    busy = trace_window(a_day, busiest=1800.0)
    assert (busy.figures.start, busy.figures.kept) == (37800.0, 1800)
    whole = trace_window(a_day, busiest=math.inf)
    assert (whole.figures.kept, whole.figures.before, whole.figures.after) == (1440 + 1770, 0, 0)
    assert whole.recording.duration == 86341.0  # the last request arrives at 23:59:00


def test_a_window_ends_with_the_trace_at_the_latest(trace_file):
    rows = [f"{second * 1000},10,1" for second in (*range(0, 100, 10), *range(100, 130))]
    figures = trace_window(trace_file(MOONCAKE, *rows), busiest=60.0).figures
    assert (figures.start, figures.kept) == (70.0, 33)
    assert figures.start + figures.window <= 130.0


def test_the_window_lies_in_the_first_part(a_day):
    morning = trace_window(a_day, first_part=0.25)
    assert (morning.figures.kept, morning.figures.start) == (60, 0.0)
    assert morning.figures.after == 1440 + 1770 - 60


def test_rate_scale_multiplies_the_requests(twenty_requests):
    one, three, half = (workload_from_trace(twenty_requests, adapters=4, ranks=(8,), rate_scale=s) for s in (1, 3, 0.5))
    assert [adapter.rate for adapter in three.adapters] == pytest.approx([3 * adapter.rate for adapter in one.adapters])
    assert len(three.arrivals) == 60
    assert set(one.arrivals) <= set(three.arrivals)
    assert set(half.arrivals) <= set(one.arrivals)
    assert (one.rate, three.rate, half.rate) == pytest.approx((2.0, 6.0, 1.0))
    assert three.lengths.mean_output == one.lengths.mean_output


def test_the_traffic_is_distributed_by_popularity(twenty_requests):
    fields = {"popularity": "zipf:1", "base_share": 0.25, "seed": 3}
    workload = workload_from_trace(twenty_requests, adapters=2, ranks=(8, 16), **fields)
    assert [(a.name, a.rank) for a in workload.adapters] == [("a000", 8), ("a001", 16), ("base", 0)]
    assert [a.rate for a in workload.adapters] == pytest.approx([1.0, 0.5, 0.5])
    assert workload.seed == 3


def test_lengths_of_0_tokens_are_counted(trace_file):
    rows = [f"{t * 100},{t % 4},{t % 2}" for t in range(20)]
    assert trace_window(trace_file(MOONCAKE, *rows)).figures.raised == 5 + 10


def test_few_requests_in_the_window_say_nothing_about_a_rate(trace_file):
    rows = [f"{t * 1000},10,1" for t in range(9)]
    with pytest.raises(SpecError, match=r"too few requests: 9 in 9 s \(at least 10 needed\)"):
        workload_from_trace(trace_file(MOONCAKE, *rows), adapters=1, ranks=(8,))
    with pytest.raises(SpecError, match=r"too few requests: 2 in 1 s"):
        workload_from_trace(trace_file(MOONCAKE, "0,1,1", "700,1,1"), adapters=1, ranks=(8,))


@pytest.mark.parametrize(
    ("at", "stray", "days"),
    [(7, "1970-01-01 00:00:00", "19,678 days"), (0, "2099-11-16 18:00:00", "27,759 days")],
)
def test_a_time_years_away_from_all_others_is_named(trace_file, at, stray, days):
    rows = [f"2023-11-16 18:{t:02}:00,374,44" for t in range(20)]
    rows.insert(at, f"{stray},374,44")
    path = trace_file(AZURE, *rows)
    with pytest.raises(SpecError, match=rf"trace\.csv: line {at + 2}: TIMESTAMP: '{stray}' is {days} away"):
        read_trace(path)


@pytest.mark.parametrize("name", REAL_TRACES)
@pytest.mark.parametrize("first_part", [0.1, 0.5, 1.0])
def test_a_real_trace_is_kept_as_it_is(shared_data, name, first_part):
    path = shared_data / "traces" / name
    trace = read_trace(path)
    seen = trace.window(0.0, first_part * trace.duration)
    workload = workload_from_trace(path, adapters=128, ranks=(8, 16, 32), base_share=0.1, first_part=first_part)
    assert workload.rate == pytest.approx(len(seen.time) / (first_part * trace.duration))
    assert workload.arrivals == pytest.approx(seen.time, abs=1e-4)
    assert workload.lengths.pairs == tuple(zip(seen.input.tolist(), seen.output.tolist(), strict=True))


@pytest.mark.parametrize("name", REAL_TRACES)
def test_a_real_trace_that_is_kept_as_rates_keeps_its_means(shared_data, tmp_path, name):
    path = shared_data / "traces" / name
    window = trace_window(path)
    workload = window.workload(adapters=128, ranks=(8,), keep="rates", rates_file=tmp_path / "r.csv")
    assert workload.rate == pytest.approx(window.figures.mean_rate, rel=0.001)
    assert workload.lengths.mean_input == pytest.approx(window.figures.mean_input, rel=0.01)
    assert workload.lengths.mean_output == pytest.approx(window.figures.mean_output, rel=0.01)


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
        (MOONCAKE, ("0,NaN,1",), "line 2: input_length: 'NaN' is not a finite number"),
        (
            MOONCAKE,
            ("0,99999999999999999999,1",),
            "line 2: input_length: 99999999999999999999 must be at most 10,000,000",
        ),
        (MOONCAKE, ("NaN,1,1",), "line 2: timestamp_ms: 'NaN' is not a finite number"),
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
        ({"busiest": 0.0}, "busiest: 0 must be above 0"),
        ({"busiest": math.nan}, "busiest: nan must be above 0"),
        ({"rate_scale": 0.0}, "rate_scale: 0 must be above 0"),
        ({"rate_scale": 0.01}, "rate_scale: 0.01 leaves none of the 20 requests"),
        ({"rate_scale": 1e5, "keep": "timestamps"}, "keep: timestamps of 2000000 requests are too many"),
        ({"keep": "rates"}, "rates_file: missing: 20 requests are kept as rates"),
        ({"adapters": 0}, "adapters: 0 must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(twenty_requests, fields, message):
    with pytest.raises(SpecError, match=message):
        workload_from_trace(twenty_requests, **{"adapters": 1, "ranks": (8,), **fields})
