"""The figures of a plan: their names and titles, and the functions that draw them."""

from collections.abc import Callable

import plotly.graph_objects as go

from adaptwin.plan.plan import Plan
from adaptwin.report.plan.forecast_charts import itl_figure, kv_figure, throughput_figure, ttft_figure
from adaptwin.report.plan.packing_chart import packing_figure
from adaptwin.report.plan.popularity_chart import popularity_figure
from adaptwin.report.style.page import Picture


def plan_pictures(noun: str) -> tuple[tuple[Picture, Callable[[Plan], go.Figure]], ...]:
    """Return the figures of a plan with the functions that draw them; a server is called by this noun."""
    return (
        (
            Picture(
                "packing",
                f"Which adapters are on which {noun}",
                f"One bar per {noun}, one segment per adapter. The length of a segment is the adapter's offered tokens "
                "per second, its colour the rank. The outlined end is headroom: more traffic that the "
                f"{noun} could serve.",
            ),
            packing_figure,
        ),
        (
            Picture("throughput", "Throughput", "Prompt and output tokens per second, offered and served."),
            throughput_figure,
        ),
        (
            Picture("kv", "KV cache", f"Share of each {noun}'s KV cache in use, averaged over time."),
            kv_figure,
        ),
        (
            Picture("ttft", "Time to first token", f"Median and 99th percentile over the requests of each {noun}."),
            ttft_figure,
        ),
        (
            Picture("itl", "Inter-token latency", "Mean and 99th percentile of the gaps between output tokens."),
            itl_figure,
        ),
        (
            Picture(
                "popularity",
                "Popularity of the adapters",
                "Requests per second of each adapter, from the most to the least popular, coloured by rank.",
            ),
            popularity_figure,
        ),
    )
