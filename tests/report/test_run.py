import re

from tests.report.reading import assert_fits, rendered

from adaptwin.report.run import run_table
from adaptwin.twin.simulate import simulate
from adaptwin.workload.workload import Adapter, Workload


def test_a_run_fits_80_columns_and_names_at_most_ten_adapters(overloaded) -> None:
    text = rendered(run_table(overloaded))
    assert_fits(text)
    bad = len(overloaded.adapters) - overloaded.adapters["verdict"].to_list().count("ok")
    assert bad > 10
    assert f"Adapters not ok: {bad} of 60, the worst 10" in text
    assert len(re.findall(r"^tenant-\d+ ", text, re.MULTILINE)) == 10
    for word in (
        "TTFT",
        "ITL",
        "TPOT",
        "E2E",
        "preemptions",
        "Adapter loads",
        "Busy",
        "95 % interval",
        "warm-up 10 s",
    ):
        assert word in text


def test_a_run_of_an_idle_server_has_no_latencies(plan) -> None:
    idle = Workload(adapters=(Adapter(name="a", rank=8, rate=0.0),), duration=60.0)
    text = rendered(run_table(simulate(plan.profiles[0], plan.servers[0].server, idle)))
    assert_fits(text)
    assert "all 1 are ok" in text
    assert "nan" not in text
