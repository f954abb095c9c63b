"""How numbers are written for people, and tables that fit a terminal of 80 columns."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adaptwin.plan.check import Check
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.profile import Profile, ProfileError
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.words import NOTHING, count, duration, headroom_share, money, number, percent
from adaptwin.twin.run import Latency, Run

WORST_SHOWN = 10

_VERDICT_STYLES = {"ok": "green", "slow": "yellow", "backlogged": "red", "starved": "bold red"}
_SEVERITY = {"starved": 0, "backlogged": 1, "slow": 2, "ok": 3}
_INTERVAL_NAMES = {
    "throughput": "Throughput, tok/s",
    "ttft.p50": "TTFT p50",
    "ttft.p99": "TTFT p99",
    "itl.mean": "ITL mean",
    "itl.p99": "ITL p99",
    "e2e.p99": "E2E p99",
}


def rank_counts(plan: Plan) -> list[dict[int, int]]:
    """For every server of the plan, how many adapters of each rank it serves, in rising order of rank."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    counted = (Counter(ranks[name] for name in server.adapters) for server in plan.servers)
    return [dict(sorted(counts.items())) for counts in counted]


def rank_summary(counts: dict[int, int]) -> str:
    """``8×40 16×12``: rank times count; ``base`` is traffic without an adapter."""
    return " ".join(f"{rank or 'base'}×{many}" for rank, many in counts.items()) or NOTHING


def bound_sentence(plan: Plan) -> str:
    """What the lower bound says about this plan."""
    above = plan.gpus - plan.lower_bound
    spares = f", {plan.options.spare} of them spare" if plan.options.spare else ""
    bound = f"No plan under these profiles can do with fewer than {count(plan.lower_bound, 'GPU')}{spares}"
    if above <= 0:
        return f"{bound}: this one is optimal."
    return f"{bound} (lower bound): this one is at most {count(above, 'GPU')} above the best."


def cost_sentence(plan: Plan) -> str:
    """What the plan costs per hour, and how far that can be from the best; nothing where prices are unknown."""
    cost, bound = plan.cost_per_hour, plan.cost_bound
    if cost is None:
        return ""
    if bound is None:
        return f"Price per hour: {money(cost)}."
    said = f"No plan under these profiles can cost less than {money(bound)} per hour"
    if cost - bound < 0.005:
        return f"{said}: this one is optimal."
    return f"{said} (lower bound): this one, for {money(cost)}, is at most {money(cost - bound)} above the best."


def used_gpus(plan: Plan) -> str:
    """How many GPUs of which profile: ``2 × h100-..., 1 × l40s-...``."""
    names = [profile.name for profile in plan.profiles]
    used = Counter(sorted((server.profile for server in plan.servers), key=names.index))
    return ", ".join(f"{many:,} × {name}" for name, many in used.items())


def bound_sentences(plan: Plan) -> tuple[str, ...]:
    """What the lower bounds say about this plan: on GPUs, unless something else counts, and on the price."""
    on_gpus = () if plan.goal != "gpus" else (bound_sentence(plan),)
    return tuple(filter(None, (*on_gpus, cost_sentence(plan))))


def verified_sentence(plan: Plan) -> str:
    """Whether the plan was checked, and how."""
    if plan.verified:
        return "Verified: a twin run per GPU with fresh seeds found nobody starving."
    if not plan.promises:
        forecasts = [server.forecast for server in plan.servers if server.forecast]
        offered = sum(forecast.offered_throughput for forecast in forecasts)
        served = sum(forecast.throughput for forecast in forecasts) / offered if offered else 1.0
        return f"Too few GPUs for everybody: {percent(served)} of the tokens offered are served within the window."
    return "Not verified: no twin run with fresh seeds has confirmed this plan."


def failover_sentence(plan: Plan) -> str:
    """What happens when GPUs fail, and with what latency; nothing where the plan has no spare ones."""
    if not plan.options.spare:
        return ""
    if plan.standbys:
        names = ", ".join(server.name for server in plan.standbys)
        then = f"a standby ({names}) starts with its settings and takes its adapters over; a cold start"
    else:
        then = "its adapters move to servers that run; no restart, no standby"
    tails = [failover.itl_p99 for failover in plan.failover if failover.itl_p99 and math.isfinite(failover.itl_p99)]
    latency = f" ITL p99 is then up to {duration(max(tails))}." if tails else ""
    seeds = "" if plan.standbys else f" with {count(len(plan.verified_seeds), 'fresh seed')}"
    checked = f" Verified{seeds}." if plan.verified else " Not verified."
    return f"Any {count(plan.options.spare, 'GPU')} may fail: {then}.{latency}{checked}"


def rejected_sentence(plan: Plan) -> str:
    """How many requests are too long for the servers; nothing where none is."""
    rejected = sum(server.forecast.rejected for server in plan.servers if server.forecast)
    window = duration(plan.workload.duration)
    return f"{count(rejected, 'request')} in {window} would be rejected: longer than max_model_len." if rejected else ""


def uncertainty_sentence(plan: Plan) -> str:
    """How far a real GPU may be from the forecasts; nothing where the profiles do not know."""
    known = [server.forecast for server in plan.servers if server.forecast and server.forecast.intervals]
    widths = {
        name: max((f.intervals[metric][1] / value(f) - 1.0 for f in known if metric in f.intervals), default=0.0)
        for name, metric, value in _UNCERTAIN
    }
    told = [f"{name} within {percent(width)}" for name, width in widths.items() if width > 0]
    return f"A real GPU would have {' and '.join(told)} of these figures, nine times in ten." if told else ""


_UNCERTAIN: tuple[tuple[str, str, Callable[[Forecast], float]], ...] = (
    ("throughput", "throughput", lambda forecast: forecast.throughput),
    ("mean ITL", "itl.mean", lambda forecast: forecast.itl_mean),
)


def plan_table(plan: Plan) -> RenderableType:
    """A plan for the terminal: headline, then per GPU its settings and what the twin expects of it."""
    return Group(
        _plan_headline(plan),
        heading("Servers"),
        _servers_table(plan),
        heading("What the twin expects"),
        _forecast_table([server for server in plan.servers if not server.is_standby]),
        Text(uncertainty_sentence(plan)),
    )


def _plan_headline(plan: Plan) -> Text:
    adapters, rate = count(len(plan.workload), "adapter"), number(plan.workload.rate)
    gpus = (count(plan.gpus, "GPU"), "bold")
    priced = "" if plan.cost_per_hour is None else f" at {money(plan.cost_per_hour)} per hour"
    text = Text.assemble(gpus, f" for {adapters} with {rate} requests/s{priced}.\n")
    if len(plan.profiles) > 1:
        text.append(f"{used_gpus(plan)}.\n")
    text.append("".join(f"{sentence}\n" for sentence in bound_sentences(plan)))
    text.append(verified_sentence(plan), style="green" if plan.verified else "yellow")
    if rejected := rejected_sentence(plan):
        text.append(f"\n{rejected}", style="bold red")
    if failover := failover_sentence(plan):
        text.append(f"\n{failover}")
    text.append(f"\n{made_how(plan)}.")
    if plan.time_limit_hit:
        text.append("\nThe time limit ended the search early.", style="yellow")
    return text


def made_how(plan: Plan) -> str:
    """Objective, strategy, seed, headroom and margin asked for, planning time, and how often the twin was asked."""
    parts = [f"Objective {plan.options.objective}", f"strategy {plan.options.strategy}", f"seed {plan.seed}"]
    if plan.options.headroom:
        parts.append(f"headroom asked for {percent(plan.options.headroom)}")
    if plan.margin:
        parts.append(f"margin {percent(plan.margin)}")
    if plan.planning_seconds:
        search = f" (search {duration(plan.search_seconds)})" if plan.search_seconds else ""
        parts.append(f"planned in {duration(plan.planning_seconds)}{search}")
    if plan.predictions:
        parts.append(f"with {count(plan.predictions, 'prediction')} and {count(plan.twin_runs, 'twin run')}")
    return ", ".join(parts)


def _servers_table(plan: Plan) -> Table:
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    if several := len(plan.profiles) > 1:
        table.add_column("Profile", overflow="fold")
    add_numbers(table, "Adapters")
    table.add_column("Rank × count", overflow="fold")
    add_numbers(table, "max_\nloras", "max_lora\n_rank", "max_cpu\n_loras")
    for placed, counts in zip(plan.servers, rank_counts(plan), strict=True):
        server = placed.server
        held = server.max_loras if server.max_cpu_loras is None else server.max_cpu_loras
        profile = [Text(placed.profile)] if several else []
        settings = (str(server.max_loras), str(server.max_lora_rank), str(held))
        if placed.is_standby:
            table.add_row(Text(placed.name), *profile, "0", "standby", *[NOTHING] * len(settings))
            continue
        table.add_row(Text(placed.name), *profile, str(len(placed.adapters)), rank_summary(counts), *settings)
    return table


def _forecast_table(servers: Sequence[PlacedServer]) -> Table:
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    add_numbers(table, "Offered\nreq/s", "Served\ntok/s", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    add_numbers(table, "KV\nuse", "Head-\nroom")
    table.add_column("Bound\nby", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for server in servers:
        table.add_row(Text(server.name), *_forecast_cells(server.forecast))
    return table


def _forecast_cells(forecast: Forecast | None) -> list[RenderableType]:
    if forecast is None:
        return [NOTHING] * 9
    return [
        number(forecast.request_rate),
        number(forecast.throughput),
        duration(forecast.ttft_p50),
        duration(forecast.ttft_p99),
        duration(forecast.itl_mean),
        percent(forecast.kv_usage),
        headroom_share(forecast.headroom, over=">"),
        forecast.binding,
        _verdict(forecast.verdict),
    ]


def check_table(check: Check) -> RenderableType:
    """A verification for the terminal: whether the plan holds, and what each GPU did."""
    gpus = count(len(check.runs), "GPU")
    if check.ok:
        failures = f", nor after {count(len(check.failovers), 'failure')}" if check.failovers else ""
        headline = Text(f"The plan holds on {gpus} with seed {check.seed}: nobody starves{failures}.", style="green")
    else:
        headline = Text(f"The plan does not hold on {gpus} with seed {check.seed}.", style="bold red")
    table = plain_table()
    table.add_column("GPU", overflow="fold")
    add_numbers(table, "Offered\nreq/s", "Offered\ntok/s", "Served\ntok/s", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    add_numbers(table, "KV\nuse", "Adapters\nnot ok")
    table.add_column("Verdict", no_wrap=True)
    for server, run in zip(check.servers, check.runs, strict=True):
        table.add_row(Text(server.name), *_check_cells(run))
    lines = [Text("\n".join(check.failures), style="red")] if check.failures else []
    return Group(headline, Text(), table, *lines)


def _check_cells(run: Run) -> list[RenderableType]:
    return [
        number(run.offered_request_rate),
        number(run.offered_throughput),
        number(run.throughput),
        duration(run.ttft.p50),
        duration(run.ttft.p99),
        duration(run.itl.mean),
        percent(run.kv_usage),
        f"{sum(verdict != 'ok' for verdict in run.adapters['verdict']):,}",
        _verdict(run.worst),
    ]


def run_table(run: Run) -> RenderableType:
    """A run for the terminal: verdict, latencies, what the server did, and the adapters served worst."""
    parts: list[RenderableType] = [
        _run_headline(run),
        heading("Latency of finished requests"),
        _latency_table(run),
        heading("Server"),
        _facts_table(run),
    ]
    if run.confidence:
        parts += [heading(f"95 % interval of the mean over {run.repeats} repeats"), _interval_table(run.confidence)]
    if run.intervals:
        parts += [heading("Where a real server would be, nine times in ten"), _interval_table(run.intervals)]
    parts.append(_worst_adapters(run))
    return Group(*parts)


def _run_headline(run: Run) -> Text:
    rejected = f"{count(run.rejected, 'request')} of {run.arrived:,} rejected: longer than max_model_len.\n"
    share = percent(run.throughput / run.offered_throughput if run.offered_throughput else math.nan)
    server = run.server
    return Text.assemble(
        "Server: ",
        _verdict(run.verdict),
        f", {number(run.throughput)} of {number(run.offered_throughput)} offered tokens/s ({share})\n"
        f"and {number(run.request_rate)} of {number(run.offered_request_rate)} requests/s.\n",
        (rejected if run.rejected else "", "bold red"),
        f"{run.profile}, max_loras {server.max_loras}, max_lora_rank {server.max_lora_rank}.\n",
        f"{duration(run.duration)} of arrivals, seed {run.seed}, {count(run.repeats, 'repeat')}, "
        f"window {run.window}{f', warm-up {duration(run.warmup)}' if run.warmup else ''}.",
    )


def _latency_table(run: Run) -> Table:
    table = plain_table()
    table.add_column("")
    add_numbers(table, "mean", "p50", "p90", "p99")
    rows: tuple[tuple[str, Latency], ...] = (
        ("TTFT  time to first token", run.ttft),
        ("ITL   between tokens", run.itl),
        ("TPOT  per output token", run.tpot),
        ("E2E   whole request", run.e2e),
    )
    for name, of in rows:
        table.add_row(name, duration(of.mean), duration(of.p50), duration(of.p90), duration(of.p99))
    return table


def _facts_table(run: Run) -> Table:
    table = Table.grid("", "", padding=(0, 2, 0, 0))
    for name, fact in _facts(run).items():
        table.add_row(name, fact)
    return table


def _facts(run: Run) -> dict[str, str]:
    loads = f"{run.adapter_loads:,} to the GPU, {run.disk_loads:,} from disk; steps waited {{}} for them"
    kv_cache = f"{run.kv_cache_tokens:,} tokens, {percent(run.kv_usage)} used"
    left = f"{run.running_at_end:,} running and {run.waiting_at_end:,} waiting at the end"
    facts = {
        "Requests": f"{run.arrived:,} arrived, {run.finished:,} finished; {left}",
        "Batch": f"{number(run.mean_running)} requests and {number(run.mean_adapters)} adapters in the mean",
        "Queue": f"{number(run.mean_waiting)} waiting in the mean",
        "KV cache": f"{kv_cache}; {run.preemptions:,} preemptions",
        "Adapter loads": loads.format(duration(run.adapter_load_time)),
        "Busy": f"{percent(run.busy)} of the time, {run.steps:,} steps",
    }
    if run.rejected:
        facts["Rejected"] = f"{run.rejected:,} longer than max_model_len or than the KV cache"
    if run.never_admitted:
        facts["Not sent"] = f"{run.never_admitted:,} still in the client, which is out of connections"
    return facts


def _interval_table(intervals: dict[str, tuple[float, float]]) -> Table:
    table = plain_table()
    table.add_column("")
    add_numbers(table, "from", "to")
    for metric, name in _INTERVAL_NAMES.items():
        if metric in intervals:
            write = number if metric == "throughput" else duration
            table.add_row(name, *(write(max(0.0, edge)) for edge in intervals[metric]))
    return table


def _worst_adapters(run: Run) -> RenderableType:
    bad = [row for row in run.adapters.iter_rows(named=True) if row["verdict"] != "ok"]
    if not bad:
        return Text.assemble("\nAdapters: all ", str(len(run.adapters)), " are ", _verdict("ok"), ".")
    bad.sort(key=_severity)
    shown = f", the worst {WORST_SHOWN}" if len(bad) > WORST_SHOWN else ""
    table = plain_table()
    table.add_column("Adapter", overflow="fold", min_width=24)
    add_numbers(table, "Rank", "Came", "Done", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    table.add_column("Verdict", no_wrap=True)
    for row in bad[:WORST_SHOWN]:
        table.add_row(Text(row["name"]), *_adapter_cells(row))
    return Group(heading(f"Adapters not ok: {len(bad):,} of {len(run.adapters):,}{shown}"), table)


def _severity(row: dict[str, Any]) -> tuple[int, float, float]:
    """Worst verdict first, then the smallest share served, then the most traffic."""
    offered = row["offered_throughput"]
    return _SEVERITY[row["verdict"]], row["throughput"] / max(offered, 1e-9), -offered


def _adapter_cells(row: dict[str, Any]) -> list[RenderableType]:
    latencies = (row["ttft_p50"], row["ttft_p99"], row["itl_mean"])
    return [
        str(row["rank"]),
        f"{row['arrivals']:,}",
        f"{row['finished']:,}",
        *(NOTHING if latency is None else duration(latency) for latency in latencies),
        _verdict(row["verdict"]),
    ]


def profiles_table(profiles: Iterable[Profile]) -> RenderableType:
    """The profiles: hardware, model, KV cache without adapters, and the measured error of their twin."""
    table = plain_table()
    table.add_column("Profile\nhardware, model", overflow="fold")
    table.add_column("vLLM")
    add_numbers(table, "KV cache\ntokens", "Throughput\nerror", "ITL\nerror", "Real\nruns")
    for profile in profiles:
        name = Text.assemble((profile.name, "bold"), (f"\n{profile.hardware}, {profile.model.name}", "dim"))
        tokens = profile.memory.kv_cache_tokens(max_loras=0, max_lora_rank=8)
        kv_cache = f"{'about ' if profile.memory.estimated else ''}{tokens:,}"
        table.add_row(name, Text(profile.vllm_version), kv_cache, *_error_cells(profile.error))
    note = "KV cache without adapters, at gpu_memory_utilization 0.9. Errors: mean absolute percentage errors."
    return Group(table, Text(note, style="dim"))


def _error_cells(error: ProfileError | None) -> list[str]:
    if error is None:
        return [NOTHING, NOTHING, "none"]
    itl = NOTHING if error.itl is None else f"{error.itl:.1f} %"
    return [f"{error.throughput:.1f} %", itl, str(error.runs)]


def _verdict(verdict: str) -> Text:
    return Text(verdict, style=_VERDICT_STYLES[verdict])
