"""make_result: from a request to its plans, their page, and the figures that lists show of them."""

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from plotly.offline import get_plotlyjs

from adaptwin.briefing.briefing import Briefing
from adaptwin.briefing.make_briefing import make_briefing
from adaptwin.placement.fleet import plan_fleet
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.progress import Progress
from adaptwin.report.plan.page import PageOrigin
from adaptwin.report.plan.plans_page import plans_report
from adaptwin.report.plan.safety import safety
from adaptwin.rounding import finite_or_none
from adaptwin.spec import dump_yaml
from adaptwin.web.job import JobResult, WorkOrder
from adaptwin.web.plan_request import PlanRequest, asked, titled

_LIBRARY = '<script type="text/plain" id="plotly">{}</script>'  # of a page; no name of a user can look like it


def make_result(order: WorkOrder, progress: Progress) -> JobResult:
    """Return the plans of a request, with their page; raises what `plan_fleet` raises."""
    request = PlanRequest.parse(order.request, file="request")
    meant = asked(request, order.most_adapters)
    plans = plan_fleet(meant.fleet, meant.profiles, meant.overrides, seed=meant.seed, progress=progress)
    briefings = [make_briefing(plan, progress=progress) for plan in plans.plans]
    page = plans_report(plans, briefing=briefings, origin=PageOrigin(titled(request), date.today().isoformat()))
    return JobResult(
        _summary(plans, briefings), dump_yaml(plans.file_form()), page.replace(_whole_library(), _LIBRARY.format(""))
    )


def whole_page(kept: str) -> str:
    """Return a page that was kept with the library that draws its figures."""
    return kept.replace(_LIBRARY.format(""), _whole_library(), 1)


def _whole_library() -> str:
    return _LIBRARY.format(get_plotlyjs())


def _summary(plans: Plans, briefings: Sequence[Briefing]) -> dict[str, Any]:
    return {
        "gpus": plans.gpus,
        "lower_bound": plans.lower_bound,
        "adapters": len(plans.workload),
        "request_rate": plans.workload.rate,
        "verified": plans.verified,
        "cost_per_hour": plans.cost_per_hour,
        "currency": plans.currency or None,
        "plans": [_summary_of_one(plan, each) for plan, each in zip(plans.plans, briefings, strict=True)],
    }


def _summary_of_one(plan: Plan, briefing: Briefing) -> dict[str, Any]:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    fullest = min(forecasts, key=lambda forecast: forecast.headroom, default=None)
    safe = safety(plan, briefing)
    return {
        "base": plan.base,
        "gpus": plan.gpus,
        "safe": safe.answer,
        "reasons": list(safe.reasons),
        "headroom": finite_or_none(fullest.headroom) if fullest else None,
        "headroom_is_open": fullest is not None and fullest.headroom_is_open,
        "ttft_p99": max(filter(math.isfinite, (each.ttft_p99 for each in forecasts)), default=None),
        "itl_p99": max(filter(math.isfinite, (each.itl_p99 for each in forecasts)), default=None),
        "servers": [
            {
                "name": server.name,
                "profile": server.profile,
                "adapters": len(server.adapters),
                "max_loras": server.server.max_loras,
                "max_lora_rank": server.server.max_lora_rank,
                "verdict": server.forecast.grade if server.forecast else None,
                "headroom": finite_or_none(server.forecast.headroom) if server.forecast else None,
            }
            for server in plan.servers
        ],
    }
