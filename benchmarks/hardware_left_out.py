"""The surrogate on hardware that had no part in its training: errors, and what its guard keeps out.

For every family of GPUs or models, models are trained on the runs of all other profiles and asked about the runs of
this family. `left_out` also asks models that are trained on the measured profiles alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin import Profile, shipped_profiles
from adaptwin.arrays import Array
from adaptwin.surrogate.distil import ODDS_LEAVES, UNDECIDED_ODDS, distil
from adaptwin.surrogate.features import Features
from adaptwin.surrogate.model_tree import evaluate, plant
from adaptwin.surrogate.outputs import OUTPUTS
from adaptwin.surrogate.region import Region, clip_to
from adaptwin.surrogate.score import error
from adaptwin.surrogate.teacher import teach
from adaptwin.surrogate.train import Examples, Training, actual_figures
from measured_page import paragraph, section

ROWS = 20_000  # rows to train on, drawn at random
GIGABYTE = 1e9
JUDGED = tuple(output for output in OUTPUTS if output.name in ("served", "itl_mean", "overload"))
FAMILIES: dict[str, Callable[[Profile], bool]] = {
    "L4 and A10": lambda profile: _is_of(profile, "L4", "A10"),
    "RTX 4090": lambda profile: _is_of(profile, "4090"),
    "A6000 and L40S": lambda profile: _is_of(profile, "A6000", "L40S"),
    "A100": lambda profile: _is_of(profile, "A100"),
    "H100": lambda profile: _is_of(profile, "H100"),
    "H200": lambda profile: _is_of(profile, "H200"),
    "B200 and RTX PRO 6000": lambda profile: _is_of(profile, "B200", "RTX PRO"),
    "weights under 4 GB": lambda profile: profile.memory.weights_bytes < 4 * GIGABYTE,
    "weights above 40 GB": lambda profile: profile.memory.weights_bytes > 40 * GIGABYTE,
    "groups of GPUs": lambda profile: profile.tensor_parallel_size > 1,
    "quantised weights": lambda profile: profile.model.bytes_per_weight < 2,
    "mixtures of experts": lambda profile: profile.step_cost.expert_weights > 0,
}


class Answers(NamedTuple):
    """What models say about runs that they were not trained on: absolute errors in per cent, shape (runs,)."""

    inside: NDArray[np.bool_]
    throughput: Array
    itl: Array
    overload_wrong: Array  # 1 where overload is predicted wrongly
    large_throughput: Array  # of the large models, from which those above are distilled
    large_itl: Array


def left_out(training: Training) -> str:
    """Return a section with a row for every family of derived profiles that a training has."""
    examples = training.examples
    names = examples.rows["profile"].to_numpy()
    derived = ~np.isin(names, shipped_profiles())
    body, each = [], []
    for family, belongs in FAMILIES.items():
        members = [name for name, one in training.surrogates.items() if belongs(one.profile)]
        chosen = derived & np.isin(names, members)
        if chosen.any():
            each.append(_answers(examples.where(~chosen), examples.where(chosen)))
            body.append(_row(family, each[-1]))
    if not body:
        return ""
    body.append(_row("all of these", Answers(*(np.concatenate(column) for column in zip(*each, strict=True)))))
    alone = _answers(examples.where(~derived), examples.where(derived))
    body.append(_row("all derived profiles at once", alone))
    header = [
        "left out", "runs", "inside", "throughput", "mean ITL", "overload wrong",
        "throughput off by 10 %", "by 20 %", "mean ITL off by 10 %", "by 20 %",
    ]  # fmt: skip
    return section("Hardware left out of the training", header, body, paragraph(NOTE))


NOTE = f"""Errors in per cent on profiles that had no part in the training: of the distilled / the large models, on all
runs, those at the boundary of overload included. Each family was left out once; models were trained on {ROWS:,} runs of
all other profiles, the measured ones included, and on the measured ones alone for the last row. "Inside" is the share
of the runs inside the region of these training data, in per cent; planners use no other predictions. "Overload wrong"
is the share, in per cent, of the runs inside for which overload is predicted wrongly. The last columns are the shares
of predictions that are off by more than 10 % and 20 %, with / without this guard, in per cent."""


def _is_of(profile: Profile, *gpus: str) -> bool:
    """Whether one of these GPUs is the profile's, whose name may have further words."""
    words = f" {profile.hardware} ".replace("-", " ")
    return any(f" {gpu} " in words for gpu in gpus)


def _answers(training: Examples, test: Examples) -> Answers:
    some = np.zeros(len(training.features), np.bool_)
    some[np.random.default_rng(0).permutation(len(some))[:ROWS]] = True
    training = training.where(some)
    teacher = teach(training.features, training.targets, 0, {}, JUDGED)
    trees = []
    for output in JUDGED:
        taught, odds = teacher.learned(output, training.features), output.scale == "odds"
        limits = {"leaves": ODDS_LEAVES, "clear": UNDECIDED_ODDS} if odds else {}
        trees.append(distil(training.features, taught, Features._fields, **limits))
    region = Region.around(training.features, Features._fields).arrays()
    clipped, inside = clip_to(region, test.features)
    learned = evaluate(plant(trees, Features._fields), clipped)
    actual, figures, large = actual_figures(test), {}, {}
    for column, output in enumerate(JUDGED):
        figures[output.name] = output.value(learned[:, column], test.steady_answers)
        large[output.name] = output.value(teacher.learned(output, test.features), test.steady_answers)
    return Answers(
        inside=inside,
        throughput=error(figures["served"], actual["served"]),
        itl=error(figures["itl_mean"], actual["itl_mean"]),
        overload_wrong=((figures["overload"] > 0.5) != (actual["overload"] > 0.5)).astype(np.float64),
        large_throughput=error(large["served"], actual["served"]),
        large_itl=error(large["itl_mean"], actual["itl_mean"]),
    )


def _row(name: str, answers: Answers) -> list[str]:
    inside = answers.inside
    cells = [name, f"{len(inside):,}", f"{100 * inside.mean():.0f}"]
    for small, large in ((answers.throughput, answers.large_throughput), (answers.itl, answers.large_itl)):
        cells.append(f"{np.nanmean(small[inside]):.1f} / {np.nanmean(large[inside]):.1f}")
    cells.append(f"{100 * answers.overload_wrong[inside].mean():.1f}")
    for errors in (answers.throughput, answers.itl):
        cells += [f"{_beyond(errors[inside], limit)} / {_beyond(errors, limit)}" for limit in (10.0, 20.0)]
    return cells


def _beyond(errors: Array, limit: float) -> str:
    known = errors[np.isfinite(errors)]
    return f"{100 * (known > limit).mean():.1f}" if len(known) else "-"
