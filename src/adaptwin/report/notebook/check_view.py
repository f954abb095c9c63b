"""The verification of a plan as a notebook shows it."""

from adaptwin.plan.check import Check
from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view, line_view
from adaptwin.report.style.words import count, duration, number


def check_facts(check: Check) -> list[str]:
    """Return what a verification is in a line: whether the plan holds, its servers, and the seed."""
    facts = ["holds" if check.ok else f"does not hold: {check.failures[0]}", count(len(check.runs), "server")]
    facts += [f"{len(check.failing):,} failing"] if check.failing else []
    facts += [count(len(check.failovers), "failure scenario")] if check.failovers else []
    return [*facts, f"seed {check.seed}"]


def check_line(check: Check) -> str:
    """Return a verification in a line."""
    return line_view("Check", check_facts(check))


def check_html(check: Check) -> str:
    """Return a verification as HTML: its facts, and a table of its servers, those that fail first."""
    failing = set(check.failing)
    order = sorted(range(len(check.runs)), key=lambda place: place not in failing)
    rows = [
        (
            check.servers[place].name,
            number(run.offered_request_rate),
            number(run.throughput),
            duration(run.ttft.p99),
            duration(run.itl.p99),
            run.grade,
        )
        for place in order[:SHOWN_ROWS]
        for run in [check.runs[place]]
    ]
    headers = ("server", "requests/s", "tokens/s", "TTFT p99", "ITL p99", "verdict")
    return html_view("Check", check_facts(check), HtmlTable(headers, rows, and_more(len(check.runs), "server")))
