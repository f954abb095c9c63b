"""Round trip: requests that are written in any format are read as they were."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Workload
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.sources.logged_adapters import AdapterRanks, log_window
from adaptwin.workload.sources.request_log.request_log import read_request_log
from adaptwin.workload.sources.request_log.requests import NO_VALUE

START = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # across a change of clocks in Europe
LETTERS = st.characters(categories=("L", "N"), include_characters="-_. /")
NAMES = st.text(LETTERS, min_size=1).map(str.strip).filter(lambda name: name and name not in NO_VALUE)
REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 7200_000),
        NAMES,
        st.integers(1, 9000),
        st.integers(1, 900),
    ),
    min_size=2,
    max_size=30,
    unique_by=lambda request: request[0],
).filter(lambda requests: len({request[0] for request in requests}) > 1)


def iso(moment):
    return moment.isoformat(sep=" ")


def east(moment):
    return moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()


def zulu(moment):
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def milliseconds(moment):
    return round(moment.timestamp() * 1000)


def nanoseconds(moment):
    return round(moment.timestamp() * 1000) * 10**6


def in_turn(moment):
    return (iso, east, zulu, milliseconds, nanoseconds)[moment.microsecond // 1000 % 5](moment)


def quoted(value):
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',;"\t|') else text


def delimited(separator, *header):
    def write(rows):
        lines = [separator.join(header), *(separator.join(map(quoted, row)) for row in rows)]
        return "\n".join(lines) + "\n"

    return write


def objects(*keys):
    def write(rows):
        return "".join(json.dumps(nested(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)

    return write


def nested(items):
    found = {}
    for key, value in items:
        above, _, below = key.partition("/")
        if below:
            found.setdefault(above, {})[below] = value
        else:
            found[key] = value
    return found


WRITERS = {
    "csv": delimited(",", "start_time", "model", "prompt_tokens", "completion_tokens"),
    "semicolons": delimited(";", "Timestamp", "lora_name", "Input Tokens", "Output Tokens"),
    "tsv": delimited("\t", "created_at", "adapter", "input_length", "output_length"),
    "azure": delimited(",", "TIMESTAMP", "Model", "ContextTokens", "GeneratedTokens"),
    "burstgpt": delimited(",", "Timestamp", "Model", "Request tokens", "Response tokens"),
    "jsonl": objects("ts", "model", "prompt_tokens", "completion_tokens"),
    "openai": objects("created", "model", "usage/prompt_tokens", "usage/completion_tokens"),
    "envoy": objects("start_time", "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    "litellm": objects("startTime", "model_group", "prompt_tokens", "completion_tokens"),
    "list": lambda rows: json.dumps({"data": [json.loads(line) for line in WRITERS["litellm"](rows).splitlines()]}),
}


@pytest.mark.parametrize("form", WRITERS)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    written=st.sampled_from([iso, east, zulu, milliseconds, nanoseconds, in_turn]),
    requests=REQUESTS,
    packed=st.booleans(),
)
def test_requests_are_read_as_they_were_written(tmp_path, form, written, requests, packed):
    rows = [
        (written(START + timedelta(milliseconds=time)), name, prompt, answer) for time, name, prompt, answer in requests
    ]
    path = tmp_path / f"log.{'gz' if packed else 'txt'}"
    content = WRITERS[form](rows).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    log = read_request_log([path])
    first = min(time for time, *_ in requests)
    right = sorted(((time - first) / 1000, name, prompt, answer) for time, name, prompt, answer in requests)
    names = [log.names[code] for code in log.adapter]
    read = list(zip(log.time.tolist(), names, log.input.tolist(), log.output.tolist(), strict=True))
    assert read == [(pytest.approx(time, abs=1e-5), *rest) for time, *rest in right]
    assert log.left_out == {}


@pytest.mark.parametrize("form", ["csv", "jsonl", "list"])
def test_the_log_of_a_workload_gives_its_rates_and_lengths(tmp_path, form):
    workload = Workload(
        adapters=[Adapter(f"a{k}", (8, 16)[k % 2], 0.2 + 0.2 * k) for k in range(4)] + [Adapter("base", 0, 0.5)],
        duration=1800.0,
        seed=3,
    )
    drawn, names = draw_requests(workload), [adapter.name for adapter in workload.adapters]
    rows = [
        (iso(START + timedelta(microseconds=int(time) // 1000)), names[adapter], int(prompt), int(answer))
        for time, adapter, prompt, answer in zip(*drawn[:4], strict=True)
    ]
    path = tmp_path / "log.txt"
    path.write_text(WRITERS[form](rows), encoding="utf-8")
    known = {adapter.name: adapter for adapter in workload.adapters}
    window = log_window(read_request_log([path]), AdapterRanks(known=known))
    replayed = window.workload()
    assert [(a.name, a.rank) for a in replayed.adapters] == [(a.name, a.rank) for a in workload.adapters]
    counts = np.bincount(drawn.adapter, minlength=5)
    assert [len(adapter.arrivals) for adapter in replayed.adapters] == counts.tolist()
    assert [a.rate for a in replayed.adapters] == pytest.approx(counts / replayed.duration)
    assert [a.rate for a in replayed.adapters] == pytest.approx([a.rate for a in workload.adapters], rel=0.25)
    as_rates = window.workload(keep="rates", rates_file=tmp_path / "r.csv")
    assert [a.rate for a in as_rates.adapters] == pytest.approx(counts / replayed.duration)
    for place, adapter in enumerate(as_rates.adapters):
        mine = drawn.adapter == place
        assert adapter.lengths.mean_input == pytest.approx(drawn.input[mine].mean(), rel=0.02)
        assert adapter.lengths.mean_output == pytest.approx(drawn.output[mine].mean(), rel=0.02)
