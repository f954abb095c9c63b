"""Section on placement: GPUs, starvation, memory errors and planning time of the paper's methods and of adaptwin.

All methods plan with the rates of the first half of the trace, with the settings of the paper's servers. The twin
judges every placement with the arrivals of the second half, which no method has seen.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from accuracy import SHORT
from adaptwin import Infeasible, Profile, Server, load_profile, make_plan
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import settings_range
from adaptwin.placement.capacity.template_choice import template_and_surrogate
from adaptwin.placement.lower_bound.lower_bound import servers_bound
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS
from adaptwin.progress import silent
from adaptwin.twin.simulate import Case, simulate_many
from h100_runs import MODELS
from measured_page import bullet, paragraph, section
from paper_claims import GPUS_SAVED, MOST_GPUS, OPERATING_POINTS
from paper_fast import Fast
from paper_fleets import DEALT_TO, PaperFleet, peak_of_second_half
from paper_runs import SERVED

PAPER_SERVER = Server(max_num_seqs=2048, max_num_batched_tokens=2048)
SECONDS_LIMIT = 60.0  # of a search
OURS, CAUTIOUS = "adaptwin", "adaptwin, 20 % headroom"
HEADROOM = {OURS: 0.0, CAUTIOUS: 0.2}


class Placement(NamedTuple):
    """What a method made of a fleet, and how the twin judges it with the traffic of the second half."""

    model: str
    fleet: str
    method: str
    seconds: float
    gpus: int  # 0: no placement
    failing: int = 0  # servers that do not start
    served: float = 0.0  # share of all offered tokens of the fleet
    overloaded: int = 0  # adapters that are starved or backlogged
    itl: float = float("nan")  # mean over all servers, by their throughput, seconds

    @property
    def starved(self) -> bool:
        """Whether the fleet as a whole is starved, as the paper judges it."""
        return self.served < SERVED

    @property
    def passes(self) -> bool:
        """Whether all servers start and the fleet is not starved, which is all that the paper asks."""
        return bool(self.gpus) and not (self.failing or self.starved)

    @property
    def good(self) -> bool:
        """Whether all servers start, and neither the fleet nor any adapter is overloaded."""
        return self.passes and not self.overloaded


def problem_of(profile: Profile, fleet: PaperFleet) -> Problem:
    """Return the fleet as a problem for a strategy, with the settings of the paper's servers."""
    template, surrogate = template_and_surrogate(
        profile, fleet.planned, PAPER_SERVER, 1.0, NO_LATENCY_LIMITS, "shipped", 0
    )
    capacity = Capacity(profile, fleet.planned, template, 1.0, surrogate)
    bound = servers_bound(profile, fleet.planned, settings_range(PAPER_SERVER, [profile]), 1.0)
    return Problem(capacity, bound, silent, time.perf_counter() + SECONDS_LIMIT)


def _max_base(slots_of: Callable[[int], int], model: str, problem: Problem) -> list[Assignment]:
    """Fill servers in the given order to the peak of the base model, whatever vLLM can start with."""
    capacity, servers, filled = problem.capacity, [dict[str, float]()], 0.0
    for name in capacity.names:
        tokens = capacity.tokens(name)
        if filled + tokens > OPERATING_POINTS[model][0] and servers[-1]:
            servers.append({})
            filled = 0.0
        servers[-1][name] = 1.0
        filled += tokens
    return [Assignment(capacity.server(shares, slots_of(len(shares))), shares) for shares in servers]


METHODS: dict[str, Callable[[str, Problem], list[Assignment]]] = {
    "ProposedFast": lambda model, problem: Fast(model, problem).placement(),
    "Proposed": lambda _, problem: STRATEGIES["paper_greedy"].place(problem),
    "MaxBase": lambda model, problem: _max_base(lambda n: n, model, problem),
    "MaxBase*": lambda model, problem: _max_base(lambda n: max(1, n // 2), model, problem),
    "Random": lambda _, problem: STRATEGIES["random"].place(problem),
    "dLoRAProactive": lambda _, problem: STRATEGIES["dlora"].place(problem),
    "LoRAServe": lambda _, problem: STRATEGIES["loraserve"].place(problem),
    "LoRAServe*": lambda _, problem: STRATEGIES["loraserve_third"].place(problem),
}

WHO = (
    """*ProposedFast* follows the published code, with the splits of its small tree for starvation, which the authors
    print. Those of its tree for throughput, which chooses between two numbers of slots, are not known; the surrogate or
    the twin answers instead. It may open any number of GPUs.""",
    """*Proposed* is the paper's algorithm with a better oracle than the paper's forests, which are not published: the
    twin, or the surrogate where it is confident ([`paper_greedy`](measured/placement.md)).""",
    """*MaxBase* fills a server up to the measured peak of the base model, with a slot for each adapter; *MaxBase\\**
    has half as many slots. Both ignore memory.""",
    """*Random*, *dLoRAProactive*, *LoRAServe* and *LoRAServe\\** use all the GPUs that they get. Here, these are the
    fewest with which the twin, or the confident surrogate, finds all adapters served (`random`, `dlora`, `loraserve`,
    `loraserve_third`), which their originals cannot find. The paper's numbers of slots for Random are not known; it has
    the best number here.""",
    """*adaptwin* is the verified plan of `make_plan` with the same settings, for the mean rates that the other methods
    see too, and with 20 % of headroom.""",
)


def placements(fleets: Sequence[PaperFleet], progress: Callable[[str], None] = lambda _: None) -> list[Placement]:
    """Return what every method makes of every fleet."""
    return [placed for fleet in fleets for placed in _of_fleet(fleet, progress)]


def _of_fleet(fleet: PaperFleet, progress: Callable[[str], None]) -> Iterator[Placement]:
    profile = load_profile(MODELS[fleet.model])
    for method, place in METHODS.items():
        progress(f"{fleet.model} {fleet.name}: {method}")
        started = time.perf_counter()
        try:
            found = place(fleet.model, problem_of(profile, fleet))
        except Infeasible:
            found = []
        yield judged(profile, fleet, method, found, time.perf_counter() - started)
    for method, headroom in HEADROOM.items():
        progress(f"{fleet.model} {fleet.name}: {method}")
        started = time.perf_counter()
        plan = make_plan(profile, fleet.planned, server=PAPER_SERVER, headroom=headroom, time_limit=SECONDS_LIMIT)
        found = [Assignment(server.server, server.adapters) for server in plan.servers]
        yield judged(profile, fleet, method, found, time.perf_counter() - started)


def judged(profile: Profile, fleet: PaperFleet, method: str, found: Sequence[Assignment], seconds: float) -> Placement:
    """Simulate a placement with the traffic of the second half."""
    parts = fleet.served.parts([each.shares for each in found])
    work = [(each.server, part) for each, part in zip(found, parts, strict=True) if each.server.starts_on(profile)]
    runs = simulate_many(Case(profile, server, part) for server, part in work)
    offered = fleet.served.rate * (fleet.served.lengths.mean_input + fleet.served.lengths.mean_output)
    offered = max(offered * (len(work) < len(found)), sum(run.offered_throughput for run in runs), 1e-9)
    throughput = sum(run.throughput for run in runs)
    return Placement(
        fleet.model,
        fleet.name,
        method,
        seconds,
        gpus=len(found),
        failing=len(found) - len(work),
        served=throughput / offered,
        overloaded=sum(int((run.adapters["verdict"] != "ok").sum()) for run in runs),
        itl=sum(run.throughput * run.itl.mean for run in runs if run.throughput) / max(1e-9, throughput),
    )


HOW_PLACED = f"""The abstract of the paper's second version says: {GPUS_SAVED} % fewer GPUs than its baselines on
average. The paper has up to {MOST_GPUS} GPUs. Its GPUs, latencies and planning times per method cannot be read, so
every method runs here. Fleets follow the paper: an Azure trace, each request repeated (×) with a jitter, dealt to
{DEALT_TO:,} adapters by Dirichlet(0.5), of which so many are kept; lengths are ShareGPT's. The paper planned with one
hour and served the next; the public trace is an hour long, so here these are half-hours. How many adapters the paper
dealt it to is not known. All servers have `max_num_seqs` and `max_num_batched_tokens` 2,048. The twin judges all
placements, so its errors concern all of them."""

CELLS_LEGEND = """| in a cell | meaning |
|---|---|
| `3` | 3 GPUs, and all adapters are served in the second half |
| `3!64` | 64 adapters are starved or backlogged there |
| **`3!64`**, in bold | the fleet is starved as the paper judges it: under 0.9 of all its tokens are served |
| `3 (2 do not start)` | 2 of the servers run out of memory |
| `-` | no placement |"""


def placement_sections(found: Sequence[Placement]) -> list[str]:
    """Return the sections with GPUs, and with planning times."""
    return [_gpus_needed(found), _planning_time(found)]


def _gpus_needed(found: Sequence[Placement]) -> str:
    methods = [*METHODS, OURS, CAUTIOUS]
    body = []
    for (model, fleet), row in _by_fleet(found).items():
        body.append([SHORT[model], fleet, *(placement_cell(row[method]) for method in methods)])
    header = ["model", "fleet: ×, ranks, adapters", *methods]
    notes = [paragraph(HOW_PLACED), "\n".join(map(bullet, WHO)), paragraph(SUMMARY_NOTE), _summary_of(found)]
    notes += [_brim(found), CELLS_LEGEND]
    return section("GPUs needed", [name.replace("*", "\\*") for name in header], body, "\n\n".join(notes))


def placement_cell(placed: Placement) -> str:
    """Return GPUs, with what is wrong with them."""
    if not placed.gpus:
        return "-"
    text = f"{placed.gpus}{f'!{placed.overloaded}' if placed.overloaded else ''}"
    text = f"**{text}**" if placed.starved else text
    return f"{text} ({placed.failing} do not start)" if placed.failing else text


def _summary_of(found: Sequence[Placement]) -> str:
    """Return a table that compares every method with adaptwin, on the fleets that both serve, by either criterion."""
    rows = list(_by_fleet(found).values())
    body = []
    for method in [*METHODS, OURS, CAUTIOUS]:
        of = [row[method] for row in rows]
        cells = [method.replace("*", "\\*"), str(sum(p.gpus for p in of)), str(sum(not p.gpus for p in of))]
        cells += [str(sum(p.failing > 0 for p in of)), str(sum(p.starved for p in of))]
        body.append([*cells, _beside(found, method, OURS, lambda p: p.passes), str(sum(p.good for p in of)),
                     _beside(found, method, CAUTIOUS, lambda p: p.good)])  # fmt: skip
    header = ["method", "GPUs in all", "fleets: none found", "do not start", "starved", "GPUs where not starved"]
    header += ["fleets: all adapters served", "GPUs where served"]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in body])


def _beside(found: Sequence[Placement], method: str, ours: str, test: Callable[[Placement], bool]) -> str:
    """Return GPUs of a method and of adaptwin on the fleets on which both pass a test."""
    both = on_both(found, method, ours, test)
    if method in (OURS, CAUTIOUS) or not both:
        return "" if method in (OURS, CAUTIOUS) else "-"
    return f"{sum(a for a, _ in both)} / {sum(b for _, b in both)} on {len(both)}"


def on_both(
    found: Sequence[Placement], method: str, ours: str, test: Callable[[Placement], bool]
) -> list[tuple[int, int]]:
    """Return the GPUs of two methods on each of the fleets on which both pass a test."""
    rows = _by_fleet(found).values()
    return [(row[method].gpus, row[ours].gpus) for row in rows if test(row[method]) and test(row[ours])]


SUMMARY_NOTE = f"""Over all fleets. *Starved* counts the fleets of which under {SERVED:g} of all tokens are served; the
paper asks no more. On those where neither the method nor adaptwin starves, and all servers start, the next column has
the GPUs of the method / of adaptwin. *All adapters served* asks that no adapter is starved or backlogged; the last
column has the GPUs of the method / of adaptwin with headroom on the fleets on which both serve all."""

BRIM = """**Where no method suffices.** The second half of the trace begins with its highest load: for two minutes,
{peak:.1f} times the mean of the first half. A plan for the fewest GPUs with the mean rates as they are has no room for
that: its adapters are backlogged, adaptwin's as well as the paper's. The paper's criterion, on the sum over all GPUs
and the whole window, does not see it. [Headroom](how-to/headroom.md) helps: with 20 %, adaptwin serves all adapters on
{served} of {fleets} fleets. The other methods could plan with headroom, too.

**Where the paper is better.** {better}

**Not as in the paper.** In the paper, dLoRAProactive, LoRAServe and Random use all the GPUs that they get. Here, they
get the fewest with which all adapters are found to be served, so that its {gpus_saved} % cannot be expected."""


def _brim(found: Sequence[Placement]) -> str:
    cautious = [placed for placed in found if placed.method == CAUTIOUS]
    served = sum(placed.good for placed in cautious)
    rows = _by_fleet(found)
    better = [
        f"{SHORT[key[0]]}, {key[1]}" for key, row in rows.items() if row["ProposedFast"].good > row[CAUTIOUS].good
    ]
    fewer = [
        f"{SHORT[key[0]]}, {key[1]}"
        for key, row in rows.items()
        if row["ProposedFast"].passes and row["ProposedFast"].gpus < row[OURS].gpus
    ]
    texts = [
        f"ProposedFast serves all adapters, and adaptwin with headroom does not, on: {'; '.join(better) or 'none'}.",
        f"It needs fewer GPUs than adaptwin and is not starved as the paper judges on: {'; '.join(fewer) or 'none'}.",
    ]
    text = BRIM.format(
        peak=peak_of_second_half(),
        served=served,
        fleets=len(cautious),
        better=" ".join(texts),
        gpus_saved=GPUS_SAVED,
    )
    return "\n\n".join(map(paragraph, text.split("\n\n")))


def _planning_time(found: Sequence[Placement]) -> str:
    body = []
    for method in [*METHODS, OURS, CAUTIOUS]:
        seconds = sorted(placed.seconds for placed in found if placed.method == method)
        body.append([method.replace("*", "\\*"), f"{sum(seconds) / len(seconds):.1f}", f"{seconds[-1]:.1f}"])
    note = """Seconds from the fleet to the placement, over all fleets, on this machine. All methods but MaxBase ask the
    surrogate and the twin here, so these are not the times of the published code, which cannot be read. adaptwin's
    includes verification with fresh arrivals and the forecasts of the plan."""
    return section("Planning time", ["method", "mean", "longest"], body, paragraph(note))


def _by_fleet(found: Sequence[Placement]) -> dict[tuple[str, str], dict[str, Placement]]:
    rows: dict[tuple[str, str], dict[str, Placement]] = {}
    for placed in found:
        rows.setdefault((placed.model, placed.fleet), {})[placed.method] = placed
    return rows
