"""Open loops: what is sent, and what is seen of it."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from engine_spec import EngineSpec
from open_loops import OpenLoop, open_loops
from played_runs import Client

from .conftest import Machine

SCRIPT = """
import json, sys, time
from pathlib import Path
from driver import Driver
from engine_spec import EngineSpec
from open_loops import OpenLoop
from options import Options
from played_runs import play

driver = Driver("tiny", EngineSpec.parse("2x16"), Options(Path(sys.argv[1]), Path(sys.argv[1])))
run = play(driver, OpenLoop(4, 40.0, 32, 8, 1.5), time.time() + 10)
timed = [load for load in driver.loads() if load["source"] == "host"]
print(json.dumps({**run, "timed": len(timed), "loads": driver.runner.lora_manager.loads}))
"""


class Output:
    """What vLLM tells of a request in a step."""

    def __init__(self, request_id, tokens, finished=False):
        self.request_id, self.new_token_ids, self.finished = request_id, [0] * tokens, finished


def test_the_same_requests_arrive_each_time_within_the_run():
    run = OpenLoop(8, 20.0, 256, 200, 45.0, skew=1.0)
    due = run.arrivals()
    assert due == run.arrivals()
    assert all(0 < one.at <= other.at < 45 for one, other in pairwise(due))
    assert len(due) == pytest.approx(20 * 45, rel=0.1)
    assert sum(run.rates) == pytest.approx(20)
    assert run.rates[0] == pytest.approx(8 * run.rates[7])


def test_only_servers_with_few_slots_are_played():
    assert len({run.name for run in open_loops(EngineSpec.parse("16x64"), tiny=False)}) == 4
    assert open_loops(EngineSpec.parse("64x16"), tiny=False) == []
    assert open_loops(EngineSpec.parse("0"), tiny=False) == []
    assert any(run.adapters > 2 for run in open_loops(EngineSpec.parse("2x16"), tiny=True))


def test_figures_are_those_worked_out_by_hand():
    client = Client()
    for request, at in (("a", 0.0), ("b", 1.0), ("c", 1.5)):
        client.send(request, at)
    client.receive([Output("a", 1)], 0.5)
    client.receive([Output("a", 1), Output("b", 1)], 1.25)
    client.receive([Output("a", 2, finished=True), Output("b", 1)], 1.5)
    figures = client.figures(OpenLoop(1, 1.0, 10, 4, 2.0), seconds=2.0)
    assert figures["throughput"] == 1 * 14 / 2
    assert figures["starved"]
    assert figures["ttft_p50"] == pytest.approx((0.5 + 0.25) / 2)
    assert figures["itl_mean"] == pytest.approx((0.75 + 0.25 + 0.0 + 0.25) / 4)
    assert figures["itl_p99"] == pytest.approx(0.75)
    assert figures["tpot_mean"] == pytest.approx((1.5 - 0.5) / 3)


def test_nothing_seen_is_no_figure():
    figures = Client().figures(OpenLoop(1, 1.0, 10, 4, 2.0), seconds=2.0)
    assert figures["itl_mean"] is figures["itl_p99"] is figures["tpot_mean"] is figures["ttft_p50"] is None


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run of four adapters on two slots of the stand-in."""
    machine = Machine(tmp_path_factory.mktemp("run"))
    command = [sys.executable, "-c", SCRIPT, str(machine.state)]
    told = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(told.stdout)


def test_a_run_serves_what_arrives_on_an_engine_that_is_fast(played):
    assert played["arrived"] == len(OpenLoop(4, 40.0, 32, 8, 1.5).arrivals())
    assert played["finished"] >= 0.9 * played["arrived"]
    assert not played["measured"]["starved"]
    assert sum(len(adapter["arrivals"]) for adapter in played["workload"]["adapters"]) == played["arrived"]
    assert 0 < played["measured"]["itl_mean"] < played["measured"]["ttft_p50"] < 0.1
    assert played["rows"]


def test_loads_are_not_timed_in_a_run_as_that_waits_for_the_gpu(played):
    assert played["timed"] == 4  # those before the run, which bring its adapters to host memory
    assert played["loads"] > 4 + 10
