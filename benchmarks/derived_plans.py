"""How often a planner runs the twin on derived profiles, for fleets that are as hard for each GPU."""

from collections.abc import Sequence

from adaptwin import Profile, Server, Surrogate, load_profile, make_plan, shipped_profiles
from adaptwin.dataset.mix import most_slots_that_start
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.synthetic import synthesize
from measured_page import paragraph, section

TYPICAL = Server(max_loras=16, max_lora_rank=16, max_cpu_loras=100)
RANKS = (8, 16, 32)


def derived_plans(surrogate: Surrogate, profiles: Sequence[Profile], fleets: Sequence[tuple[int, float]]) -> str:
    """Return a section on plans for fleets, each of some adapters and requests/s on the first shipped profile."""
    measured = [load_profile(name) for name in shipped_profiles()]
    reference = _capacity(measured[0])
    usual: dict[int, list[int]] = {}
    body = []
    for profile in (*measured, *profiles):
        row = [profile.name, "yes" if profile.name in surrogate.trained_on else "no"]
        for adapters, rate in fleets:
            fleet = synthesize(adapters=adapters, rate=rate * _capacity(profile) / reference, ranks=RANKS)
            plan = make_plan(profile, fleet, surrogate=surrogate)
            if profile in measured:
                usual.setdefault(adapters, []).append(plan.twin_runs)
            ratio = plan.twin_runs / (sum(usual[adapters]) / len(usual[adapters]))
            row += [str(plan.gpus), f"{plan.predictions:,}", f"{plan.twin_runs:,}", f"{ratio:.1f}"]
        body.append(row)
    header = ["profile", "trained on"]
    for adapters, _ in fleets:
        header += [f"{adapters:,} adapters: GPUs", "predictions", "twin runs", "ratio"]
    return section("Plans of derived profiles", header, body, paragraph(NOTE))


NOTE = """Plans by `pack`, as above, with the traffic of each fleet in proportion to what a full batch of the GPU
serves, so that the fleets are about as hard for each. "Trained on" tells whether the profile is among those of the
training. The ratio is that of the twin runs to their mean on the two measured profiles."""


def _capacity(profile: Profile) -> float:
    """Return the requests/s that a full batch serves, with up to sixteen slots."""
    slots = most_slots_that_start(profile, TYPICAL, at_most=TYPICAL.max_loras)
    server = TYPICAL.with_slots(slots, max_lora_rank=TYPICAL.max_lora_rank, max_cpu_loras=100)
    demand = sum_demands(demands_on(profile, server, synthesize(adapters=25, rate=5.0, ranks=(8, 16))))
    return steady_state(demand, server.limits(profile), costs_of(profile, server), 3600.0).capacity
