"""The guard of the surrogate on derived profiles: how often it calls a prediction certain, and how near those are."""

from collections.abc import Sequence

import numpy as np

import other_families
from adaptwin import Profile, load_profile, shipped_profiles, surrogate_for
from adaptwin.twin.simulate import Case, simulate_many
from measured_page import paragraph, section

EACH = 40  # cases of every family of traffic on every profile

NOTE = """The shipped surrogates were trained on the twin with the two measured profiles and a spread of derived ones
([accuracy of the surrogate](surrogate.md)); "trained on" tells whether the profile was among them. A prediction is used
only where the case is inside the region of the training data; elsewhere the planner runs the twin. The cases have
traffic that is in no training mix (clients of ServeGen, Azure's traces, lognormal popularities). Errors are in per
cent, inside and outside."""


def guard(profiles: Sequence[Profile]) -> str:
    """Return a section on the surrogate on these profiles."""
    body = []
    for profile in profiles:
        surrogate = surrogate_for(profile)
        cases = list(other_families.cases([profile], EACH))
        runs = simulate_many(Case(case.profile, case.server, case.workload, case.workload.seed) for case in cases)
        predictions = [surrogate.predict(case.workload, case.server) for case in cases]
        inside = np.array([prediction.inside for prediction in predictions], dtype=bool)
        throughput = np.array([p.throughput / run.throughput - 1.0 for p, run in zip(predictions, runs, strict=True)])
        itl = np.array([p.itl_mean / run.itl.mean - 1.0 for p, run in zip(predictions, runs, strict=True)])
        right = np.array([(p.overload > 0.5) == (run.worst != "ok") for p, run in zip(predictions, runs, strict=True)])
        body.append(
            [
                profile.name,
                "yes" if profile.name in surrogate.trained_on else "no",
                str(len(cases)),
                f"{100 * inside.mean():.0f} %",
                _both(100 * np.abs(throughput), inside),
                _both(100 * np.abs(itl), inside),
                _both(100.0 * right, inside),
            ]
        )
    header = ["profile", "trained on", "cases", "inside", "throughput", "mean ITL", "overload correct"]
    return section("The surrogate on derived profiles", header, body, f"{paragraph(NOTE)}\n\n{paragraph(_reserving())}")


def _reserving() -> str:
    """Say how much it matters that vLLM reserves whole prompts, which is in no training mix."""
    cases = list(other_families.cases([load_profile(name) for name in shipped_profiles()], EACH))
    without, with_it = (
        simulate_many(
            Case(
                case.profile,
                case.server.model_copy(update={"scheduler_reserve_full_isl": reserves}),
                case.workload,
                case.workload.seed,
            )
            for case in cases
        )
        for reserves in (False, True)
    )
    pairs = list(zip(without, with_it, strict=True))
    changed = np.array([one.throughput != other.throughput for one, other in pairs])
    same = np.array([(one.worst == "ok") == (other.worst == "ok") for one, other in pairs])
    return f"""Since vLLM 0.19, servers reserve blocks for whole prompts, which is in no training mix. On the two
    measured profiles, this changes {100 * changed.mean():.0f} % of {len(pairs)} such cases, and the verdict on
    {100 * (1.0 - same.mean()):.1f} %, so predictions are used for such servers as well."""


def _both(values: np.ndarray, inside: np.ndarray) -> str:
    cells = [values[chosen & np.isfinite(values)] for chosen in (inside, ~inside)]
    return " / ".join(f"{cell.mean():.1f}" if len(cell) else "-" for cell in cells)
