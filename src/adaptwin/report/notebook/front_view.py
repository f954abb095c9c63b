"""A front as a notebook shows it."""

from adaptwin.plan.front import Front
from adaptwin.report.notebook.html_table import HtmlTable, html_view
from adaptwin.report.plan.front import front_rows
from adaptwin.report.style.words import NOTHING, count, duration


def front_facts(front: Front) -> list[str]:
    """Return what a front is in a line: its plans, their GPUs, the lowest latency, and how many are verified."""
    points = front.points
    gpus = [point.gpus for point in points]
    best = min(points, key=lambda point: point.itl_p99)
    return [
        count(len(points), "plan"),
        f"{gpus[0]:,} to {gpus[-1]:,} GPUs" if gpus[0] < gpus[-1] else count(gpus[0], "GPU"),
        count(len(front.plans[0].workload), "adapter"),
        f"{sum(point.verified for point in points):,} verified",
        f"lowest ITL p99 {duration(best.itl_p99)} on {count(best.gpus, 'GPU')}",
    ]


def front_html(front: Front) -> str:
    """Return a front as HTML: its facts, and a table of its plans."""
    rows = front_rows(front)
    is_priced = any(row.price != NOTHING for row in rows)
    headers = ("GPUs", *(["price per hour"] if is_priced else []), "ITL p99", "TTFT p99", "headroom", "")
    cells = [(row.gpus, *([row.price] if is_priced else []), row.itl, row.ttft, row.headroom, row.note) for row in rows]
    return html_view("Front", front_facts(front), HtmlTable(headers, cells))
