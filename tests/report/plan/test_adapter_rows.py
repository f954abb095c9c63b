"""The table of adapters: figures of each adapter alone where its server was simulated, and never a guess elsewhere."""

import json
import math

import pytest
from tests.report.reading import Page

from adaptwin.briefing.briefing import Briefing
from adaptwin.report.plan.adapter_rows import adapter_columns, adapter_row, served_adapters
from adaptwin.report.plan.page import plan_report
from adaptwin.twin.simulate import simulate


@pytest.fixture(scope="module")
def briefing(plan):
    """Runs of the first two servers, of which one is recorded."""
    runs = {
        server.name: simulate(
            plan.profile_of(server),
            server.server,
            plan.workload_of(server).model_copy(update={"duration": 120}),
            record=place == 0,
        )
        for place, server in enumerate(plan.servers[:2])
    }
    return Briefing(runs, 2)


def test_every_adapter_has_a_row_on_each_of_its_servers(plan, briefing):
    rows = served_adapters(plan, briefing)
    assert len(rows) == sum(len(server.adapters) for server in plan.servers)
    figures = briefing.runs["gpu-0"].adapters
    first = next(each for each in rows if each.placement.server == "gpu-0")
    (of_run,) = figures.filter(figures["name"] == first.placement.name).iter_rows(named=True)
    assert first.ttft_p99 == of_run["ttft_p99"]
    assert first.verdict == of_run["verdict"]


def test_without_a_run_only_the_verdict_of_a_server_that_is_ok_is_known(plan, briefing):
    *others, last = plan.servers
    overloaded = last.model_copy(update={"forecast": last.forecast.model_copy(update={"verdict": "starved"})})
    changed = plan.model_copy(update={"servers": (*others, overloaded)})
    rows = {(each.placement.server, each.placement.name): each for each in served_adapters(changed, briefing)}
    for (server, _), each in rows.items():
        if server == "gpu-2":
            assert (each.ttft_p50, each.verdict) == (None, "ok")
        if server == last.name:
            assert (each.verdict, each.is_overloaded) == ("", False)
    assert adapter_row(next(each for (server, _), each in rows.items() if server == last.name)).verdict == "–"
    text = Page(plan_report(changed, briefing=briefing)).words()
    assert f"For {len(last.adapters)} adapters, it is not known whether they are overloaded" in text


def test_the_columns_of_the_download_are_plain_and_as_long_as_the_table(plan, briefing):
    rows = served_adapters(plan, briefing)
    columns = adapter_columns(rows)
    assert {len(values) for values in columns.values()} == {len(rows)}
    assert math.isclose(sum(columns["requests_per_second"]), plan.workload.rate, rel_tol=1e-3)
    html = plan_report(plan, briefing=briefing)
    start = html.index('class="columns">') + len('class="columns">')
    assert json.loads(html[start : html.index("</script>", start)]) == columns


def test_adapters_that_are_overloaded_are_named(plan, briefing):
    run = briefing.runs["gpu-0"]
    name = run.adapters["name"][0]
    starved = run.adapters.with_columns(
        verdict=run.adapters["name"].map_elements(lambda each: "starved" if each == name else "ok", return_dtype=str)
    )
    runs = {**briefing.runs, "gpu-0": run.model_copy(update={"adapters": starved})}
    text = Page(plan_report(plan, briefing=Briefing(runs, 2))).words()
    assert f"1 adapter overloaded: {name} (starved on gpu-0)." in text
    assert "No adapter is overloaded." in Page(plan_report(plan)).words()


def test_a_recorded_server_has_its_course_over_time_and_the_packing_its_verdicts(plan, briefing):
    html = plan_report(plan, briefing=briefing)
    assert 'id="series-0"' in html
    assert 'id="series-1"' not in html
    assert "verdict: ok" in html
    assert "The 2 GPUs with the least headroom were simulated for this page." in Page(html).words()
