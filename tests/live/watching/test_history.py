"""The history of a watch: an SQLite database that is whole at any time."""

import sqlite3

import pytest
from tests.live.small_plans import placed, plan_of

from adaptwin import SpecError, load_profile
from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.history import KEPT_SECONDS, WatchHistory
from adaptwin.live.watching.observed import Observed
from adaptwin.plan.plans import Plans

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")


def observed(time, requests, seconds=60.0):
    return Observed(time, seconds, {}, {"gpu-9": "no answer"}, requests, "LiteLLM")


def plans(*names):
    servers = [placed(LLAMA, f"gpu-{i}", each, 8) for i, each in enumerate(names)]
    return Plans(plans=(plan_of(LLAMA, *servers, rates=dict.fromkeys("".join(names), 1.0)),))


def test_traffic_is_kept_in_the_file_and_read_back(tmp_path):
    with WatchHistory(tmp_path / "h.sqlite") as history:
        history.add(observed(100.0, {"a": Counted(3.0, 30.0, 7.0), "b": Counted(0.0, 0.0, 0.0)}))
        history.add(observed(160.0, None))
        history.add(observed(220.0, {}))
        history.add_decision(observed(220.0, {}), WatchDecision("unknown", notes=("nothing",)), {}, 2)
    with WatchHistory(tmp_path / "h.sqlite") as history:
        found = history.traffic(0.0)
    assert (found.names, found.ends.tolist(), found.seconds.tolist()) == (("a",), [100.0, 220.0], [60.0, 60.0])
    assert found.total_of("a") == Counted(3.0, 30.0, 7.0)
    assert found.total_of("b") == Counted(0.0, 0.0, 0.0)
    assert found.between(0.0, 110.0).requests.tolist() == [[3.0]]


def test_old_traffic_is_forgotten(tmp_path):
    with WatchHistory(None) as history:
        history.add(observed(100.0, {"a": Counted(3.0, 30.0, 7.0)}))
        history.add(observed(101.0 + KEPT_SECONDS, {"a": Counted(1.0, 1.0, 1.0)}))
        assert history.traffic(0.0).requests.tolist() == [[1.0]]


def test_a_watch_goes_on_with_the_plans_that_it_had(tmp_path):
    first, second = plans("ab", "c"), plans("a", "bc")
    with WatchHistory(tmp_path / "h.sqlite") as history:
        assert history.last_plans("x") == (None, None)
        history.keep_plans(1.0, "x", first, "found")
        assert history.last_plans("x") == (None, first)
        history.keep_plans(2.0, "x", first, "run")
        history.keep_plans(3.0, "x", second, "found")
    with WatchHistory(tmp_path / "h.sqlite") as history:
        assert history.last_plans("x") == (first, second)
        assert history.last_plans("y") == (None, None)
        history.keep_plans(4.0, "x", second, "run")
        assert history.last_plans("x") == (second, None)


def test_plans_of_before_a_watch_of_others_are_not_gone_on_with():
    with WatchHistory(None) as history:
        history.keep_plans(1.0, "x", plans("ab", "c"), "run")
        history.keep_plans(2.0, "y", plans("a", "bc"), "run")
        assert history.last_plans("x") == (None, None)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("no database, but some text that is long enough to be read as one"), "history"),
        (lambda path: path.mkdir(), "history"),
        (lambda path: sqlite3.connect(path).executescript("CREATE TABLE t (x)"), "another program"),
        (
            lambda path: sqlite3.connect(path).executescript(
                "CREATE TABLE t (x); PRAGMA application_id = 1633973367; PRAGMA user_version = 99"
            ),
            "version 99",
        ),
    ],
)
def test_other_files_are_refused_and_left_as_they_are(tmp_path, make, words):
    path = tmp_path / "h.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(SpecError, match=words) as raised:
        WatchHistory(path)
    assert str(path) in str(raised.value)
    assert before is None or path.read_bytes() == before
