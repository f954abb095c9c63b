"""Request logs: formats, columns, times, and rows that cannot be used."""

import gzip
import itertools
import json
import random

import numpy as np
import polars as pl
import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.request_log.request_log import LogColumns, read_request_log

ENVOY = {
    "gen_ai.request.model": "a",
    "gen_ai.usage.input_tokens": 15,
    "gen_ai.usage.output_tokens": 7,
    "path": "/v1/chat/completions",
}
ROW = {"time": "2026-01-01T00:00:00Z", "model": "a", "prompt_tokens": 10, "completion_tokens": 5}
OPENAI = {"object": "chat.completion", "model": "a"}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def json_lines(*rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def csv_text(*rows, separator=","):
    return "\n".join(separator.join(map(str, row)) for row in rows) + "\n"


def at(second, **fields):
    return {**ROW, "time": f"2026-01-01T00:00:{second:02}Z", **fields}


def test_envoy_writes_keys_with_dots_and_null_or_a_dash_for_nothing(write):
    lines = json_lines(
        {"start_time": "2025-08-30T16:51:37.894Z", "response_code": 200, **ENVOY},
        {"start_time": "2025-08-30T16:51:38.894Z", "response_code": 0, **ENVOY},
        {"start_time": "2025-08-30T16:51:39.394Z", "response_code": 200, **ENVOY, "gen_ai.request.model": None},
        {"start_time": "2025-08-30T16:51:39.394Z", "response_code": 200, **ENVOY, "gen_ai.request.model": "-"},
        {"start_time": "2025-08-30T16:51:40.394Z", "response_code": 200, **ENVOY, "gen_ai.request.model": "b"},
    )
    log = read_request_log([write("envoy.jsonl", lines)])
    assert (log.time.tolist(), log.names) == ([0.0, 2.5], ("a", "b"))
    assert log.left_out == {"names no model": 2, "failed: status 0": 1}


def test_answers_of_openai_nest_their_usage(write):
    rows = [
        {**OPENAI, "created": 1767225600 + second, "usage": {"prompt_tokens": 9, "completion_tokens": second + 1}}
        for second in range(3)
    ]
    log = read_request_log([write("answers.jsonl", json_lines(*rows))])
    assert (log.time.tolist(), log.output.tolist()) == ([0, 1, 2], [1, 2, 3])


def test_usage_buckets_of_openai_stand_for_several_requests(write):
    result = {"object": "organization.usage.completions.result", "input_tokens": 600, "output_tokens": 120}
    results = [{**result, "num_model_requests": 6, "model": "a"}, {**result, "num_model_requests": 2, "model": "b"}]
    start = 1767225600
    buckets = [{"start_time": start + t, "end_time": start + t + 60, "results": results} for t in range(0, 600, 60)]
    log = read_request_log([write("usage.json", json.dumps({"object": "page", "data": buckets}))])
    counts = np.bincount(log.adapter)
    assert (counts.tolist(), set(log.input[log.adapter == 0]), set(log.input[log.adapter == 1])) == (
        [60, 20], {100}, {300},
    )  # fmt: skip
    assert 590 < log.time[-1] <= 600
    assert log.assumed == ("the requests of a bucket come at random times in it, with its mean lengths",)


def test_requests_of_a_server_of_vllm(write):
    params = "params: SamplingParams(n=1, max_tokens=512), prompt_token_ids: [1, 2, 3], lora_request:"
    lora = "LoRARequest(lora_name='sql', lora_int_id=1, lora_path='/l')"
    where, answered = "[logger.py:43] Received request", "INFO 01-01 00:00:03 [logger.py:67] Generated response"
    lines = (
        "INFO 12-31 23:59:58 [api_server.py:1] vLLM API server version 0.11.0",
        f"INFO 12-31 23:59:59 {where} cmpl-1-0: prompt: 'say lora_request: None', {params} {lora}.",
        f"(APIServer pid=7) INFO 01-01 00:00:01 {where} chatcmpl-2: prompt: 'x', {params} None.",
        f"INFO 01-01 00:00:02 {where} chatcmpl-3: prompt: None, {params} {lora}.",
        f"{answered} cmpl-1: output: 'Received request ', output_token_ids: [5, 6], finish_reason: stop",
        f"{answered} chatcmpl-2 (streaming delta): output: 'a', output_token_ids: [5], finish_reason: None",
        f"{answered} chatcmpl-2 (streaming delta): output: 'b', output_token_ids: [6, 7, 8], finish_reason: None",
        f"{answered} chatcmpl-2 (streaming complete): output: 'ab', output_token_ids: None, finish_reason: x",
    )
    path = write("vllm.log", "\n".join(lines))
    log = read_request_log([path])
    assert (log.time.tolist(), log.names) == ([0.0, 2.0], ("(base model)", "sql"))
    assert (log.adapter.tolist(), log.input.tolist(), log.output.tolist()) == ([1, 0], [3, 3], [2, 4])
    assert log.left_out == {"has no token counts": 1}
    assert len(read_request_log([path], lengths_needed=False).time) == 3


def test_later_versions_of_vllm_log_prompts_as_details(write):
    lines = [
        f"DEBUG 03-01 00:00:0{second} [logger.py:40] Request chatcmpl-{second} details: prompt: 'x', "
        f"prompt_token_ids: {list(range(second + 1))}, prompt_embeds shape: None.\n"
        f"INFO 03-01 00:00:0{second} [logger.py:50] Received request chatcmpl-{second}: params: SamplingParams(n=1), "
        f"lora_request: None.\n"
        f"INFO 03-01 00:00:0{second} [logger.py:67] Generated response chatcmpl-{second}: output: 'x', "
        f"output_token_ids: [1], finish_reason: stop"
        for second in range(4)
    ]
    log = read_request_log([write("vllm.log", "\n".join(lines))])
    assert (log.time.tolist(), log.input.tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])


def test_an_access_log_that_is_not_json_is_refused(write):
    line = '10.0.0.9 - - [06/Aug/2026:14:30:00 +0000] "POST /v1/completions HTTP/1.1" 200 812 "-" "curl"\n'
    with pytest.raises(SpecError, match=r"access\.log: line 1: this access log is not JSON: it names neither model"):
        read_request_log([write("access.log", line * 3)])


def test_dates_as_nginx_writes_them_by_default(write):
    rows = [{**ROW, "time": f"06/Aug/2026:14:30:0{second} +0200"} for second in range(3)]
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert (log.time.tolist(), log.start) == ([0, 1, 2], 1786019400.0)


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_numbers_since_1970_show_their_unit(write, per_second):
    rows = [("ts", "model", "prompt_tokens", "completion_tokens")]
    rows += [((1767225600 + second) * per_second, "a", 10, 5) for second in range(4)]
    assert read_request_log([write("a.csv", csv_text(*rows))]).time.tolist() == [0, 1, 2, 3]


def test_dates_and_numbers_of_all_units_may_stand_in_one_column(write):
    times = (
        1767225600, "2026-01-01T00:00:01Z", 1767225602000, "2026-01-01 02:00:03+02:00", "2026-01-01 00:00:04",
        "1767225605000000",
    )  # fmt: skip
    log = read_request_log([write("a.jsonl", json_lines(*({**ROW, "time": time} for time in times)))])
    assert log.time.tolist() == [0, 1, 2, 3, 4, 5]
    assert log.assumed == ("times without a zone are in UTC",)


def test_the_unit_of_other_numbers_is_asked_for(write):
    rows = [("time", "model", "prompt_tokens", "completion_tokens"), *((k * 500, "a", 10, 5) for k in range(3))]
    path = write("a.csv", csv_text(*rows))
    with pytest.raises(
        SpecError, match=r"time: numbers up to 1000 are no dates.*allowed: a time unit of s, ms, us, ns"
    ):
        read_request_log([path])
    assert read_request_log([path], time_unit="ms").time.tolist() == [0.0, 0.5, 1.0]


def test_a_column_may_name_the_unit(write):
    rows = [("arrival_time_us", "model", "prompt_tokens", "completion_tokens"), (0, "a", 1, 1), (2 * 10**6, "a", 1, 1)]
    assert read_request_log([write("a.csv", csv_text(*rows))]).time.tolist() == [0.0, 2.0]


@pytest.mark.parametrize(("per_second", "unit"), [(1, "s"), (10**9, "ns")])
def test_a_column_that_names_another_unit_than_its_numbers_have_is_refused(write, per_second, unit):
    rows = [("timestamp_ms", "input_length", "output_length")]
    rows += [((1715299201 + second) * per_second, 100, 50) for second in range(20)]
    path = write("a.csv", csv_text(*rows))
    with pytest.raises(SpecError, match=rf"timestamp_ms: 17\d+ is a time since 1970 in {unit}, not in ms"):
        read_request_log([path], adapters_needed=False)
    assert read_request_log([path], adapters_needed=False, time_unit=unit).time.tolist() == list(range(20))


def test_requests_of_a_whole_second_are_spread_over_it(write):
    rows = [at(0), at(0), at(0), at(0), at(1)]
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert log.time.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert log.assumed == ("times are whole seconds: the requests of each are spread over it",)


def test_rows_that_cannot_be_used_are_counted_by_reason(write):
    rows = [
        at(0), at(1), at(2, status=500), at(3, status="504, 502"), at(4, status="error"), at(5, model=""),
        at(6, prompt_tokens=None), at(7, prompt_tokens=0, completion_tokens=0), at(8, time=None),
        at(9, path="/v1/embeddings"), at(9, path="/v1/models?x=1"), at(9, path="/v1/models"), at(10, cache_hit="True"),
        at(11, path="/v1/chat/completions?x=1", status=200),
    ]  # fmt: skip
    log = read_request_log([write("a.jsonl", json_lines({"path": "", "status": "", "cache_hit": "", **at(0)}, *rows))])
    assert len(log.time) == 4
    assert log.left_out == {
        "not a request for text: /v1/models": 2, "has no token counts": 2, "failed: status 500": 1,
        "failed: status 504, 502": 1, "failed: error": 1, "names no model": 1, "has no time": 1,
        "not a request for text: /v1/embeddings": 1, "answered from the cache of the gateway": 1,
    }  # fmt: skip


def test_failed_requests_of_burstgpt_have_no_answer(write):
    rows = [("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type")]
    rows += [(k, "GPT-4", 10, 0 if k == 2 else 7, 17, "API log") for k in range(4)]
    log = read_request_log([write("burst.csv", csv_text(*rows))])
    assert (log.time.tolist(), log.left_out) == ([0, 1, 3], {"failed: no answer tokens": 1})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_separators_byte_order_marks_and_compression(write, separator, ending):
    text = "\ufeff" + csv_text((*ROW,), *((*at(k).values(),) for k in range(3)), separator=separator).replace(
        "\n", "\r\n"
    )
    content = gzip.compress(text.encode()) if ending else text
    log = read_request_log([write(f"a.csv{ending}", content)])
    assert (log.time.tolist(), log.input.tolist()) == ([0, 1, 2], [10, 10, 10])


def test_json_lines_may_begin_with_a_byte_order_mark(write):
    assert len(read_request_log([write("a.jsonl", "\ufeff" + json_lines(at(0), at(1)))]).time) == 2


def test_zstandard(write, tmp_path):
    frame = pl.DataFrame([at(0), at(1)])
    frame.lazy().sink_csv(tmp_path / "a.csv.zst", compression="zstd")
    assert len(read_request_log([tmp_path / "a.csv.zst"]).time) == 2


def test_parquet(tmp_path):
    pl.DataFrame([at(0), at(1, model="b")]).write_parquet(tmp_path / "a.parquet")
    assert read_request_log([tmp_path / "a.parquet"]).names == ("a", "b")


def test_quoted_cells_may_hold_separators_and_line_breaks(write):
    rows = [at(0), at(1), at(2, prompt_tokens="many")]
    text = csv_text(("note", *ROW), *(('"a, b\nc"', *row.values()) for row in rows))
    with pytest.raises(SpecError, match=r"a\.csv: line 7: prompt_tokens: 'many' is not a number"):
        read_request_log([write("a.csv", text)])


def test_the_order_of_files_and_rows_changes_nothing(write):
    rows = [at(k % 30, model="ab"[k % 2], prompt_tokens=k + 1) for k in range(40)]
    random.Random(1).shuffle(rows)
    files = [write(f"{k}.jsonl", json_lines(*rows[k::3])) for k in range(3)]
    logs = [read_request_log(order) for order in itertools.permutations(files)]
    logs.append(read_request_log([files[0].parent]))
    logs.append(read_request_log([write("all.jsonl", json_lines(*sorted(rows, key=str)))]))
    for log in logs[1:]:
        assert all((one == other).all() for one, other in zip(log[:4], logs[0][:4], strict=True))


def test_files_of_several_formats_may_be_joined(write):
    one = write("a.jsonl", json_lines(at(0), at(2)))
    other = write("b.csv", csv_text(("created", "lora", "input_tokens", "output_tokens"), (1767225601, "z", 1, 1)))
    log = read_request_log([one, other])
    assert ([log.names[code] for code in log.adapter], log.files) == (["a", "z", "a"], 2)


def test_a_file_that_is_named_twice_counts_once(write):
    path = write("a.jsonl", json_lines(at(0), at(2)))
    assert len(read_request_log([path, path, path.parent]).time) == 2


def test_the_compressed_copy_of_a_file_in_a_folder_is_left_out(write):
    text = json_lines(at(0), at(2))
    write("a.jsonl", text)
    copy = write("a.jsonl.gz", gzip.compress(text.encode()))
    log = read_request_log([copy.parent])
    assert (len(log.time), log.assumed) == (2, (f"{copy} is the compressed copy of a file beside it",))


def test_times_without_a_date_cannot_be_joined(write):
    header = ("timestamp_ms", "input_length", "output_length", "model")
    files = [write(f"{k}.csv", csv_text(header, (0, 1, 1, "a"), (900, 1, 1, "a"))) for k in range(2)]
    with pytest.raises(SpecError, match="its times do not say the date, so it cannot be joined with other files"):
        read_request_log(files)


def test_columns_may_be_named(write):
    rows = [("when", "who", "in", "out"), (1767225600, "a", 1, 2), (1767225601, "b", 3, 4)]
    path = write("a.csv", csv_text(*rows))
    with pytest.raises(SpecError, match=r"no column is known to hold the time .*found: when,who,in,out.*--time-column"):
        read_request_log([path])
    log = read_request_log([path], columns=LogColumns("when", "in", "out", "who"))
    assert (log.names, log.output.tolist()) == (("a", "b"), [2, 4])
    with pytest.raises(SpecError, match=r"nobody: no such column \(found: when,who,in,out\)"):
        read_request_log([path], columns=LogColumns(time="nobody"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([at(0), at(1), at(2, prompt_tokens=-1)], "line 3: prompt_tokens: -1 must be at least 0 tokens"),
        ([at(0), at(1), at(2, prompt_tokens=[1])], "line 3: prompt_tokens: '[1]' is not a number"),
        ([at(0), at(1, completion_tokens=1.5)], "line 2: completion_tokens: '1.5' is not a whole number"),
        ([at(0), at(1, time="soon")], "line 2: time: 'soon' is not a time such as 2023-11-16 18:15:46.680"),
        ([at(0), at(1, time="2026-02-30T00:00:00Z")], "line 2: time: '2026-02-30T00:00:00Z' is not a time"),
        ([at(k % 60) for k in range(20)] + [at(0, time=0)], "time: numbers up to 0 are no dates"),
        ([at(0, time="1970-01-01"), *(at(k) for k in range(20))], "line 1: time: '1970-01-01' is 20"),
        ([at(0, time=f"{year}-01-0{day}T00:00:00Z") for year in (2024, 2026) for day in (1, 2)], "days away"),
        ([at(0, time=1600000000 + 86400 * 20 * k) for k in range(30)], "the requests are of 580 days"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(write, rows, message):
    path = write("a.jsonl", json_lines(*rows))
    with pytest.raises(SpecError) as caught:
        read_request_log([path])
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x00\xff\xfe", "is not text in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "it is text in UTF-16; save it as UTF-8"),
        (b"\x1f\x8b broken", "cannot be read"),
        (b"\x28\xb5\x2f\xfd broken", "cannot be read"),
        (b"PAR1 broken", "this is a Parquet file, not a request log"),
        (b'{"time": 1, \n', "line 1: is not a JSON object"),
        (json_lines(at(0), at(1)).encode() * 300 + b'{"time": \n{}\n', "line 601: is not a JSON object"),
        (b"time,time\n1,2\n", "line 1: duplicate column 'time'"),
    ],
)
def test_damaged_files_are_refused(write, content, message):
    with pytest.raises(SpecError, match=r"a\.log: ") as caught:
        read_request_log([write("a.log", content)])
    assert message in str(caught.value)


def test_missing_files_and_empty_folders_are_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: no such file"):
        read_request_log([tmp_path / "none.csv"])
    with pytest.raises(SpecError, match=r"no file in this folder ends in \.csv"):
        read_request_log([tmp_path])


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_name_of_a_log_is_no_pattern(tmp_path, form):
    """A file a[1].csv lies beside a1.csv, which the name would match as a pattern."""
    rows = [{**ROW, "time": 1767225600 + second} for second in range(4)]
    for name, kept in (("a[1]", rows), ("a1", rows[:2])):
        table = pl.DataFrame(kept)
        path = tmp_path / f"{name}.{form}"
        {"jsonl": table.write_ndjson, "csv": table.write_csv, "parquet": table.write_parquet}[form](path)
    assert len(read_request_log([tmp_path / f"a[1].{form}"]).time) == 4


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("http.response.status_code", 500, "failed: status 500"),
        ("DownstreamStatus", 429, "failed: status 429"),
        ("sc-status", 502, "failed: status 502"),
        ("upstream_status", "503", "failed: status 503"),
        ("error", "timed out", "failed: timed out"),
    ],
)
def test_failed_requests_are_told_by_the_names_that_gateways_use(write, name, value, reason):
    fine = None if name == "error" else 200
    rows = [at(0, **{name: fine}), at(1, **{name: value}), at(2, **{name: fine})]
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert (len(log.time), log.left_out) == (2, {reason: 1})


@pytest.mark.parametrize("name", ["requests", "count", "api_requests", "num_requests"])
def test_rows_that_stand_for_several_requests_are_so_many(write, name):
    rows = [("timestamp", "model", "prompt_tokens", "completion_tokens", name)]
    rows += [(1786000000 + 60 * minute, "ab"[minute % 2], 5000, 1000, 50) for minute in range(20)]
    log = read_request_log([write("a.csv", csv_text(*rows))])
    assert (len(log.time), log.input.tolist(), log.output.tolist()) == (1000, [100] * 1000, [20] * 1000)


def test_a_number_of_requests_that_is_always_1_changes_nothing(write):
    rows = [at(second, count=1) for second in (0, 3, 7)]
    assert read_request_log([write("a.jsonl", json_lines(*rows))]).time.tolist() == [0.0, 3.0, 7.0]


def test_requests_of_a_minute_are_spread_over_it(write):
    rows = [{**ROW, "time": f"2026-01-01T00:{number // 2:02}:00Z"} for number in range(24)]
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert log.time.tolist() == [30.0 * number for number in range(24)]
    assert log.assumed == ("times are multiples of 60 s: the requests of each are spread over it",)


def test_times_of_whole_days_are_refused(write):
    rows = [{**ROW, "time": f"2026-01-{day:02}"} for day in (1, 1, 2, 2, 3)]
    with pytest.raises(SpecError, match=r"a\.jsonl: time: its times are 86,400 s apart or the same: too coarse"):
        read_request_log([write("a.jsonl", json_lines(*rows))])


def test_tokens_in_the_prompt_cache_belong_to_the_prompt(write):
    usage = {"input_tokens": 500, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 24}
    rows = [{"time": ROW["time"], "model": "a", "usage": {**usage, "output_tokens": 9}}, at(5) | {"usage": {}}]
    rows[1] = {"time": at(5)["time"], "model": "a", "usage": {"input_tokens": 7, "output_tokens": 9}}
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert log.input.tolist() == [1524, 7]


def test_a_request_without_an_adapter_is_for_the_model(write):
    rows = [at(0, model="llama", lora_name="x"), at(1, model="llama", lora_name=""), at(2, model="llama")]
    log = read_request_log([write("a.jsonl", json_lines(*rows))])
    assert (log.names, log.adapter.tolist(), log.left_out) == (("llama", "x"), [1, 0, 0], {})


def test_a_log_without_years_has_no_date(write):
    line = "INFO 09-03 03:00:{:02} [logger.py:43] Received request c-{}: prompt_token_ids: [1, 2], lora_request: None."
    lines = [line.format(second, second) for second in range(3)]
    assert read_request_log([write("vllm.log", "\n".join(lines))], lengths_needed=False).start is None
    dated = [f"2026-09-03T03:00:0{second}Z {text}" for second, text in enumerate(lines)]
    assert read_request_log([write("vllm.log", "\n".join(dated))], lengths_needed=False).start == 1788404400.0
