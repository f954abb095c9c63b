"""A figure of the adapters on each GPU."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.plan.placements import Placement, placements
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.gpu_rows import with_gpu_rows
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.ranks import rank_colour, rank_name
from adaptwin.report.style.plots import FROM_ZERO, escaped
from adaptwin.report.style.words import count, number, percent

NAMED_SEGMENTS = 1500  # number of adapters with their own segment; the others share one per rank and GPU


class Segment(NamedTuple):
    """A segment of a GPU's bar: one adapter, or the smaller adapters of a rank together."""

    server: str
    rank: int
    tokens: float
    label: str


def packing_figure(plan: Plan, verdicts: Mapping[tuple[str, str], str] | None = None) -> go.Figure:
    """Draw one bar per GPU: its adapters by offered tokens/s, coloured by rank, then its headroom.

    `verdicts` are those on each adapter on a server, by the names of both, which are shown where they are known.
    """
    segments = _bar_segments(placements(plan), verdicts or {})
    starts, lengths = _starts(segments)
    figure, gap = go.Figure(), 0.5 if len(segments) < 60 * plan.gpus else 0.15
    for rank in sorted({segment.rank for segment in segments}):
        chosen = [(start, one) for start, one in zip(starts, segments, strict=True) if one.rank == rank]
        figure.add_bar(
            orientation="h",
            name=rank_name(rank),
            y=[one.server for _, one in chosen],
            base=[round(start, 3) for start, _ in chosen],
            x=[round(one.tokens, 3) for _, one in chosen],
            customdata=[
                f"{one.label}<br>{percent(one.tokens / lengths[one.server])} of {one.server}" for _, one in chosen
            ],
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": rank_colour(rank), "line": {"color": "rgba(255,255,255,0.75)", "width": gap}},
        )
    _add_headroom(figure, plan, lengths)
    figure.update_xaxes(title_text="offered tokens/s", **FROM_ZERO)
    return with_gpu_rows(figure, plan, row=30)


def _bar_segments(rows: Sequence[Placement], verdicts: Mapping[tuple[str, str], str]) -> list[Segment]:
    """Return the segments of each server, rank by rank; the smaller adapters of a rank share one segment."""
    smallest = sorted((row.tokens for row in rows), reverse=True)[: NAMED_SEGMENTS + 1][-1] if rows else 0.0
    keep_all = len(rows) <= NAMED_SEGMENTS
    groups: dict[tuple[str, int], list[Placement]] = defaultdict(list)
    for row in rows:
        groups[escaped(row.server), row.rank].append(row)
    servers = {server: position for position, (server, _) in enumerate(groups)}
    segments = []
    for (server, rank), group in sorted(groups.items(), key=lambda item: (servers[item[0][0]], item[0][1])):
        named = [row for row in group if keep_all or row.tokens > smallest]
        segments += [Segment(server, rank, row.tokens, _describe(row, verdicts)) for row in named]
        if rest := group[len(named) :]:
            tokens, rate = sum(row.tokens for row in rest), sum(row.rate for row in rest)
            title = f"<b>{count(len(rest), 'adapter')}, {rank_name(rank)}</b>"
            label = f"{title}<br>{_traffic(rate, tokens)} together"
            segments.append(Segment(server, rank, tokens, label))
    return segments


def _starts(segments: Sequence[Segment]) -> tuple[list[float], dict[str, float]]:
    """Return the start of each segment on its bar, and the lengths of the bars."""
    starts, lengths = [], dict.fromkeys((segment.server for segment in segments), 0.0)
    for segment in segments:
        starts.append(lengths[segment.server])
        lengths[segment.server] += segment.tokens
    return starts, {server: length or 1.0 for server, length in lengths.items()}


def _describe(row: Placement, verdicts: Mapping[tuple[str, str], str]) -> str:
    split = "" if row.share >= 1.0 else f"<br>{percent(row.share)} of the adapter's traffic"
    known = verdicts.get((row.server, row.name))
    verdict = f"<br>verdict: {known}" if known else ""
    return f"<b>{escaped(row.name)}</b>, {rank_name(row.rank)}<br>{_traffic(row.rate, row.tokens)}{split}{verdict}"


def _traffic(rate: float, tokens: float) -> str:
    return f"{number(rate)} requests/s, {number(tokens)} tokens/s"


def _add_headroom(figure: go.Figure, plan: Plan, lengths: dict[str, float]) -> None:
    rows = [
        (name, lengths[name], server.forecast)
        for server in plan.servers
        if server.forecast and (name := escaped(server.name)) in lengths and 0 < server.forecast.headroom < math.inf
    ]
    if rows:
        figure.add_bar(
            orientation="h",
            name="headroom",
            y=[name for name, _, _ in rows],
            base=[round(length, 3) for _, length, _ in rows],
            x=[round(length * forecast.headroom, 3) for _, length, forecast in rows],
            customdata=[f"{name} could serve {headroom_text(forecast)} more traffic" for name, _, forecast in rows],
            hovertemplate="%{customdata}<extra></extra>",
            marker={
                "color": "rgba(128,128,128,0.10)",
                "line": {"color": "rgba(128,128,128,0.8)", "width": 1},
            },
        )
