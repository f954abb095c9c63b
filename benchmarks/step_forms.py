"""Which terms of the step law are earned: forms of it compared by cross-validation over configurations.

Every run is played at its measured pace with the shipped profile (`calibration/pace.py`), which gives the mean contents
of its steps; then each form is fitted to single steps and calibration runs, and judged by the error of a run's mean
step time: in the fit, cross-validated (configurations held out), and on validation runs. Writes the pictures of
docs/calibration.md.
"""

from pathlib import Path
from typing import NamedTuple

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from adaptwin import load_profile
from adaptwin.calibration.least_squares import nonnegative
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.pace import Pace, at_measured_pace
from adaptwin.calibration.step_terms import TERMS, constants_of, means_of_steps, means_of_tallies, term_columns
from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.compilation import compile_twin
from h100_measurements import measurements
from h100_runs import MODELS, PROJECT, measured_runs, require_data

mpl.use("Agg")
IMAGES = PROJECT / "docs" / "images"
FOLDS = 6
FAR = 0.05
COLUMNS = (*TERMS, "per_waiting")
SPLIT = {"split_per_token_slot", "split_per_adapter", "split_per_adapter_block"}
FORMS = {
    "all terms": set(COLUMNS),
    "the paper's: running requests and adapters": {"base", "per_token", "lora_per_adapter", "lora_per_token_adapter"},
    "without the small-batch terms": set(COLUMNS) - SPLIT,
    **{f"without {name}": set(COLUMNS) - {name} for name in COLUMNS if name != "base"},
}


class Rows(NamedTuple):
    """A linear problem: columns, seconds, and the configuration that each row belongs to."""

    columns: np.ndarray
    seconds: np.ndarray
    configuration: np.ndarray


def main() -> None:
    """Print the comparison of forms for both models, and draw the pictures."""
    require_data()
    for model, name in MODELS.items():
        profile = load_profile(name)
        compile_twin()
        steps = _of_steps(profile, model)
        calibration, validation = (_of_runs(profile, model, split) for split in ("calibration", "validation"))
        print(f"\n{name}: mean absolute error of step time, %\n")
        print("| form | single steps | calibration runs | cross-validated | validation runs |\n|---|---|---|---|---|")
        for form, terms in FORMS.items():
            chosen = np.array([column in terms for column in COLUMNS])
            errors = " | ".join(f"{error:.2f}" for error in _errors(chosen, steps, calibration, validation))
            print(f"| {form} | {errors} |")
    _draw_law(IMAGES / "step-law.png")
    _draw_pauses(IMAGES / "scrape-pauses.png")


def _of_steps(profile: Profile, model: str) -> Rows:
    table = measurements(model).steps
    assert table is not None
    means = means_of_steps(table, profile.step_cost)
    slots, rank = (table[name].to_numpy().astype(float) for name in ("max_loras", "max_lora_rank"))
    scheduler = profile.scheduler_cost
    seconds = table["seconds"].to_numpy() - scheduler.base - scheduler.per_running * means["running"]
    columns = np.column_stack([term_columns(slots, rank, means), means["waiting"]])
    return Rows(columns, seconds, np.zeros(len(seconds)))


def _of_runs(profile: Profile, model: str, split: str) -> Rows:
    played = [(run, pace) for run, pace in _paces(profile, measured_runs(model, split)) if abs(pace.miss) < FAR]
    means = means_of_tallies([pace.tally for _, pace in played])
    slots, rank = (
        np.array([float(getattr(run.server, name)) for run, _ in played]) for name in ("max_loras", "max_lora_rank")
    )
    columns = term_columns(slots, rank, means)
    factor = np.array([pace.factor for _, pace in played])
    waiting = profile.scheduler_cost.per_waiting * means["waiting"]
    configuration = np.array([1000 * run.server.max_loras + len(run.workload) for run, _ in played])
    seconds = factor * (columns @ constants_of(profile.step_cost)) + waiting
    return Rows(np.column_stack([columns, means["waiting"]]), seconds, configuration)


def _paces(profile: Profile, runs: list[MeasuredRun]) -> list[tuple[MeasuredRun, Pace]]:
    calls = (joblib.delayed(at_measured_pace)(profile, run) for run in runs)
    paces = joblib.Parallel(n_jobs=-1, prefer="threads")(calls)
    return [(run, pace) for run, pace in zip(runs, paces, strict=True) if pace is not None]


def _errors(chosen: np.ndarray, steps: Rows, calibration: Rows, validation: Rows) -> list[float]:
    everything = np.ones(len(calibration.seconds), dtype=bool)
    constants = _solve(chosen, steps, calibration, everything)
    held_out = np.zeros(len(calibration.seconds))
    keys = np.unique(calibration.configuration)
    order = np.random.default_rng(0).permutation(len(keys))
    for fold in range(FOLDS):
        mine = np.isin(calibration.configuration, keys[order[fold::FOLDS]])
        held_out[mine] = calibration.columns[mine][:, chosen] @ _solve(chosen, steps, calibration, ~mine)
    return [
        _error(steps.columns[:, chosen] @ constants, steps.seconds),
        _error(calibration.columns[:, chosen] @ constants, calibration.seconds),
        _error(held_out, calibration.seconds),
        _error(validation.columns[:, chosen] @ constants, validation.seconds),
    ]


def _solve(chosen: np.ndarray, steps: Rows, runs: Rows, kept: np.ndarray) -> np.ndarray:
    share = min(1.0, (kept.sum() / len(steps.seconds)) ** 0.5)
    weight = np.concatenate([np.full(len(steps.seconds), share), np.ones(kept.sum())])
    columns = np.vstack([steps.columns[:, chosen], runs.columns[kept][:, chosen]])
    return nonnegative(columns, np.append(steps.seconds, runs.seconds[kept]), weight)


def _error(predicted: np.ndarray, seconds: np.ndarray) -> float:
    return 100 * float(np.abs(predicted / seconds - 1).mean())


def _draw_law(path: Path) -> None:
    """Measured steps with 300 slots, by tokens and adapters, and the law through them."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), constrained_layout=True, sharey=True)
    for axis, (model, name) in zip(axes, MODELS.items(), strict=True):
        steps = measurements(model).steps
        assert steps is not None
        cost = load_profile(name).step_cost
        for adapters, color in zip((0, 1, 60, 120), ("#777777", "#3b6fb6", "#d2762b", "#4a9a5b"), strict=True):
            slots = 300 if adapters else 0
            near = (pl.col("max_loras") == slots) & ((pl.col("adapters") - adapters).abs() <= 8 * (adapters > 1))
            shown = steps.filter(near)
            label = f"{adapters} adapter{'s' * (adapters > 1)}, 300 slots" if adapters else "without LoRA"
            axis.scatter(shown["tokens"], 1e3 * shown["seconds"], s=14, color=color, label=label)
            resolved = cost.resolve(max_loras=slots, max_lora_rank=8)
            tokens = np.arange(1, 1050)
            context = 60 * np.minimum(tokens, 250) if adapters else 120 * tokens  # as in the steps measured
            law = [1e3 * step_seconds(resolved, int(t), int(c), adapters) for t, c in zip(tokens, context, strict=True)]
            axis.plot(tokens, law, color=color, linewidth=1)
        axis.set(xlabel="tokens in the step", ylabel="step, ms", title=name, xlim=(0, 1050), ylim=(0, 160))
        axis.grid(color="#dddddd", linewidth=0.5)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_pauses(path: Path) -> None:
    """Pauses of the sampler's scrapes in the last quarter of runs, and what the combinations of adapters explain."""
    figure, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    for (model, name), color in zip(MODELS.items(), ("#3b6fb6", "#d2762b"), strict=True):
        profile = load_profile(name)
        cost = profile.scrape_cost
        points = [
            (run.scrape_pause, 0.875 * (cost.per_label_set * pace.label_sets + cost.per_label * pace.labels))
            for run, pace in _paces(profile, [r for r in measured_runs(model, "all") if r.workload.rate < 25])
            if run.scrape_pause is not None
        ]
        real, twin = np.array(points).T
        axis.scatter(real, twin, s=10, alpha=0.6, color=color, label=name, linewidths=0)
    axis.plot([0, 1.4], [0, 1.4], color="#888888", linewidth=0.8)
    axis.set(xlabel="measured pause, s", ylabel="twin, s", xlim=(0, 1.4), ylim=(0, 1.4))
    axis.grid(color="#dddddd", linewidth=0.5)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
