"""The pictures of a plan, as plotly figures: pure functions of the plan."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.plan.forecast import Forecast, TriedSlots
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.style.plots import BAD, FIRST, FROM_ZERO, SECOND, escaped, significant, template, time_ticks
from adaptwin.report.style.words import count, duration, headroom_share, number, percent

NAMED_SEGMENTS = 1500  # adapters with a segment of their own; the smaller ones share one per rank and GPU
SHOWN_POINTS = 1500  # of the popularity curve

# Paul Tol's colour-blind-safe "vibrant" scheme for the ranks people use; 0 is the base model.
RANK_COLOURS = {
    0: "#8c8c8c",
    1: "#aa4499",
    8: "#0077bb",
    16: "#ee7733",
    32: "#009988",
    64: "#ee3377",
    128: "#33bbee",
    256: "#cc3311",
    320: "#ccbb44",
    512: "#7b68c8",
}


class Placement(NamedTuple):
    """An adapter on one server, with the traffic it gets there."""

    server: str
    name: str
    rank: int
    share: float  # of the adapter's traffic
    rate: float  # requests/s on this server
    tokens: float  # prompt and output tokens/s on this server


def placements(plan: Plan) -> list[Placement]:
    """Every adapter on every server that serves it, in the plan's order of servers, largest traffic first."""
    workload = plan.workload
    means: dict[int, float] = {}  # hashing an empirical distribution for every adapter would take seconds
    for lengths in {id(of): of for of in map(workload.lengths_of, workload.adapters)}.values():
        means[id(lengths)] = lengths.mean_input + lengths.mean_output
    adapters = {adapter.name: adapter for adapter in workload.adapters}
    rows = []
    for server in plan.servers:
        placed = []
        for name, share in server.adapters.items():
            adapter = adapters[name]
            rate = adapter.rate * share
            tokens = rate * means[id(workload.lengths_of(adapter))]
            placed.append(Placement(server.name, name, adapter.rank, share, rate, tokens))
        rows += sorted(placed, key=lambda row: -row.tokens)
    return rows


class Segment(NamedTuple):
    """A piece of a GPU's bar: one adapter, or the small ones of a rank together."""

    server: str
    rank: int
    tokens: float
    label: str


def packing_figure(plan: Plan) -> go.Figure:
    """One bar per GPU: its adapters by offered tokens/s, coloured by rank, then the headroom it has left."""
    segments = _segments(placements(plan))
    starts, lengths = _starts(segments)
    figure, gap = go.Figure(), 0.5 if len(segments) < 60 * plan.gpus else 0.15
    for rank in sorted({segment.rank for segment in segments}):
        chosen = [(start, one) for start, one in zip(starts, segments, strict=True) if one.rank == rank]
        figure.add_bar(
            orientation="h",
            name=_rank_name(rank),
            y=[one.server for _, one in chosen],
            base=[round(start, 3) for start, _ in chosen],
            x=[round(one.tokens, 3) for _, one in chosen],
            customdata=[
                f"{one.label}<br>{percent(one.tokens / lengths[one.server])} of {one.server}" for _, one in chosen
            ],
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": RANK_COLOURS[rank], "line": {"color": "rgba(255,255,255,0.75)", "width": gap}},
        )
    _add_headroom(figure, plan, lengths)
    figure.update_xaxes(title_text="offered tokens/s", **FROM_ZERO)
    return _rows_of_gpus(figure, plan, row=30)


def _segments(rows: Sequence[Placement]) -> list[Segment]:
    """Rank by rank on each server; beyond the largest adapters, one segment for the rest of a rank."""
    smallest = sorted((row.tokens for row in rows), reverse=True)[: NAMED_SEGMENTS + 1][-1] if rows else 0.0
    keep_all = len(rows) <= NAMED_SEGMENTS
    groups: dict[tuple[str, int], list[Placement]] = defaultdict(list)
    for row in rows:
        groups[escaped(row.server), row.rank].append(row)
    servers = {server: position for position, (server, _) in enumerate(groups)}
    segments = []
    for (server, rank), group in sorted(groups.items(), key=lambda item: (servers[item[0][0]], item[0][1])):
        named = [row for row in group if keep_all or row.tokens > smallest]
        segments += [Segment(server, rank, row.tokens, _describe(row)) for row in named]
        if rest := group[len(named) :]:
            tokens, rate = sum(row.tokens for row in rest), sum(row.rate for row in rest)
            title = f"<b>{count(len(rest), 'adapter')}, {_rank_name(rank)}</b>"
            label = f"{title}<br>{_traffic(rate, tokens)} together"
            segments.append(Segment(server, rank, tokens, label))
    return segments


def _starts(segments: Sequence[Segment]) -> tuple[list[float], dict[str, float]]:
    """Where each segment starts on its bar, and how long the bars get."""
    starts, lengths = [], dict.fromkeys((segment.server for segment in segments), 0.0)
    for segment in segments:
        starts.append(lengths[segment.server])
        lengths[segment.server] += segment.tokens
    return starts, {server: length or 1.0 for server, length in lengths.items()}


def _describe(row: Placement) -> str:
    split = "" if row.share >= 1.0 else f"<br>{percent(row.share)} of the adapter's traffic"
    return f"<b>{escaped(row.name)}</b>, {_rank_name(row.rank)}<br>{_traffic(row.rate, row.tokens)}{split}"


def _traffic(rate: float, tokens: float) -> str:
    return f"{number(rate)} requests/s, {number(tokens)} tokens/s"


def _add_headroom(figure: go.Figure, plan: Plan, lengths: dict[str, float]) -> None:
    rows = [
        (name, lengths[name], server.forecast.headroom)
        for server in plan.servers
        if server.forecast and (name := escaped(server.name)) in lengths and 0 < server.forecast.headroom < math.inf
    ]
    if rows:
        figure.add_bar(
            orientation="h",
            name="headroom",
            y=[name for name, _, _ in rows],
            base=[round(length, 3) for _, length, _ in rows],
            x=[round(length * headroom, 3) for _, length, headroom in rows],
            customdata=[f"{name} could take {headroom_share(headroom)} more traffic" for name, _, headroom in rows],
            hovertemplate="%{customdata}<extra></extra>",
            marker={
                "color": "rgba(128,128,128,0.10)",
                "line": {"color": "rgba(128,128,128,0.8)", "width": 1},
            },
        )


class Measure(NamedTuple):
    """One value per GPU in a figure of load or latency."""

    name: str
    value: Callable[[Forecast], float]
    colour: str = FIRST
    symbol: str = "circle"


def throughput_figure(plan: Plan) -> go.Figure:
    """Tokens/s offered to each GPU and served by it."""
    offered = Measure("offered", lambda forecast: forecast.offered_throughput, SECOND, "line-ns-open")
    served = Measure("served", lambda forecast: forecast.throughput)
    return _dots(plan, [served, offered], axis={"title_text": "tokens/s", **FROM_ZERO}, write=number)


def ttft_figure(plan: Plan) -> go.Figure:
    """Median and 99th percentile of the time to first token on each GPU."""
    median = Measure("p50", lambda forecast: forecast.ttft_p50)
    tail = Measure("p99", lambda forecast: forecast.ttft_p99, SECOND, "diamond")
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    ticks = time_ticks([seconds for one in forecasts for seconds in (one.ttft_p50, one.ttft_p99)])
    return _dots(plan, [median, tail], axis={"title_text": "TTFT, logarithmic", **ticks}, write=duration)


def itl_figure(plan: Plan) -> go.Figure:
    """Mean and 99th percentile of the inter-token latency on each GPU, in milliseconds."""
    mean = Measure("mean", lambda forecast: 1e3 * forecast.itl_mean)
    tail = Measure("p99", lambda forecast: 1e3 * forecast.itl_p99, SECOND, "diamond")
    axis = {"title_text": "milliseconds", **FROM_ZERO}
    return _dots(plan, [mean, tail], axis=axis, write=lambda value: duration(value / 1e3))


def kv_figure(plan: Plan) -> go.Figure:
    """Share of the KV cache in use on each GPU, time-weighted."""
    usage = Measure("KV cache in use", lambda forecast: 100.0 * forecast.kv_usage)
    axis = {"title_text": "percent of the KV cache", "range": [0, 102]}
    return _dots(plan, [usage], axis=axis, write=lambda value: percent(value / 100.0))


def _edge(measure: Measure) -> dict[str, Any]:
    return {"width": 2 if measure.symbol.endswith("-open") else 0, "color": measure.colour}


def _dots(plan: Plan, measures: Sequence[Measure], *, axis: dict[str, Any], write: Callable[[float], str]) -> go.Figure:
    """A row per GPU and a mark per measure."""
    known = [(escaped(server.name), server.forecast) for server in plan.servers if server.forecast]
    figure = go.Figure()
    for measure in measures:
        values = [measure.value(forecast) for _, forecast in known]
        figure.add_scatter(
            mode="markers",
            name=measure.name,
            x=[significant(value) for value in values],
            y=[name for name, _ in known],
            customdata=[write(value) for value in values],
            hovertemplate=f"%{{y}}<br>{measure.name} %{{customdata}}<extra></extra>",
            marker={"color": measure.colour, "symbol": measure.symbol, "size": 9, "line": _edge(measure)},
        )
    figure.update_xaxes(**axis)
    figure.update_layout(showlegend=len(measures) > 1)
    return _rows_of_gpus(figure, plan, row=22)


def _rows_of_gpus(figure: go.Figure, plan: Plan, *, row: int) -> go.Figure:
    """The shared layout of figures with a row per GPU, the first on top; many GPUs get thinner rows."""
    names = [escaped(server.name) for server in plan.servers]
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=names,
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
        ticklabelstandoff=6,
    )
    figure.update_layout(
        template=template(),
        barmode="overlay",
        bargap=0.25,
        height=max(150, 100 + min(row * len(names), 900 + 3 * len(names))),
        margin={"t": 36},
    )
    return figure


def choices_figure(server: PlacedServer) -> go.Figure:
    """Throughput and mean ITL of one server against ``max_loras``, with the chosen value marked."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for row, value in ((1, _choice_throughput), (2, _choice_itl)):
        _add_choices(figure, server, value, row=row)
    ticks = [str(choice.max_loras) for choice in _in_order(server)]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=ticks)
    figure.update_xaxes(title_text="max_loras", row=2, col=1)
    figure.update_yaxes(nticks=5, **FROM_ZERO)
    figure.update_yaxes(title_text="tokens/s", row=1, col=1)
    figure.update_yaxes(title_text="mean ITL, ms", row=2, col=1)
    return figure.update_layout(template=template(), height=340, margin={"t": 44})


class ChoiceKind(NamedTuple):
    """How one kind of tried value is drawn."""

    name: str
    holds: Callable[[TriedSlots, int], bool]
    marker: dict[str, Any]


_CHOICE_KINDS = (
    ChoiceKind(
        "tried",
        lambda choice, chosen: choice.max_loras != chosen and choice.starts and choice.verdict in (None, "ok"),
        {"symbol": "circle", "size": 7, "color": FIRST},
    ),
    ChoiceKind(
        "not ok",
        lambda choice, chosen: choice.max_loras != chosen and choice.starts and choice.verdict not in (None, "ok"),
        {"symbol": "triangle-down-open", "size": 9, "color": BAD, "line": {"width": 2}},
    ),
    ChoiceKind(
        "does not start",
        lambda choice, _: not choice.starts,
        {"symbol": "x-thin-open", "size": 8, "color": "#8c8c8c", "line": {"width": 2}},
    ),
    ChoiceKind(
        "chosen",
        lambda choice, chosen: choice.max_loras == chosen and choice.starts,
        {"symbol": "star", "size": 14, "color": SECOND},
    ),
)


def _add_choices(figure: go.Figure, server: PlacedServer, value: Callable[[TriedSlots], float], *, row: int) -> None:
    choices = _in_order(server)
    started = [choice for choice in choices if choice.starts]
    line = {"color": "rgba(128,128,128,0.6)", "width": 1.5}
    figure.add_scatter(
        x=[str(choice.max_loras) for choice in started],
        y=[significant(value(choice)) for choice in started],
        mode="lines",
        line=line,
        hoverinfo="skip",
        showlegend=False,
        row=row,
        col=1,
    )
    for kind in _CHOICE_KINDS:
        shown = [choice for choice in choices if kind.holds(choice, server.server.max_loras)]
        if shown and (row == 1 or any(choice.starts for choice in shown)):
            figure.add_scatter(
                x=[str(choice.max_loras) for choice in shown],
                y=[significant(value(choice)) for choice in shown],
                mode="markers",
                name=kind.name,
                marker=kind.marker,
                cliponaxis=False,
                customdata=[_describe_choice(choice) for choice in shown],
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=row == 1,
                legendgroup=kind.name,
                row=row,
                col=1,
            )


def _in_order(server: PlacedServer) -> list[TriedSlots]:
    return sorted(server.choices, key=lambda choice: choice.max_loras)


def _choice_throughput(choice: TriedSlots) -> float:
    return choice.throughput if choice.starts else 0.0


def _choice_itl(choice: TriedSlots) -> float:
    return 1e3 * choice.itl_mean if choice.starts else 0.0


def _describe_choice(choice: TriedSlots) -> str:
    if not choice.starts:
        return f"<b>max_loras {choice.max_loras}</b><br>does not start: too little KV cache is left"
    return (
        f"<b>max_loras {choice.max_loras}</b>: {choice.verdict or 'not judged'}<br>"
        f"{number(choice.throughput)} tokens/s, ITL mean {duration(choice.itl_mean)}<br>"
        f"TTFT p50 {duration(choice.ttft_p50)}, KV cache {choice.kv_cache_tokens:,} tokens"
    )


def popularity_figure(plan: Plan) -> go.Figure:
    """The adapters' request rates from the most to the least popular, coloured by rank."""
    adapters = sorted((one for one in plan.workload.adapters if one.rate > 0), key=lambda one: -one.rate)
    totals: dict[int, int] = defaultdict(int)
    for adapter in plan.workload.adapters:
        totals[adapter.rank] += 1
    shown = list(_thinned(len(adapters)))
    figure = go.Figure()
    for rank, total in sorted(totals.items()):
        places = [place for place in shown if adapters[place].rank == rank]
        figure.add_scatter(
            mode="markers",
            name=f"{_rank_name(rank)} ({total:,})",
            x=[place + 1 for place in places],
            y=[significant(adapters[place].rate) for place in places],
            customdata=[f"<b>{escaped(adapters[place].name)}</b>, {_rank_name(rank)}" for place in places],
            hovertemplate="%{customdata}<br>%{y:.3~g} requests/s, number %{x:,}<extra></extra>",
            marker={"color": RANK_COLOURS[rank], "size": 5},
        )
    decades = math.log10(adapters[0].rate / adapters[-1].rate) if adapters else 0.0
    figure.update_xaxes(title_text="adapters, most popular first", showgrid=False, **FROM_ZERO)
    figure.update_yaxes(title_text="requests/s, logarithmic", type="log", tickformat="~g")
    figure.update_yaxes(dtick="D2" if decades < 2.5 else 1)
    return figure.update_layout(template=template(), height=320, margin={"t": 36}, showlegend=True)


def _thinned(total: int) -> Iterable[int]:
    """Places on a curve of `total` points: all of the head, an even selection of the long tail."""
    head = min(total, SHOWN_POINTS // 3)
    step = max(1, math.ceil((total - head) / (SHOWN_POINTS - SHOWN_POINTS // 3)))
    yield from range(head)
    yield from range(head, total, step)


def _rank_name(rank: int) -> str:
    return f"rank {rank}" if rank else "base model"
