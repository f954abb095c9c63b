"""What to do next with a plan: improvements that are worth a thought, and the commands that run it."""

from collections.abc import Iterator
from typing import NamedTuple

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.safety import GOOD, headroom_tone, ttft_tone
from adaptwin.report.style.words import count


class NextStep(NamedTuple):
    """Something to do, and the command for it; empty where there is none."""

    text: str
    command: str = ""


def next_steps(plan: Plan, briefing: Briefing | None, file: str) -> list[NextStep]:
    """Return what to do next with a plan, which is in the file of this name, most urgent first."""
    return [*_first_of_all(plan), *_improvements(plan, briefing), *_commands(plan, file)]


def _first_of_all(plan: Plan) -> Iterator[NextStep]:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    again = "plan again with" if plan.migration is None else "make a new plan instead of changing this one, with"
    if not plan.verified and plan.promises:
        yield NextStep("Do not run this plan as it is: plan again with more GPUs, or with", "--margin 10%")
    if any(headroom_tone(forecast) != GOOD for forecast in forecasts):
        yield NextStep(f"Little more traffic overloads a server. To leave room, {again}", "--headroom 10%")
    if any(ttft_tone(forecast) != GOOD for forecast in forecasts):
        yield NextStep(f"Some requests wait long for their first token. To rule this out, {again}", "--ttft-p99 2s")


def _improvements(plan: Plan, briefing: Briefing | None) -> Iterator[NextStep]:
    for saving in briefing.savings if briefing else ():
        if saving.change.startswith(("max_", "gpu_memory")):
            yield NextStep(
                f"{saving.change} may save {count(plan.gpus - saving.gpus, 'GPU')}, by estimate: set it under server "
                "in the fleet, and plan again."
            )
    used = {server.profile for server in plan.servers}
    if any(profile.name in used and not profile.is_measured for profile in plan.profiles):
        yield NextStep(
            "No real server was measured for these figures. Measure yours, and plan again with its profile:",
            "adaptwin measure URL --out measured && adaptwin fit measured --out my-gpu.yaml",
        )
    if plan.cost_per_hour is None and plan.profiles:
        yield NextStep(
            "To see what the plan costs, plan again with", f"--price {plan.profiles[0].name}=PRICE --currency USD"
        )


def _commands(plan: Plan, file: str) -> Iterator[NextStep]:
    if plan.migration is not None:
        yield NextStep(
            "Take the running servers to this plan, step by step:",
            f"adaptwin apply {file} --servers servers.yaml --routes routes.yaml --dry-run",
        )
    else:
        yield NextStep(
            "Start the servers, with these commands or with the files of your stack, such as kubernetes:",
            f"adaptwin export {file} --to vllm --out serve.sh",
        )
    yield NextStep("Keep the plan true as traffic changes:", f"adaptwin watch --plan {file} --servers servers.yaml")
