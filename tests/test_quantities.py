"""Quantities: times and shares are understood alike in files, in CSV, on the command line and in Python."""

import json
import re

import pytest

from adaptwin import Adapter, Server, SpecError, Workload
from adaptwin.plan.fleet import Fleet, read_fleet
from adaptwin.plan.options import PlanOptions
from adaptwin.quantities import parse_latency, parse_number, parse_seconds, parse_share

PROFILE = "h100-64gb-llama-3.1-8b-instruct"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2.0),
        ("2 s", 2.0),
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("250us", 0.00025),
        ("30m", 1800.0),
        ("30min", 1800.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("-2s", -2.0),
    ],
)
def test_a_time_in_seconds(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1:30", "1_0s", "2 parsecs", "infs", "1h30m", "1e999999999999999999s"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"is not a time, such as 500ms or 2s|is out of range"):
        parse_seconds(text)


def test_a_latency_needs_a_unit():
    assert parse_latency("100ms") == 0.1
    with pytest.raises(ValueError, match="'100' has no unit: write 100ms or 100s"):
        parse_latency("100")
    with pytest.raises(ValueError, match="'0s' must be above 0"):
        parse_latency("0s")


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("0.2", 0.2), ("150 %", 1.5), ("1", 1.0), ("0.1%", 0.001)])
def test_a_share(text, share):
    assert parse_share(text) == share


def test_a_bare_number_above_one_is_no_share():
    with pytest.raises(ValueError, match=r"'20' is 2000%: write 20% or 0\.2 if that was meant"):
        parse_share("20")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1_000", "'1_000' is not a number; write 1000 for thousands"),
        ("1,000", "'1,000' is not a number; write 1000 for thousands"),
        ("1,5", "'1,5' is not a number; write 1.5"),
        ("5%", "'5%' is not a number; a share is written as a number"),
        ("x", "'x' is not a number"),
    ],
)
def test_what_is_no_number_comes_with_advice(text, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        parse_number(text)


def test_python_takes_times_and_shares_in_words_as_well():
    adapter = Adapter("a", 8, 0.5, slo_ttft="2s", slo_itl="50ms", arrivals=["500ms", 2])
    assert (adapter.slo_ttft, adapter.slo_itl, adapter.arrivals) == (2.0, 0.05, (0.5, 2.0))
    assert Workload([adapter], duration="1h").duration == 3600.0
    assert PlanOptions(headroom="20%", margin="5%", ttft_p99="2s").headroom == 0.2
    assert Server(gpu_memory_utilization="85%").gpu_memory_utilization == 0.85


@pytest.mark.parametrize("headroom", [0.1, 1.0, 1.1, 1.5, 3.3333333333333335, 10.0])
def test_a_share_that_is_written_reads_back(tmp_path, headroom):
    fleet = Fleet(adapters=[Adapter("a", 8, 0.5)], planning=PlanOptions(headroom=headroom, margin=headroom))
    fleet.write(tmp_path / "fleet.yaml")
    assert Fleet.read(tmp_path / "fleet.yaml") == fleet


FLEET = """\
duration: 10m
arrivals: [500ms, 2s, 3]
adapters:
- {name: a, rank: 8, rate: 1e-1, slo_ttft: 2s, slo_itl: 50ms}
planning: {headroom: 20%, margin: 5%, ttft_p99: 2s, time_limit: 1m}
server: {gpu_memory_utilization: 90%, async_scheduling: yes}
"""


def test_a_fleet_file_takes_times_and_shares(tmp_path):
    (tmp_path / "fleet.yaml").write_text(FLEET)
    fleet = Fleet.read(tmp_path / "fleet.yaml")
    assert (fleet.duration, fleet.arrivals, fleet.planning.margin) == (600.0, (0.5, 2.0, 3.0), 0.05)
    assert (fleet.planning.headroom, fleet.planning.ttft_p99, fleet.planning.time_limit) == (0.2, 2.0, 60.0)
    assert fleet.server.gpu_memory_utilization == 0.9
    assert fleet.server.async_scheduling


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("20%", "20", "planning.headroom: '20' is 2000%: write 20% or 0.2 if that was meant"),
        ("5%", "5", "planning.margin: '5' is 500%: write 5% or 0.05 if that was meant"),
        ("5%", "much", "planning.margin: 'much' is neither a share, such as 0.2, nor the word profile"),
        ("90%", "90", "server.gpu_memory_utilization: 90 must be at most 1"),
        ("20%", "yes", "planning.headroom: yes can be read as true: put quotes around text, and write numbers in"),
        ("slo_ttft: 2s", "slo_ttft: 1:30", "adapters[0].slo_ttft: 1:30 can be read as a number of base 60"),
        ("1e-1", "on", "adapters[0].rate: on can be read as true"),
        ("1e-1", "1:30", "adapters[0].rate: 1:30 can be read as a number of base 60"),
        ("1e-1", "1_000", "adapters[0].rate: 1_000 can be read as a number or as text"),
        ("rank: 8", "rank: 010", "adapters[0].rank: 010 can be read as a number of another base"),
        ("rank: 8", "rank: 0o10", "adapters[0].rank: 0o10 can be read as a number of another base"),
        ("name: a", "name: off", "adapters[0].name: off can be read as false"),
        ("name: a", "name: 2024-05-01", "adapters[0].name: 2024-05-01 can be read as a date"),
        ("name: a", "name: ~", "adapters[0].name: null is not text: put quotes around it if it is"),
        ("name: a", "name: 1e3", "adapters[0].name: 1000.0 is not text: put quotes around it if it is"),
        ("10m", "10 minutes", "duration: '10 minutes' is not a time, such as 500ms or 2s"),
        ("500ms", "5_00", "arrivals: entry 0: 5_00 can be read as a number or as text"),
    ],
)
def test_what_a_fleet_file_does_not_take(tmp_path, old, new, said):
    (tmp_path / "fleet.yaml").write_text(FLEET.replace(old, new, 1))
    with pytest.raises(SpecError) as error:
        Fleet.read(tmp_path / "fleet.yaml")
    assert str(error.value).startswith(f"{tmp_path / 'fleet.yaml'}: {said}")


@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize("field", ["rate", "rank", "name"])
def test_json_takes_no_truth_values_for_numbers_and_names(tmp_path, field, value):
    fields = {"name": '"a"', "rank": "8", "rate": "0.5", field: value}
    text = ", ".join(f'"{name}": {each}' for name, each in fields.items())
    (tmp_path / "fleet.json").write_text(f'{{"adapters": [{{{text}}}]}}')
    with pytest.raises(SpecError, match=rf"adapters\[0\]\.{field}: {value} can be read as {value}"):
        Fleet.read(tmp_path / "fleet.json")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ttft_p99", 500, "planning.ttft_p99: 500 has no unit: write 500ms or 500s"),
        ("itl_p99", 50, "planning.itl_p99: 50 has no unit: write 50ms or 50s"),
    ],
)
def test_a_number_in_a_file_that_may_be_milliseconds_needs_a_unit(tmp_path, field, value, message):
    path = tmp_path / "fleet.yaml"
    fleet = {"profile": PROFILE, "planning": {field: value}, "adapters": [{"name": "a", "rank": 8, "rate": 1}]}
    path.write_text(json.dumps(fleet))
    with pytest.raises(SpecError, match=re.escape(message)):
        read_fleet(path)
    fleet["planning"][field] = f"{value}s"
    path.write_text(json.dumps(fleet))
    read = read_fleet(path)
    read.write(tmp_path / "again.yaml")
    assert read_fleet(tmp_path / "again.yaml") == read


def test_an_slo_in_a_file_that_may_be_milliseconds_needs_a_unit(tmp_path):
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps({"adapters": [{"name": "a", "rank": 8, "rate": 1, "slo_ttft": 800}]}))
    with pytest.raises(SpecError, match=r"adapters\[0\].slo_ttft: 800 has no unit: write 800ms or 800s"):
        read_fleet(path)
    assert Adapter(name="a", rank=8, rate=1.0, slo_ttft=800).slo_ttft == 800.0  # in Python, seconds are meant
