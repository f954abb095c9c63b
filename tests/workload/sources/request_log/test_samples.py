"""Samples: every file that people brought is read rightly, or refused with its place and what is allowed."""

from pathlib import Path

import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.request_log.request_log import read_request_log
from adaptwin.workload.sources.traces import read_trace

SHARED = Path(__file__).resolve().parents[5] / "shared"
CASES = {  # requests and tokens of all prompts, or what the error says
    "azure2023.csv": (4, 374 + 396 + 20000 + 1),
    "azure2023.csv.gz": (4, 374 + 396 + 20000 + 1),
    "azure2024.csv": (4, 2162 + 2399 + 76 + 2376),
    "azure_model.csv": (4, 374 + 396 + 800 + 900),
    "bom.csv": (2, 2 * 374),
    "epoch.csv": (2, 2 * 374),
    "huge.csv": "line 3: input_length: 99999999999999999999 must be at most 10,000,000 tokens",
    "moon.jsonl": (3, 6758 + 7322 + 7236),
    "nan.csv": "line 3: input_length: 'NaN' is not a finite number",
    "sci.csv": "line 4: input_length: '1_000' is not a number; write 1000 for thousands, or a point for decimals",
    "semi.csv": (2, 374 + 12),
    "tab.tsv": (2, 374 + 12),
    "thou.csv": "line 2: has 4 cells, but the header names 3 columns",
    "ts.csv": (2, 374 + 100),
    "tz.csv": (3, 374 + 374 + 1),
}
TRACES = {
    "azure_2023_conv_head.csv": 59,
    "azure_2024_code_head.csv": "line 7: TIMESTAMP: '2024-05-16 23:59:59.886489+00:00' is 7 days away",
    "azure_2024_conv_head.csv": "line 7: TIMESTAMP: '2024-05-18 23:59:59.759803+00:00' is 7 days away",
    "burstgpt_1_head.csv": 3,
    "burstgpt_3_head.csv": 4,
    "mooncake_conversation_head.jsonl": 40,
    "mooncake_synthetic_head.jsonl": 20,
}


def sample(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the samples in {path}")
    return path


def test_every_sample_has_a_test():
    assert {path.name for path in sample("field", "cases", "traces").iterdir()} == {*CASES}
    assert {path.name for path in sample("schemas", "samples", "traces").iterdir()} == {*TRACES}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_was_brought_is_read_or_refused_with_its_place(name):
    path, right = sample("field", "cases", "traces", name), CASES[name]
    if isinstance(right, str):
        with pytest.raises(SpecError) as caught:
            read_trace(path)
        assert str(caught.value) == f"{path}: {right}"
    else:
        trace = read_trace(path)
        assert (len(trace.time), trace.input.sum()) == right


@pytest.mark.parametrize("name", TRACES)
def test_a_published_trace_is_read_or_refused_with_its_place(name):
    path, right = sample("schemas", "samples", "traces", name), TRACES[name]
    if isinstance(right, str):
        with pytest.raises(SpecError, match=right.replace("+", r"\+")):
            read_trace(path)
    else:
        assert len(read_trace(path).time) == right


def test_times_with_zones_of_one_column_agree():
    assert read_trace(sample("field", "cases", "traces", "tz.csv")).time.tolist() == [0.0, 1.0, 4.0]


def test_spend_logs_of_litellm():
    log = read_request_log([sample("schemas", "samples", "litellm", "LiteLLM_SpendLogs_table_export.csv")])
    assert log.names == ("llama-3.1-8b", "sql-gen", "summarise", "support-de", "support-fr")
    assert (len(log.time), log.left_out) == (39, {"failed: failure": 1})
    assert (log.time[1], log.input[0], log.output[0]) == (pytest.approx(0.078), 1353, 25)
    assert (log.formats, log.columns["adapter"]) == (("LiteLLM, CSV",), "model_group")


def test_the_response_of_spend_logs_v2():
    log = read_request_log([sample("schemas", "samples", "litellm", "spend_logs_v2_response.json")])
    assert (len(log.time), log.names) == (4, ("llama-3.1-8b", "support-fr"))
    assert log.input.tolist() == [1353, 96, 477, 1160]


def test_an_access_log_of_nginx_has_no_tokens():
    path = sample("schemas", "samples", "access_log", "nginx_openai_lines.jsonl")
    with pytest.raises(SpecError, match=r"no column is known to hold the input tokens of a request .*--input-column"):
        read_request_log([path])
    log = read_request_log([path], lengths_needed=False)
    assert log.left_out == {"failed: status 502": 1, "not a request for text: /v1/models": 1}
    assert log.time == pytest.approx([0.0, 1.316])
    assert (log.input, log.names) == (None, ("sql-gen", "support-de"))


def test_one_line_of_envoy_is_no_log():
    with pytest.raises(SpecError, match=r"too few requests: 1 \(at least 2 needed\)"):
        read_request_log([sample("schemas", "samples", "access_log", "envoy_ai_gateway_line.jsonl")])


def test_a_log_format_of_nginx_is_no_log():
    with pytest.raises(SpecError, match="no column is known to hold the time"):
        read_request_log([sample("schemas", "samples", "access_log", "nginx_openai_log_format.conf")])


@pytest.mark.parametrize("name", ["servegen_client_lengths.parquet", "servegen_client_rates.parquet"])
def test_statistics_of_clients_are_no_requests(name):
    with pytest.raises(SpecError, match=r"statistics of clients, not requests"):
        read_trace(sample("data", "traces", name))
