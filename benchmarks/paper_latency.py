"""Section on the latency objective: the paper's ProposedLat and adaptwin's `min-latency` on as many GPUs."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from accuracy import SHORT
from adaptwin import Infeasible, Plan, Profile, load_profile, make_plan
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.problem import Assignment, Problem, shares_of_parts
from adaptwin.placement.strategies.least_loaded import each_to_least
from adaptwin.plan.options import LatencyKind
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import Case, simulate_many
from h100_runs import MODELS
from measured_page import bullet, paragraph, section
from paper_claims import MOST_GPUS, MOST_SLOTS
from paper_fleets import PaperFleet, paper_fleet
from paper_placement import PAPER_SERVER, problem_of

FLEETS_FOR_LATENCY = (
    ("llama-3.1-8b-instruct", 1, 1280, (8, 16)),
    ("llama-3.1-8b-instruct", 10, 256, (8, 16, 32)),
    ("llama-3.1-8b-instruct", 10, 640, (8, 16)),
    ("qwen-2.5-7b-instruct", 25, 256, (8, 16, 32)),
    ("qwen-2.5-7b-instruct", 25, 640, (8, 16)),
)

OBJECTIVES_FOR_LATENCY: dict[str, tuple[LatencyKind, float]] = {  # latency, and headroom
    "adaptwin, ITL": ("itl", 0.0),
    "adaptwin, TTFT": ("ttft", 0.0),
    "adaptwin, TTFT, 20 % headroom": ("ttft", 0.2),
}
LATENCY_SECONDS_LIMIT = 30.0  # of a search


class Quick(NamedTuple):
    """Latency of a placement with the traffic of the second half, in seconds; NaN: there is none."""

    model: str
    fleet: str
    method: str
    gpus: int  # 0: no placement
    itl_mean: float = float("nan")  # over all servers, by their throughput
    itl_p99: float = float("nan")  # of the worst server
    ttft_p50: float = float("nan")  # of the worst server
    ttft_p99: float = float("nan")  # of the worst server
    slots: str = ""  # the fewest and the most of a server
    overloaded: int = 0
    seconds: float = float("nan")  # of planning
    note: str = ""


def latencies_on_fleets(progress: Callable[[str], None] = lambda _: None) -> list[Quick]:
    """Return the latency of each method on each fleet."""
    fleets = [paper_fleet(model, repeated, adapters, ranks) for model, repeated, adapters, ranks in FLEETS_FOR_LATENCY]
    return [quick for fleet in fleets for quick in _methods_on(fleet, progress)]


def _methods_on(fleet: PaperFleet, progress: Callable[[str], None]) -> Iterator[Quick]:
    profile = load_profile(MODELS[fleet.model])
    progress(f"latency, {fleet.model} {fleet.name}: ProposedLat")
    started = time.perf_counter()
    found = proposed_lat_on(problem_of(profile, fleet), MOST_GPUS)
    most = MOST_SLOTS[fleet.model]
    refused = [each for each in found if each.server.max_loras > most[each.server.max_lora_rank]]
    yield _timed(profile, fleet, "ProposedLat", [] if refused else found, time.perf_counter() - started)._replace(
        note=f"refused: {refused[0].server.max_loras} slots" if refused else ""
    )
    for method, (latency, headroom) in OBJECTIVES_FOR_LATENCY.items():
        progress(f"latency, {fleet.model} {fleet.name}: {method}")
        started = time.perf_counter()
        plan = _lowest_latency_plan(profile, fleet, latency, headroom)
        placed = [Assignment(each.server, each.adapters) for each in plan.servers] if plan else []
        yield _timed(profile, fleet, method, placed, time.perf_counter() - started)


def proposed_lat_on(problem: Problem, gpus: int) -> list[Assignment]:
    """Return the published placement: each adapter on the GPU with the lowest sum of rates, and a slot for each."""
    capacity = problem.capacity
    items = [AdapterPart(name, 1.0) for name in capacity.names]
    bins = [shares_of_parts(contents) for contents in each_to_least(items, lambda i: capacity.rate(i.name), gpus)]
    return [Assignment(capacity.server(shares, len(shares)), shares) for shares in bins]


def _lowest_latency_plan(profile: Profile, fleet: PaperFleet, latency: LatencyKind, headroom: float) -> Plan | None:
    try:
        return make_plan(
            profile,
            fleet.planned,
            objective="min-latency",
            gpus=MOST_GPUS,
            latency=latency,
            headroom=headroom,
            server=PAPER_SERVER,
            time_limit=LATENCY_SECONDS_LIMIT,
        )
    except Infeasible:
        return None


def _timed(profile: Profile, fleet: PaperFleet, method: str, found: Sequence[Assignment], seconds: float) -> Quick:
    if not found:
        return Quick(fleet.model, fleet.name, method, 0, seconds=seconds)
    parts = fleet.served.parts([each.shares for each in found])
    runs = simulate_many(Case(profile, each.server, part) for each, part in zip(found, parts, strict=True))
    return Quick(
        fleet.model,
        fleet.name,
        method,
        len(found),
        itl_mean=_mean_itl(runs),
        itl_p99=float(np.nanmax([run.itl.p99 for run in runs])),
        ttft_p50=float(np.nanmax([run.ttft.p50 for run in runs])),
        ttft_p99=float(np.nanmax([run.ttft.p99 for run in runs])),
        slots=_from_to([each.server.max_loras for each in found]),
        overloaded=sum(int((run.adapters["verdict"] != "ok").sum()) for run in runs),
        seconds=seconds,
    )


def _from_to(slots: Sequence[int]) -> str:
    return str(slots[0]) if len(set(slots)) == 1 else f"{min(slots)} to {max(slots)}"


def _mean_itl(runs: Sequence[Run]) -> float:
    weights = np.array([run.throughput for run in runs])
    return float(np.nansum(weights * np.array([run.itl.mean for run in runs])) / max(1e-9, weights.sum()))


LATENCY_NOTE = f"""The paper says: its pipeline can be adapted to latency. ProposedLat uses all the GPUs that it gets,
balances the sums of the rates, and gives every adapter a slot. Its latencies cannot be read, so it runs here, on
{MOST_GPUS} GPUs, the most that the paper has, with fleets as [above](#gpus-needed). It refuses numbers of slots with
which the paper's servers did not start; its check of the total throughput, by forests that are not published, is left
out. adaptwin's `min-latency` gets as many GPUs. The twin judges all placements with the traffic of the second
half, which neither has seen. Medians and percentiles are those of the worst server."""

LATENCY_WORDS = (
    """*adaptwin, ITL* looks for the lowest p99 of ITL on the worst server, *adaptwin, TTFT* for the lowest p99 of TTFT.
    Both expect Poisson arrivals at the mean rates of the first half.""",
    """All servers have `max_num_seqs` and `max_num_batched_tokens` 2,048, as those of the paper.""",
)


def latency_section(found: Sequence[Quick]) -> str:
    """Return the section with the latency of every method."""
    body = []
    for quick in found:
        cells = [SHORT[quick.model], quick.fleet, quick.method, str(quick.gpus) if quick.gpus else quick.note or "-"]
        if quick.gpus:
            cells += [
                quick.slots,
                f"{1e3 * quick.itl_mean:.1f}",
                f"{1e3 * quick.itl_p99:.0f}",
                f"{1e3 * quick.ttft_p50:.0f}",
            ]
            cells += [f"{quick.ttft_p99:.2f}", str(quick.overloaded)]
        else:
            cells += ["-"] * 6
        body.append([*cells, f"{quick.seconds:.1f}"])
    header = [
        "model",
        "fleet",
        "method",
        "GPUs",
        "slots",
        "mean ITL, ms",
        "p99 of ITL, ms",
        "median TTFT, ms",
        "p99 of TTFT, s",
    ]
    header += ["adapters overloaded", "planning, s"]
    words = "\n".join(map(bullet, LATENCY_WORDS))
    note = f"{paragraph(LATENCY_NOTE)}\n\n{words}\n\n{paragraph(_where_the_paper_is_better(found))}"
    return section("Lowest latency", header, body, note)


def _where_the_paper_is_better(found: Sequence[Quick]) -> str:
    """Say on how many fleets the paper's placement has the lower latency, figure by figure."""
    of = {(quick.model, quick.fleet, quick.method): quick for quick in found if quick.gpus}
    fleets = [key[:2] for key in of if key[2] == "ProposedLat"]
    figures = {"itl_mean": "mean ITL", "itl_p99": "p99 of ITL", "ttft_p50": "median TTFT", "ttft_p99": "p99 of TTFT"}
    texts = []
    for method in OBJECTIVES_FOR_LATENCY:
        both = [(of[*fleet, "ProposedLat"], of[*fleet, method]) for fleet in fleets if (*fleet, method) in of]
        counts = [
            f"{name} on {sum(getattr(a, figure) < getattr(b, figure) for a, b in both)}"
            for figure, name in figures.items()
        ]
        texts.append(f"with *{method}*: {', '.join(counts)} of {len(both)} fleets")
    return f"""**Where the paper is better.** ProposedLat keeps every adapter in a slot, while adaptwin chooses fewer
    slots, for shorter steps at the mean load that it expects. The latency of ProposedLat is lower, compared
    {"; ".join(texts)}."""
