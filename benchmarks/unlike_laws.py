"""The surrogate on laws that no GPU has: every constant of a derived profile times a random factor."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adaptwin import Profile, Surrogate, load_design, sweep
from adaptwin.arrays import Array
from adaptwin.surrogate.outputs import NAMES
from adaptwin.surrogate.score import error
from adaptwin.surrogate.train import actual_figures, make_examples
from measured_page import paragraph, section

SPREADS = (0.5, 1.0, 2.0)  # standard deviations of the logarithms of the factors
LAWS = 40  # of each spread
MIXES_OF_LAW = 5
FAR = 20.0  # per cent, beyond which a prediction is far off
CHANGED_TOGETHER = (  # constants of a step that have one factor in common
    ("host_base",),
    ("gpu_base", "weights", "expert_weights"),
    ("balance_tokens",),
    ("per_token", "communication_per_token"),
    ("per_pair",),
    ("per_context_token",),
    ("per_sequence",),
    ("slot_launch", "launched_block", "lora_launch"),
    ("lora_byte", "adapter_byte", "shrink_block", "expand_block", "active_block", "per_listed_adapter"),
)


def unlike_laws(surrogate: Surrogate, profiles: Sequence[Profile], folder: Path) -> str:
    """Return a section on a surrogate and laws like those of these profiles, which are swept into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    spreads = {f"law-{number}": SPREADS[number % len(SPREADS)] for number in range(LAWS * len(SPREADS))}
    laws = {
        name: _changed(profiles[number % len(profiles)], name, spread, generator)
        for number, (name, spread) in enumerate(spreads.items())
    }
    files = [folder / f"{name}.yaml" for name in laws]
    for file, law in zip(files, laws.values(), strict=True):
        law.write(file)
    update = {"profiles": tuple(map(str, files)), "mixes": MIXES_OF_LAW * len(laws), "seed": 1}
    examples = make_examples(sweep(load_design("planning").model_copy(update=update), folder / "runs").rows, laws)
    answers, inside = surrogate.predict_features(examples.features, examples.steady_answers)
    figures, actual = dict(zip(NAMES, answers.T, strict=True)), actual_figures(examples)
    wrong = 100.0 * ((figures["overload"] > 0.5) != (actual["overload"] > 0.5))
    of_row = np.array([spreads[name] for name in examples.rows["profile"]])
    body = []
    for spread in SPREADS:
        chosen = of_row == spread
        cells = [f"{np.exp(spread):.1f}", f"{chosen.sum():,}", f"{100 * inside[chosen].mean():.0f}"]
        for name in ("served", "itl_mean"):
            errors = error(figures[name], actual[name])
            far = np.where(np.isfinite(errors), 100.0 * (errors > FAR), np.nan)
            cells += [_both(errors, chosen, inside), _both(far, chosen, inside)]
        body.append([*cells, _both(wrong, chosen, inside)])
    header = [
        "typical factor",
        "runs",
        "inside",
        "throughput",
        "off by 20 %",
        "mean ITL",
        "off by 20 %",
        "overload wrong",
    ]
    return section("Laws that no GPU has", header, body, paragraph(NOTE))


NOTE = f"""Profiles of the training whose step constants, in {len(CHANGED_TOGETHER)} groups, and load times are each
multiplied by a random factor: two in three factors lie between the typical factor and its inverse. Errors of the
distilled models on all runs, those at the boundary of overload included, and shares of predictions that are off by
more than {FAR:g} %, in per cent, inside / outside the region of the training data. The more unlike the laws, the fewer
of their runs are inside."""


def _both(values: Array, chosen: NDArray[np.bool_], inside: NDArray[np.bool_]) -> str:
    parts = [values[chosen & where & np.isfinite(values)] for where in (inside, ~inside)]
    return " / ".join(f"{part.mean():.1f}" if len(part) else "-" for part in parts)


def _changed(profile: Profile, name: str, spread: float, generator: np.random.Generator) -> Profile:
    """Return a profile with every group of constants multiplied by a factor, whose logarithm has this spread."""
    cost = profile.step_cost.model_dump()
    for group in CHANGED_TOGETHER:
        factor = float(np.exp(generator.normal(0.0, spread)))
        cost |= {constant: factor * cost[constant] for constant in group}
    cost["balance_tokens"] = max(1.0, cost["balance_tokens"])
    slower = float(np.exp(generator.normal(0.0, spread)))
    load = {constant: slower * seconds for constant, seconds in profile.load_cost}
    no_claim = {"evidence": None, "error": None, "spread": (), "measured": None}
    return Profile.parse({**profile.model_dump(), **no_claim, "name": name, "step_cost": cost, "load_cost": load})
