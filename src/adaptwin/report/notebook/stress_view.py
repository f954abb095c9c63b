"""A stress test of a plan as a notebook shows it."""

from adaptwin.plan.stress import Stress
from adaptwin.report.notebook.html_table import HtmlTable, html_view
from adaptwin.report.plan.stress import interval, of_trials
from adaptwin.report.style.words import NOTHING, count


def stress_facts(stress: Stress) -> list[str]:
    """Return what a stress test is in a line: servers, how often the fleet held under the first traffic, and seed."""
    held = [f"{result.traffic}: held in {of_trials(result.fleet)} runs" for result in stress.results[:1]]
    others = len(stress.results) - 1
    more = [f"and {count(others, 'other kind', 'other kinds')} of traffic"] if others > 0 else []
    return [count(len(stress.servers), "server"), *held, *more, f"seed {stress.seed}"]


def stress_html(stress: Stress) -> str:
    """Return a stress test as HTML: how often the fleet and its servers held, by kind of traffic."""
    rows = [
        (
            result.traffic,
            of_trials(result.fleet),
            interval(result.fleet),
            of_trials(result.servers),
            max(result.failed, key=lambda name: result.failed[name], default=NOTHING),
        )
        for result in stress.results
    ]
    headers = ("traffic", "fleet holds", "95 % interval", "server runs that hold", "fails most often")
    return html_view("Stress", stress_facts(stress), HtmlTable(headers, rows))
