"""A plan, and the plans of a fleet, as a notebook shows them."""

from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.plans import Plans
from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view
from adaptwin.report.notebook.workload_view import rate_fact
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.style.words import NOTHING, count, duration, money, number


def plan_facts(plan: Plan) -> list[str]:
    """Return what a plan is in a line: GPUs, adapters, traffic, profiles, objective, and whether it is verified."""
    facts = [
        count(plan.gpus, "GPU"),
        count(len(plan.workload), "adapter"),
        rate_fact(plan.workload),
        " + ".join(sorted({server.profile for server in plan.servers})),
        plan.options.objective,
        "verified" if plan.verified else "not verified",
    ]
    if forecasts := [server.forecast for server in plan.servers if server.forecast]:
        facts.append(f"headroom {headroom_text(min(forecasts, key=lambda forecast: forecast.headroom))}")
    if plan.cost_per_hour is not None:
        facts.append(f"{money(plan.cost_per_hour, plan.options.currency)} per hour")
    facts.append(f"lower bound {count(plan.lower_bound, 'GPU')}")
    return [fact for fact in facts if fact]


def plan_html(plan: Plan) -> str:
    """Return a plan as HTML: its facts, and a table of its first servers."""
    headers = (
        "server", "profile", "adapters", "max_loras", "requests/s", "tokens/s", "TTFT p99", "ITL p99", "headroom",
        "verdict",
    )  # fmt: skip
    rows = [_placed_server_cells(server) for server in plan.servers[:SHOWN_ROWS]]
    return html_view("Plan", plan_facts(plan), HtmlTable(headers, rows, and_more(len(plan.servers), "server")))


def _placed_server_cells(server: PlacedServer) -> tuple[str, ...]:
    forecast = server.forecast
    settings = f"{len(server.adapters):,}", "merged" if server.merged else f"{server.server.max_loras:,}"
    if forecast is None:
        kind = "standby" if server.is_standby else NOTHING
        return server.name, server.profile, *settings, *[NOTHING] * 5, kind
    return (
        server.name,
        server.profile,
        *settings,
        number(forecast.request_rate),
        number(forecast.throughput),
        duration(forecast.ttft_p99),
        duration(forecast.itl_p99),
        headroom_text(forecast),
        forecast.grade,
    )


def placed_server_facts(server: PlacedServer) -> list[str]:
    """Return what a server of a plan is in a line: name, profile, adapters, slots, and how it is forecast to do."""
    facts = [server.name, server.profile]
    if server.is_standby:
        return [*facts, "standby"]
    facts += [count(len(server.adapters), "adapter"), f"max_loras {server.server.max_loras}"]
    if server.forecast:
        facts += [server.forecast.grade, f"headroom {headroom_text(server.forecast)}"]
    return facts


def plans_facts(plans: Plans) -> list[str]:
    """Return what the plans of a fleet are in a line: base models, GPUs, adapters, and whether they are verified."""
    adapters = sum(len(plan.workload) for plan in plans.plans)
    return [
        count(len(plans.plans), "base model"),
        count(plans.gpus, "GPU"),
        count(adapters, "adapter"),
        "verified" if plans.verified else "not verified",
        f"lower bound {count(plans.lower_bound, 'GPU')}",
    ]


def plans_html(plans: Plans) -> str:
    """Return the plans of a fleet as HTML: their facts, and a table of the first plans."""
    rows = [
        (plan.base, f"{plan.gpus:,}", f"{len(plan.workload):,}", f"{plan.lower_bound:,}", _yes_or_no(plan.verified))
        for plan in plans.plans[:SHOWN_ROWS]
    ]
    headers = ("base model", "GPUs", "adapters", "lower bound", "verified")
    return html_view("Plans", plans_facts(plans), HtmlTable(headers, rows, and_more(len(plans.plans), "plan")))


def _yes_or_no(is_so: bool) -> str:
    return "yes" if is_so else "no"
