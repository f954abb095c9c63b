"""make_result: from a request to its plans, their page, and the figures that lists show of them."""

import math
from datetime import date
from typing import Any, NamedTuple

from plotly.offline import get_plotlyjs

from adaptwin.briefing.make_briefing import make_briefing
from adaptwin.placement.fleet import plan_fleet
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.progress import Progress
from adaptwin.report.plan.page import PageOrigin
from adaptwin.report.plan.plans_page import plans_report
from adaptwin.report.plan.safety import safety
from adaptwin.spec import dump_yaml
from adaptwin.web.job import Result
from adaptwin.web.plan_request import PlanRequest, asked

PLOTLY = "/* plotly */"  # stands for the library in a page that is kept


class Limits(NamedTuple):
    """What a server plans at most."""

    adapters: int = 20_000
    seconds: float = 900.0


def make_result(request: dict[str, Any], progress: Progress, most_adapters: int = Limits().adapters) -> Result:
    """Return the plans of a request, given as plain data, with their page; raises what `plan_fleet` raises."""
    meant = asked(PlanRequest.parse(request), most_adapters)
    plans = plan_fleet(meant.fleet, meant.profiles, meant.overrides, seed=meant.seed, progress=progress)
    briefings = [make_briefing(plan, progress=progress) for plan in plans.plans]
    page = plans_report(plans, briefing=briefings, origin=PageOrigin("plan.yaml", date.today().isoformat()))
    return Result(_summary(plans), dump_yaml(plans.file_form()), page.replace(get_plotlyjs(), PLOTLY))


def whole_page(kept: str) -> str:
    """Return a page that was kept with the library that draws its figures."""
    return kept.replace(PLOTLY, get_plotlyjs(), 1)


def _summary(plans: Plans) -> dict[str, Any]:
    return {
        "gpus": plans.gpus,
        "lower_bound": plans.lower_bound,
        "adapters": len(plans.workload),
        "request_rate": plans.workload.rate,
        "verified": plans.verified,
        "cost_per_hour": plans.cost_per_hour,
        "currency": plans.currency or None,
        "plans": [_summary_of_one(plan) for plan in plans.plans],
    }


def _summary_of_one(plan: Plan) -> dict[str, Any]:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    safe = safety(plan)
    return {
        "base": plan.base,
        "gpus": plan.gpus,
        "safe": safe.answer,
        "reasons": list(safe.reasons),
        "headroom": _finite_or_none(min((each.headroom for each in forecasts), default=math.nan)),
        "ttft_p99": _finite_or_none(max((each.ttft_p99 for each in forecasts), default=math.nan)),
        "itl_p99": _finite_or_none(max((each.itl_p99 for each in forecasts), default=math.nan)),
        "servers": [
            {
                "name": server.name,
                "profile": server.profile,
                "adapters": len(server.adapters),
                "max_loras": server.server.max_loras,
                "max_lora_rank": server.server.max_lora_rank,
                "verdict": server.forecast.grade if server.forecast else None,
                "headroom": _finite_or_none(server.forecast.headroom) if server.forecast else None,
            }
            for server in plan.servers
        ],
    }


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
