"""One fleet planned on several GPUs with derived profiles."""

import time

import numpy as np

from adaptwin import Infeasible, Plan, Profile, Workload, make_plan
from adaptwin.profile.derive import derive_profile
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.report.kv_cache import usual_kv_tokens
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


GROUPED_MODEL, GROUP_SIZES = "meta-llama/Llama-3.1-70B-Instruct", (1, 2, 4, 8)
GROUPED_ADAPTERS, GROUPED_RATE = 200, 20.0

GROUP_NOTE = f"""{GROUPED_ADAPTERS} adapters of ranks 8, 16 and 32 for {GROUPED_MODEL.rpartition("/")[2]} in FP8, with
{GROUPED_RATE:g} requests/s in all and ShareGPT's lengths, on groups of 1, 2, 4 and 8 H100 SXM that share every layer.
Each row is a plan with groups of one size; the last one is the plan of all sizes together, from which the fewest GPUs
are chosen. Not on this page, and not measured, are adapters on groups of GPUs."""


def group_size_section() -> str:
    """Plan a fleet of a 70B on groups of several sizes, and return the section."""
    fleet = synthesize(adapters=GROUPED_ADAPTERS, rate=GROUPED_RATE, ranks=RANKS)
    price = load_gpu("h100-sxm").price_per_hour
    profiles = [
        derive_profile(
            gpu="h100-sxm",
            model=GROUPED_MODEL,
            quantization="fp8",
            tensor_parallel_size=size,
            price_per_hour=price,
        )
        for size in GROUP_SIZES
    ]
    body = [_row_of_groups(str(size), [profile], fleet) for size, profile in zip(GROUP_SIZES, profiles, strict=True)]
    body.append(_row_of_groups("all of these", profiles, fleet))
    header = ["GPUs per server", "KV tokens without adapters", "servers", "of", "GPUs", "price per hour", "max_loras"]
    return section(
        "A 70B in FP8 on groups of several sizes",
        [*header, "mean ITL, ms", "p99 TTFT, s", "headroom", "verified"],
        body,
        paragraph(GROUP_NOTE),
    )


def _row_of_groups(title: str, profiles: list[Profile], fleet: Workload) -> list[str]:
    tokens = ", ".join(f"{usual_kv_tokens(profile):,}" for profile in profiles)
    try:
        plan = make_plan(profiles, fleet)
    except Infeasible as error:
        return [title, tokens, f"none: {error}", *["-"] * 8]
    sizes = sorted({plan.profile_of(server).tensor_parallel_size for server in plan.servers})
    slots = sorted({server.server.max_loras for server in plan.servers})
    return [
        title,
        tokens,
        str(len(plan.servers)),
        ", ".join(map(str, sizes)),
        str(plan.gpus),
        f"{plan.cost_per_hour:.2f}",
        ", ".join(map(str, slots)),
        *_figures_of_plan(plan),
    ]
