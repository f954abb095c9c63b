"""What binds a server, judged by its run just beyond its headroom."""

import pytest
from tests.report.brink import BRINK

from adaptwin.placement.verification.binding import binding_of

CALM = BRINK.model_copy(update={"kv_usage": 0.5, "mean_adapters": 10.0, "mean_running": 100.0, "mean_waiting": 30.0})


@pytest.mark.parametrize(
    ("verdict", "run", "expected"),
    [
        ("starved", {}, "compute"),
        ("slow", {"kv_usage": 0.95}, "slo"),
        ("starved", {"kv_usage": 0.91}, "memory"),
        ("starved", {"mean_adapters": 46.0}, "slots"),  # of 48
        ("starved", {"loading": 0.31}, "loads"),
        ("starved", {"loading": 0.31, "mean_adapters": 46.0}, "slots"),
        ("backlogged", {"mean_running": 205.0}, "max_num_seqs"),  # 0.8 x 256 is 204.8
        ("backlogged", {"mean_running": 204.0}, "compute"),
        ("backlogged", {"mean_running": 256.0, "kv_usage": 0.95}, "memory"),
        ("backlogged", {"mean_running": 256.0, "mean_waiting": 0.5}, "compute"),
    ],
)
def test_the_constraint_is_the_one_that_the_run_shows(verdict, run, expected):
    brink = CALM.model_copy(update=run)
    assert binding_of(brink, verdict, loras=64, max_loras=48, max_num_seqs=256) == expected


def test_slots_do_not_bind_where_every_adapter_has_one():
    full = CALM.model_copy(update={"mean_adapters": 48.0})
    assert binding_of(full, "starved", loras=48, max_loras=48, max_num_seqs=256) == "compute"


def test_where_no_limit_was_found_nothing_binds():
    assert binding_of(None, "ok", loras=64, max_loras=48, max_num_seqs=256) == "nothing"
