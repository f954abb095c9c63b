"""The queue: fair turns, cancelling, and processes that die or take too long."""

import sqlite3
import tempfile
import time

import pytest
from tests.web.pretended import pretend

from adaptwin.web.job import WebClient
from adaptwin.web.job_queue import JobQueue
from adaptwin.web.job_store import JobStore
from adaptwin.web.settings import WebSettings

ABOUT = {"title": "a fleet"}

PATIENCE = 60.0  # seconds; a process starts in less than one on a quiet machine


def until(holds):
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    yield store
    store.close()


@pytest.fixture
def queue_of(store, tmp_path):
    """Start a queue over the store."""
    queues = []

    def start(*, workers=1, most_seconds=PATIENCE):
        settings = WebSettings(tmp_path / "jobs.db", workers=workers, most_seconds=most_seconds)
        queues.append(JobQueue(store, settings, pretend))
        queues[-1].start()
        return queues[-1]

    yield start
    for queue in queues:
        queue.close()


def states(store, *names):
    return [store.job(name).state for name in names]


def test_turns_go_round_the_clients(store, queue_of):
    for place in range(4):
        store.add(f"ann-{place}", WebClient("ann"), {"fleet": "quick"}, ABOUT)
    store.add("bob-0", WebClient("bob"), {"fleet": "quick"}, ABOUT)
    store.add("cid-0", WebClient("cid"), {"fleet": "quick"}, ABOUT)
    queue_of()
    until(lambda: store.counts() == {"done": 6})
    order = sorted(store.latest(6), key=lambda job: job.started)
    assert [job.id for job in order] == ["ann-0", "bob-0", "cid-0", "ann-1", "ann-2", "ann-3"]


def test_a_job_is_cancelled_while_it_runs_and_the_next_one_follows(store, queue_of):
    store.add("long", WebClient("ann"), {"fleet": "sleep 1000"}, ABOUT)
    queue = queue_of()
    until(lambda: store.job("long").stage is not None)
    store.add("next", WebClient("ann"), {"fleet": "quick"}, ABOUT)
    assert store.cancel("long")
    queue.wake()
    until(lambda: store.job("next").state == "done")
    assert store.job("long").state == "cancelled"


def test_a_process_that_dies_takes_only_its_own_job_with_it(store, queue_of):
    store.add("dies", WebClient("ann"), {"fleet": "die"}, ABOUT)
    store.add("fails", WebClient("ann"), {"fleet": "fail"}, ABOUT)
    store.add("next", WebClient("ann"), {"fleet": "quick"}, ABOUT)
    queue_of()
    until(lambda: "queued" not in store.counts() and "running" not in store.counts())
    assert states(store, "dies", "fails", "next") == ["failed", "failed", "done"]
    assert store.job("dies").failure.kind == "fault"
    assert store.job("fails").failure.field == "adapters[0].rank"


def test_a_job_that_takes_too_long_is_stopped(store, queue_of):
    store.add("long", WebClient("ann"), {"fleet": "sleep 1000"}, ABOUT)
    queue_of(most_seconds=2.0)
    until(lambda: store.job("long").state == "failed")
    assert store.job("long").failure.kind == "limit"
    assert "the longest that this server plans" in store.job("long").failure.message


def test_what_runs_when_the_queue_closes_runs_again(store, queue_of, tmp_path):
    store.add("long", WebClient("ann"), {"fleet": "sleep 1000"}, ABOUT)
    queue = queue_of()
    until(lambda: store.job("long").state == "running")
    queue.close()
    store.close()
    again = JobStore(tmp_path / "jobs.db")
    assert again.job("long").state == "queued"
    again.close()


def test_the_next_turn_comes_whatever_goes_wrong_with_the_store(store, queue_of, monkeypatch):
    sound = store.finish

    def broken(*_):
        monkeypatch.setattr(store, "finish", sound)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "finish", broken)
    store.add("first", WebClient("ann"), {"fleet": "quick"}, ABOUT)
    store.add("next", WebClient("ann"), {"fleet": "quick"}, ABOUT)
    queue = queue_of()
    until(lambda: store.job("next").state == "done")
    assert store.job("first").failure.kind == "fault"
    assert queue.is_working


def test_a_process_leaves_no_files_behind(store, queue_of, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    store.add("long", WebClient("ann"), {"fleet": "write 1000"}, ABOUT)
    queue = queue_of()
    until(lambda: store.job("long").stage is not None)
    assert list(folder.rglob("left"))
    store.cancel("long")
    queue.wake()
    until(lambda: not list(folder.iterdir()))
