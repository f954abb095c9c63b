"""Jobs in a file: states change in one direction only, and a restart loses nothing."""

import sqlite3

import pytest

from adaptwin.errors import SpecError
from adaptwin.web.job import Failure, Result, Stage
from adaptwin.web.job_store import MOST_BEGUN, JobStore


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.db")
    yield store
    store.close()


def test_a_job_goes_from_queued_to_done(store):
    added = store.add("a", "ann", {"fleet": "x"})
    assert (added.state, added.request, added.stage) == ("queued", {"fleet": "x"}, None)
    assert store.begin("a")
    assert not store.begin("a")
    store.at("a", Stage("packing", 1, 3))
    assert store.job("a").stage == Stage("packing", 1, 3)
    assert store.finish("a", Result({"gpus": 2}, "plan\n", "<p>page</p>"))
    done = store.job("a")
    assert (done.state, done.summary, done.stage) == ("done", {"gpus": 2}, None)
    assert done.created <= done.started <= done.ended
    assert (store.plan("a"), store.report("a")) == ("plan\n", "<p>page</p>")


def test_what_has_ended_stays_as_it_is(store):
    store.add("a", "ann", {})
    assert store.cancel("a")
    assert not store.begin("a")
    assert not store.finish("a", Result({}, "", ""))
    assert not store.fail("a", Failure("", "too late", "fault"))
    assert store.job("a").state == "cancelled"
    assert store.plan("a") is None


def test_jobs_that_ran_are_queued_again_after_a_restart_and_results_are_there(store, tmp_path):
    for name in ("done", "running", "waiting", "failed"):
        store.add(name, "ann", {"fleet": name})
    for name in ("done", "running", "failed"):
        store.begin(name)
    store.finish("done", Result({"gpus": 1}, "plan", "page"))
    store.fail("failed", Failure("rate", "is wrong", "input"))
    again = JobStore(tmp_path / "jobs.db")  # the other one is still open, as after kill -9
    assert {job.id: job.state for job in again.latest(10)} == {
        "done": "done", "running": "queued", "waiting": "queued", "failed": "failed",
    }  # fmt: skip
    assert [job.id for job in again.queued()] == ["running", "waiting"]
    assert again.report("done") == "page"
    assert again.job("failed").failure == Failure("rate", "is wrong", "input")
    again.close()


def test_turns_and_counts(store):
    for name in "abc":
        store.add(name, "ann", {})
    assert [store.ahead_of(store.job(name)) for name in "abc"] == [0, 1, 2]
    assert store.counts() == {"queued": 3}
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
    JobStore(tmp_path / "jobs.db").add("a", "ann", {})
    for _ in range(MOST_BEGUN):
        store = JobStore(tmp_path / "jobs.db")
        assert store.job("a").state == "queued"
        assert store.begin("a")
        store.close()
    job = JobStore(tmp_path / "jobs.db").job("a")
    assert (job.state, job.failure.kind) == ("failed", "fault")


def test_only_the_newest_that_have_ended_are_kept(store):
    for name in "abcd":
        store.add(name, "ann", {})
    for name in "abc":
        store.begin(name)
        store.finish(name, Result({}, "plan", "page"))
    store.keep(2)
    assert [job.id for job in store.latest(9)] == ["d", "c", "b"]
    assert store.plan("a") is None
