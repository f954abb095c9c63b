"""make_result: from a request to its plans, their page, and the figures that lists show of them."""

import math
from datetime import date
from typing import Any

from plotly.offline import get_plotlyjs

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
    return JobResult(_summary(plans), dump_yaml(plans.file_form()), page.replace(_whole_library(), _LIBRARY.format("")))


def whole_page(kept: str) -> str:
    """Return a page that was kept with the library that draws its figures."""
    return kept.replace(_LIBRARY.format(""), _whole_library(), 1)


def _whole_library() -> str:
    return _LIBRARY.format(get_plotlyjs())


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
        "headroom": finite_or_none(min((each.headroom for each in forecasts), default=math.nan)),
        "ttft_p99": finite_or_none(max((each.ttft_p99 for each in forecasts), default=math.nan)),
        "itl_p99": finite_or_none(max((each.itl_p99 for each in forecasts), default=math.nan)),
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
