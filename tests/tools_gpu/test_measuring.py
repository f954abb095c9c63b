"""measure.py with a stand-in for vLLM: what it measures, goes on with, falls back to, and leaves behind."""

import json
import os
import subprocess
import time
from contextlib import suppress

import pytest

PLAN = ("--plan", "tiny:2x16 tiny:0")
FAST = ("run", "--budget", "1000", "--no-runs", *PLAN)
FEW = (*FAST, "--only", "6")


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_for(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "did not come"
        time.sleep(0.05)
    return found


def test_every_step_has_the_contents_that_were_asked_for(machine):
    assert machine.measure(*FAST).returncode == 0
    steps = machine.events("step")
    assert len(steps) > 60
    assert not machine.events("problem")
    for step in steps:
        asked = step["asked"]
        assert step["tokens"] == asked["decodes"] + asked["chunk"] * asked["prompts"]
        assert step["running"] == asked["decodes"] + asked["prompts"]
        assert step["adapters"] == asked["adapters"]
        assert step["waiting"] >= asked["waiting"]
        assert step["prefill"] == asked["chunk"] * asked["prompts"]
        if asked["prompts"]:
            pairs = asked["chunk"] * asked["behind"] + asked["chunk"] * (asked["chunk"] + 1) / 2
            assert step["prefill_pairs"] == asked["prompts"] * pairs
        turns = step["context"] - asked["decodes"] * asked["context"]  # the answers that came meanwhile
        assert 0 <= turns <= asked["decodes"] * 150
        assert step["count"] >= 6


def test_loads_are_timed_for_each_rank_and_each_source(machine):
    machine.measure(*FEW)
    loads = machine.events("load")
    assert {(load["source"], load["rank"]) for load in loads} >= {(s, r) for s in ("host", "disk") for r in (8, 16)}
    assert sum(bool(load.get("cold")) for load in loads) == 2 * 3


def test_what_was_measured_is_not_measured_again(machine):
    machine.measure(*FEW)
    before = machine.events()
    again = machine.measure(*FEW)
    assert again.returncode == 0
    assert "not begun: none" in again.stdout
    assert machine.events() == before


def test_a_measurement_that_was_cut_off_goes_on_where_it_stopped(machine):
    machine.measure(*FEW)
    whole, path = machine.names, machine.state / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    third = [index for index, line in enumerate(lines) if '"kind": "step"' in line][2]
    path.write_text("".join(lines[:third]) + lines[third][:40])  # killed while it wrote the third step
    machine.measure(*FEW)
    assert sorted(machine.names) == sorted(whole)
    assert len(set(machine.names)) == len(machine.names) == 12


def test_an_engine_without_time_for_everything_is_not_complete(machine):
    machine.measure(*FEW, "--pace", "0.01")
    assert not machine.names
    assert not machine.events("engine_done")
    machine.measure(*FEW)
    assert len(machine.names) == 12
    assert len(machine.events("engine_done")) == 2


def test_an_engine_that_was_begun_comes_after_those_that_were_not(machine):
    machine.measure("run", "--budget", "1000", "--no-runs", "--plan", "tiny:2x16", "--only", "2")
    path = machine.state / "events.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "engine_done" not in line))
    machine.measure(*FEW)
    assert [event["engine"] for event in machine.events("start")] == ["2x16", "0+few", "2x16"]


def test_engines_after_the_first_capture_few_graphs(machine):
    machine.measure(*FEW[:-4], "--plan", "tiny:2x16 tiny:0 tiny:4x8", "--only", "3")
    assert [event["engine"] for event in machine.events("start")] == ["2x16", "0+few", "4x8+few"]


def test_an_engine_that_does_not_start_falls_back(machine):
    told = machine.measure(*FEW, STAND_IN_NEEDS="enforce_eager")
    assert told.returncode == 0
    assert "this stand-in needs enforce_eager" in told.stdout
    assert [event["engine"] for event in machine.events("failure")][:2] == ["2x16", "2x16+triton"]
    assert {event["engine"] for event in machine.events("step")} == {"2x16+triton+eager"}


def test_an_engine_that_finds_memory_taken_starts_again_as_it_was(machine, tmp_path):
    machine.measure(*FEW, STAND_IN_BUSY=tmp_path)
    assert [event["engine"] for event in machine.events("failure")] == ["2x16"]
    assert [event["engine"] for event in machine.events("start")] == ["2x16", "0+few"]


def test_a_step_that_fails_is_noted_and_the_others_are_timed(machine):
    machine.measure(*FEW, STAND_IN_FAILS="8")
    problems = machine.events("problem")
    assert {event["name"] for event in problems} >= {"step decodes=8 context=512"}
    assert all("fails as asked" in event["what"] for event in problems)
    assert len(machine.names) == 2 * 6 - len(problems)


def test_the_check_finds_the_mode_that_serves_and_engines_start_in_it(machine):
    told = machine.measure("check", "--budget", "60", STAND_IN_NEEDS="attention_backend")
    assert told.returncode == 0
    assert json.loads((machine.state / "mode.json").read_text()) == {"flags": ["triton"], "gpu": "Stand-in GPU"}
    machine.measure(*FEW, STAND_IN_NEEDS="attention_backend")
    assert {event["engine"] for event in machine.events("step")} == {"2x16+triton", "0+triton+few"}
    assert "mode known: triton" in machine.measure("check").stdout


def test_the_check_fails_where_nothing_serves(machine):
    told = machine.measure("check", "--budget", "60", STAND_IN_NEEDS="what nobody has")
    assert told.returncode == 1
    assert [event["what"] for event in machine.events("check")] == [
        "kernels",
        "2x16+few",
        "2x16+few+triton",
        "2x16+few+triton+eager",
    ]


def test_the_check_asks_for_the_untouched_library_where_there_is_one(machine):
    machine.state.mkdir()
    (machine.state / "part2.available").touch()
    assert machine.measure("check", "--budget", "60").returncode == 2  # the stand-in has no kernels


def test_what_another_gpu_measured_is_measured_again(machine):
    machine.measure("check")
    machine.measure(*FEW)
    path = machine.state / "events.jsonl"
    path.write_text(path.read_text().replace('"gpu": "Stand-in GPU"', '"gpu": "Another GPU"'))
    machine.measure(*FEW)
    assert len(machine.names) == 2 * 12


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_no_stage_outlives_the_script_that_started_it(machine, tmp_path, signal_name):
    import signal

    hanging = tmp_path / "hanging"
    hanging.mkdir()
    environment = {**machine.environment, "STAND_IN_HANGS": str(hanging)}
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(machine.command(*FEW), env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: [*hanging.iterdir()])
        (stage,) = [int(path.name) for path in hanging.iterdir()]
        parent.send_signal(getattr(signal, signal_name))
        parent.wait(30)
        wait_for(lambda: not alive(stage))
    finally:
        parent.kill()


def test_a_stage_that_takes_too_long_is_ended(machine, tmp_path, monkeypatch):
    from options import Options
    from stage import Stage

    hanging = tmp_path / "hanging"
    hanging.mkdir()
    monkeypatch.setenv("STAND_IN_HANGS", str(hanging))
    monkeypatch.setenv("PYTHONPATH", machine.environment["PYTHONPATH"])
    stage = Stage(Options(machine.state, machine.out), "tiny", ["worker", "--engine", "2x16"])
    wait_for(lambda: [*hanging.iterdir()])
    assert stage.wait(until=time.time() + 0.5) is None
    assert not alive(stage.process.pid)
    assert "starting tiny 2x16" in stage.tail
