"""Events: nothing that was measured is lost, but the line that was cut off."""

import subprocess
import sys

import pytest

from engine_spec import EngineSpec
from events import FILE, Events, of_engine, read

from .conftest import TOOLS


@pytest.fixture
def events(tmp_path):
    return Events(tmp_path / "state", tmp_path / "out")


def test_events_read_back_as_they_were_written_and_lie_in_both_folders(events, tmp_path):
    events.write("step", name="one", seconds=0.5)
    events.write("run", name="two")
    assert [(event["kind"], event["name"]) for event in events.read()] == [("step", "one"), ("run", "two")]
    assert read(tmp_path / "out" / FILE) == events.read()


def test_without_a_file_there_are_no_events(events):
    assert events.read() == []


@pytest.mark.parametrize(
    "cut", ['{"kind": "st', '{"kind": "step", "name": "\u00e9'.encode()[:-1].decode("latin-1"), "7"]
)
def test_a_line_that_was_cut_off_is_lost_alone(events, tmp_path, cut):
    events.write("step", name="before")
    with (tmp_path / "state" / FILE).open("a", encoding="latin-1") as file:
        file.write(cut)
    assert [event["name"] for event in events.read()] == ["before"]
    events.write("step", name="after")
    assert [event["name"] for event in events.read()] == ["before", "after"]


def test_processes_that_write_at_a_time_do_not_mix_their_lines(events, tmp_path):
    script = (
        f"import sys; sys.path.append({str(TOOLS)!r}); from events import Events; from pathlib import Path\n"
        f"events = Events(Path({str(tmp_path / 'state')!r}), Path({str(tmp_path / 'out')!r}))\n"
        "for number in range(50): events.write('run', name=sys.argv[1], rows='x' * 100_000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(event["name"] for event in events.read()) == ["a"] * 50 + ["b"] * 50


def test_events_of_another_gpu_are_left_out(events):
    for gpu in ("H100", "H200"):
        events.write("step", name=gpu, gpu=gpu)
    events.write("check", what="kernels")
    assert [event.get("name") for event in events.read("H200")] == ["H200", None]
    assert len(events.read()) == 3


def test_events_of_an_engine_are_those_with_few_graphs_too(events):
    for model, engine in (("tiny", "2x16"), ("tiny", "2x16+few"), ("tiny", "2x16+sync"), ("big", "2x16")):
        events.write("step", model=model, engine=engine)
    events.write("check", what="kernels")
    found = of_engine(events.read(), "tiny", EngineSpec.parse("2x16"))
    assert [event["engine"] for event in found] == ["2x16", "2x16+few"]
