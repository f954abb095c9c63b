"""The table of a front, in the terminal and on a page: what more GPUs gain in latency."""

from typing import NamedTuple

from rich.console import RenderableType

from adaptwin.plan.forecast import MOST_HEADROOM
from adaptwin.plan.front import Front, FrontPoint
from adaptwin.plan.plan import Plan
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import NOTHING, duration, money, percent


class FrontRow(NamedTuple):
    """A row of the table of a front, as text."""

    gpus: str
    price: str
    itl: str
    ttft: str
    headroom: str
    note: str


def front_rows(front: Front) -> list[FrontRow]:
    """Return the rows of a front, by rising number of GPUs."""
    points = front.points
    return [
        FrontRow(
            gpus=f"{point.gpus:,}",
            price=NOTHING
            if point.cost_per_hour is None
            else money(point.cost_per_hour, front.plans[0].options.currency),
            itl=duration(point.itl_p99),
            ttft=duration(point.ttft_p99),
            headroom=f"{'over ' if point.headroom >= MOST_HEADROOM else ''}{percent(point.headroom)}",
            note=_gain_in_words(point, points, front.plans[0]),
        )
        for point in points
    ]


def _gain_in_words(point: FrontPoint, points: tuple[FrontPoint, ...], first: Plan) -> str:
    """Say what a point is good for, against the verified one with the lowest latency on fewer GPUs."""
    if not point.verified:
        return "not verified"
    if point is points[0]:
        return "lowest price" if first.goal == "price" else "fewest GPUs"
    field, what = ("itl_p99", "ITL") if first.options.latency == "itl" else ("ttft_p99", "TTFT")
    before = [each for each in points[: points.index(point)] if each.verified]
    best = min((getattr(each, field) for each in before), default=None)
    if not point.gains or not best:
        return f"no lower {what} than with fewer GPUs" if best else ""
    return f"{what} p99 {percent(1.0 - getattr(point, field) / best)} lower"


def front_table(front: Front) -> list[RenderableType]:
    """Return the heading and the table of a front for the terminal; prices only where they are known."""
    rows, table = front_rows(front), plain_table()
    is_priced = any(row.price != NOTHING for row in rows)
    add_numbers(table, "GPUs", *(["price/h"] if is_priced else []), "ITL p99", "TTFT p99", "headroom")
    table.add_column("")
    for row in rows:
        price = [row.price] if is_priced else []
        table.add_row(row.gpus, *price, row.itl, row.ttft, row.headroom, Text(row.note, style="dim"))
    return [heading("More GPUs for less latency, worst server"), table]
