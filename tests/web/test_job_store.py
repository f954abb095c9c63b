"""Jobs in a file: states change in one direction only, and a restart loses nothing."""

import random
import sqlite3

import pytest

from adaptwin.errors import SpecError
from adaptwin.web.job import Failure, JobResult, Stage, WebClient
from adaptwin.web.job_store import MOST_BEGUN, JobStore

ANN, ABOUT = WebClient("127.0.0.1", "ann"), {"title": "a fleet"}


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    yield store
    store.close()


def test_a_job_goes_from_queued_to_done(store):
    added = store.add("a", ANN, {"fleet": "x"}, ABOUT)
    assert (added.state, added.about, added.stage) == ("queued", ABOUT, None)
    assert store.request("a") == {"fleet": "x"}
    assert store.begin("a")
    assert not store.begin("a")
    store.at("a", Stage("packing", 1, 3))
    assert store.job("a").stage == Stage("packing", 1, 3)
    assert store.finish("a", JobResult({"gpus": 2}, "plan\n", "<p>page</p>"))
    done = store.job("a")
    assert (done.state, done.summary, done.stage) == ("done", {"gpus": 2}, None)
    assert done.created <= done.started <= done.ended
    assert (store.plan("a"), store.report("a")) == ("plan\n", "<p>page</p>")


def test_what_has_ended_stays_as_it_is(store):
    store.add("a", ANN, {}, ABOUT)
    assert store.cancel("a")
    assert not store.begin("a")
    assert not store.finish("a", JobResult({}, "", ""))
    assert not store.fail("a", Failure("", "too late", "fault"))
    assert store.job("a").state == "cancelled"
    assert store.plan("a") is None


def test_jobs_that_ran_are_queued_again_after_a_restart_and_results_are_there(store, tmp_path):
    for name in ("done", "running", "waiting", "failed"):
        store.add(name, ANN, {"fleet": name}, ABOUT)
    for name in ("done", "running", "failed"):
        store.begin(name)
    store.finish("done", JobResult({"gpus": 1}, "plan", "page"))
    store.fail("failed", Failure("rate", "is wrong", "input"))
    store.close()
    again = JobStore(tmp_path / "jobs.db")
    assert {job.id: job.state for job in again.latest(10)} == {
        "done": "done", "running": "queued", "waiting": "queued", "failed": "failed",
    }  # fmt: skip
    assert [job.id for job in again.waiting()] == ["running", "waiting"]
    assert again.report("done") == "page"
    assert again.job("failed").failure == Failure("rate", "is wrong", "input")
    again.close()


def test_turns_and_counts(store):
    for name in "abc":
        store.add(name, ANN, {}, ABOUT)
    assert [store.ahead_of(store.job(name)) for name in "abc"] == [0, 1, 2]
    assert store.counts() == {"queued": 3}
    store.cancel("a")
    store.remove("a")
    assert store.job("a") is None
    assert [job.id for job in store.latest(1)] == ["c"]


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "no.db").write_text("this is no database, but a text that is long enough to be looked at " * 20)
    with pytest.raises(SpecError, match=r"no\.db: cannot hold the jobs"):
        JobStore(tmp_path / "no.db")
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(SpecError, match="another version"):
        JobStore(tmp_path / "later.db")
    with pytest.raises(SpecError, match="cannot hold the jobs"):
        JobStore(tmp_path / "missing" / "jobs.db")


def test_a_job_that_ended_its_server_a_few_times_is_not_begun_again(tmp_path):
    first = JobStore(tmp_path / "jobs.db")
    first.add("a", ANN, {}, ABOUT)
    first.close()
    for _ in range(MOST_BEGUN):
        store = JobStore(tmp_path / "jobs.db")
        assert store.job("a").state == "queued"
        assert store.begin("a")
        store.close()
    last = JobStore(tmp_path / "jobs.db")
    assert (last.job("a").state, last.job("a").failure.kind) == ("failed", "fault")
    last.close()


def test_only_the_newest_that_have_ended_are_kept(store):
    for name in "abcd":
        store.add(name, ANN, {}, ABOUT)
    for name in "abc":
        store.begin(name)
        store.finish(name, JobResult({}, "plan", "page"))
    store.keep(2)
    assert [job.id for job in store.latest(9)] == ["d", "c", "b"]
    assert store.plan("a") is None


def test_a_file_belongs_to_one_store(store, tmp_path):
    with pytest.raises(SpecError, match="another server uses it"):
        JobStore(tmp_path / "jobs.db")
    store.add("a", ANN, {}, ABOUT)


def test_what_was_asked_for_is_kept_for_plans_that_were_made(store):
    for name in ("done", "failed", "cancelled"):
        store.add(name, ANN, {"fleet": name}, ABOUT)
        store.begin(name)
    store.finish("done", JobResult({}, "plan", "page"))
    store.fail("failed", Failure("", "why", "input"))
    store.cancel("cancelled")
    store.keep(10)
    assert [store.request(name) for name in ("done", "failed", "cancelled")] == [{"fleet": "done"}, None, None]


def test_the_file_becomes_smaller_when_jobs_are_forgotten(store, tmp_path):
    noise = random.Random(0).randbytes(2_000_000).hex()
    for name in "ab":
        store.add(name, ANN, {"fleet": noise}, ABOUT)
        store.cancel(name)
    store.keep(10)
    store.close()
    assert (tmp_path / "jobs.db").stat().st_size < 500_000


def test_only_what_has_ended_is_removed(store):
    store.add("a", ANN, {}, ABOUT)
    assert not store.remove("a")
    store.begin("a")
    store.finish("a", JobResult({}, "plan", "page"))
    assert store.remove("a")
    assert (store.job("a"), store.plan("a")) == (None, None)
