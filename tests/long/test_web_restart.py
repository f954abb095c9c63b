"""A web server that is killed in the middle of planning: its jobs and its results are there after the restart."""

import os
import subprocess
import time

import pytest
from tests.web.program import PROFILE, App

FLEET = "name,rank,rate\n" + "".join(f"a{place},16,0.3\n" for place in range(40))
ASKED = {"fleet": FLEET, "format": "csv", "profile": PROFILE}


@pytest.fixture
def started(tmp_path):
    running = []

    def start() -> App:
        running.append(App(tmp_path / "jobs.db"))
        return running[-1]

    yield start
    for each in running:
        each.kill()


def test_nothing_is_lost_when_the_server_is_killed(started):
    server = started()
    first, second, third = (server.call("/v1/plans", ASKED)["id"] for _ in range(3))
    done = server.until(first, "done")
    server.until(second, "running")
    server.kill()
    again = started()
    assert again.call(f"/v1/plans/{first}")["summary"] == done["summary"]
    for plan_id in (second, third):
        assert again.until(plan_id, "done", "failed")["summary"] == done["summary"]


def test_the_process_that_plans_ends_with_the_server(started):
    server = started()
    plan_id = server.call("/v1/plans", ASKED)["id"]
    server.until(plan_id, "running")
    children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False)
    workers = [int(each) for each in children.stdout.split()]
    assert workers
    server.kill()
    deadline = time.monotonic() + 10
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
