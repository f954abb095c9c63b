"""Re-planning: what `replan` changes in a running fleet after some of its rates have changed."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adaptwin import Adapter, Profile, Workload, make_plan, replan
from adaptwin.workload.drawing.seeds import stream_seed
from measured_page import paragraph, section
from populations import Population

CHANGED, BY = 0.1, 2.0  # share of the adapters whose rate changes, and the largest factor, up or down
DRAWS = 3


class Replanned(NamedTuple):
    """The outcome of re-planning a fleet after some of its rates have changed."""

    population: str
    draw: int
    adapters: int
    before: int  # GPUs of the plan that runs
    gpus: int  # GPUs after re-planning
    afresh: int  # GPUs of a new plan for the changed workload
    moves: int
    restarts: int
    verified: bool
    seconds: float


def replanned(profile: Profile, population: Population) -> list[Replanned]:
    """Re-plan a fleet after several changes, each from the same running plan."""
    running = make_plan(profile, population.workload)
    results = []
    for draw in range(DRAWS):
        workload = change(population.workload, draw)
        started = time.perf_counter()
        found = replan(running, workload)
        seconds = time.perf_counter() - started
        afresh = make_plan(profile, workload)
        moved = found.migration
        results.append(
            Replanned(
                population.name,
                draw,
                len(workload),
                running.gpus,
                found.gpus,
                afresh.gpus,
                moved.moves if moved else 0,
                moved.restarts if moved else 0,
                found.verified,
                seconds,
            )
        )
    return results


def change(workload: Workload, draw: int) -> Workload:
    """Change the rates of a tenth of the adapters, up to double or down to half."""
    generator = np.random.default_rng(stream_seed(draw, "change"))
    chosen = set(generator.choice(len(workload), size=round(CHANGED * len(workload)), replace=False).tolist())
    factors = BY ** generator.uniform(-1.0, 1.0, size=len(workload))

    def changed(index: int, adapter: Adapter) -> Adapter:
        return adapter.scaled(float(factors[index])) if index in chosen else adapter

    return workload.model_copy(update={"adapters": tuple(changed(i, a) for i, a in enumerate(workload.adapters))})


def replanning_table(rows: Sequence[Replanned]) -> str:
    """Return the section about re-planning."""
    header = [
        "population",
        "draw",
        "GPUs before",
        "GPUs re-planned",
        "GPUs of a new plan",
        "moves",
        "moves, of adapters",
        "restarts",
        "seconds",
    ]
    body = [
        [
            row.population,
            str(row.draw),
            str(row.before),
            f"{row.gpus}{'' if row.verified else ' (not verified)'}",
            str(row.afresh),
            str(row.moves),
            f"{100 * row.moves / row.adapters:.1f} %",
            str(row.restarts),
            f"{row.seconds:.1f}",
        ]
        for row in rows
    ]
    note = """A tenth of the adapters change their rate, each by a factor between a half and two, and `replan` adapts
    the running plan, which `pack` has made. The fifth column is what a new plan for the changed rates would need."""
    return section("Re-planning after a change of rates", header, body, paragraph(note))
