"""One fleet planned on several GPUs with derived profiles."""

import time

import numpy as np

from adaptwin import Infeasible, Plan, Workload, make_plan
from adaptwin.profile.derive import derive_profile
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.workload.sources.synthetic import synthesize
from measured_page import paragraph, section

MODEL = "Qwen/Qwen2.5-7B-Instruct"
GPUS_FOR_PLANS = ("l40s", "a100-sxm-80gb", "h100-sxm", "h200")
ADAPTERS, RATE, RANKS = 40, 40.0, (8, 16, 32)

FLEET = f"""A synthetic fleet of {ADAPTERS} adapters of ranks 8, 16 and 32 for {MODEL.rpartition("/")[2]}, with
{RATE:g} requests/s in all and ShareGPT's lengths, planned with profiles derived for each GPU and the newest version of
vLLM. No such fleet was measured. Prices are typical ones on demand, of the shipped data sheets: replace them by yours.
Mean ITL is weighted by the servers' throughput; TTFT is the 99th percentile of the worst server; headroom is the
further traffic that the fullest server can take."""


def fleet_section() -> str:
    """Plan the fleet on all GPUs, and return the section."""
    fleet = synthesize(adapters=ADAPTERS, rate=RATE, ranks=RANKS)
    _row_of_gpu(GPUS_FOR_PLANS[-1], synthesize(adapters=2, rate=1.0, ranks=(8,)))  # loads the compiled functions
    body = [_row_of_gpu(gpu, fleet) for gpu in GPUS_FOR_PLANS]
    header = [
        "GPU",
        "GPUs",
        "price per hour",
        "mean ITL, ms",
        "p99 TTFT, s",
        "headroom",
        "verified",
        "CPU seconds to plan",
    ]
    return section("One fleet on several GPUs", header, body, paragraph(FLEET))


def _row_of_gpu(gpu: str, fleet: Workload) -> list[str]:
    sheet = load_gpu(gpu)
    profile = derive_profile(gpu=gpu, model=MODEL, price_per_hour=sheet.price_per_hour)
    started = time.process_time()
    try:
        plan = make_plan(profile, fleet)
    except Infeasible:
        return [sheet.hardware, "no plan", *["-"] * 6]
    return [
        sheet.hardware,
        str(plan.gpus),
        f"{plan.cost_per_hour:.2f}",
        *_figures_of_plan(plan),
        f"{time.process_time() - started:.0f}",
    ]


def _figures_of_plan(plan: Plan) -> list[str]:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    itl = np.average([each.itl_mean for each in forecasts], weights=[each.throughput for each in forecasts])
    return [
        f"{1e3 * itl:.1f}",
        f"{max(each.ttft_p99 for each in forecasts):.2f}",
        f"{100 * min(each.headroom for each in forecasts):.0f} %",
        "yes" if plan.verified else "no",
    ]
