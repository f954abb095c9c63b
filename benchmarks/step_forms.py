"""Which terms the step-cost law needs: forms of it, compared by cross-validation over configurations.

Every run is simulated at its measured pace with the shipped profile (`calibration/pace.py`), which gives the mean
contents of its steps. Each form is then fitted to single steps and calibration runs. Its score is the error of a run's
mean step time: in the fit, cross-validated (configurations held out), and on validation runs. Also draws the pictures
of docs/explanation/calibration.md.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from adaptwin import Server, load_profile
from adaptwin.calibration.least_squares import nonnegative
from adaptwin.calibration.step_fit import LATE_GROWTH, StepFit
from adaptwin.calibration.step_terms import STEP_TERMS, constants_of
from adaptwin.profile.step_cost import step_seconds
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.step_coefficients import step_coefficients
from h100_measurements import measurements
from h100_runs import MODELS, PROJECT, measured_runs, require_data

mpl.use("Agg")
IMAGES = PROJECT / "docs" / "images"
COLUMNS = (*STEP_TERMS, "per_waiting")
LARGEST_RATE = 25.0  # requests/s of the runs whose scrapes are drawn
NEVER_USED = {"communication", "communication_per_token"}  # terms of groups of GPUs
TERMS = [name for name in COLUMNS if name not in NEVER_USED]
LORA = ("slot_launch", "launched_block", "lora_launch", "lora_byte", "adapter_byte", "shrink_block", "expand_block",
        "active_block", "per_listed_adapter")  # fmt: skip
FORMS = {
    "all terms": set(TERMS),
    "the paper's: running requests and adapters": {"host_base", "per_sequence", "expand_block", "lora_byte"},
    "without LoRA": set(TERMS) - set(LORA),
    **{f"without {name}": set(TERMS) - {name} for name in TERMS if name != "gpu_base"},
}


def main() -> None:
    """Print the comparison of forms for both models, and draw the pictures."""
    require_data()
    compile_twin()
    for model, name in MODELS.items():
        seen, unseen = (_played(model, split) for split in ("calibration", "validation"))
        print(f"\n{name}: mean absolute error of step time, %\n")
        print("| form | single steps | calibration runs | cross-validated | validation runs |\n|---|---|---|---|---|")
        for form, terms in FORMS.items():
            chosen = np.array([column in terms for column in COLUMNS])
            print(f"| {form} | {' | '.join(f'{error:.2f}' for error in _errors(chosen, seen, unseen))} |")
    _draw_law(IMAGES / "step-law.png")
    _draw_pauses(IMAGES / "scrape-pauses.png")


def _played(model: str, split: str) -> StepFit:
    """Return the linear problem of the fit, each run simulated at its measured pace with the shipped profile."""
    profile = load_profile(MODELS[model])
    of_split = measurements(model)._replace(runs=tuple(measured_runs(model, split)))
    problem = StepFit(profile, of_split, lambda *_: None)
    problem.profile = profile
    problem.play(0, 1)
    return problem


def _errors(chosen: np.ndarray, seen: StepFit, unseen: StepFit) -> list[float]:
    columns, seconds, kept = seen.of_runs()
    constants = _solve(seen, columns[kept], seconds[kept], chosen)
    held_out = np.zeros(len(seconds))
    for others, mine in seen.folds(kept):
        held_out[mine] = columns[mine] @ _solve(seen, columns[others], seconds[others], chosen)
    unseen_columns, unseen_seconds, unseen_kept = unseen.of_runs()
    return [
        _error(seen.columns @ constants, seen.target),
        _error((columns @ constants)[kept], seconds[kept]),
        _error(held_out[kept], seconds[kept]),
        _error((unseen_columns @ constants)[unseen_kept], unseen_seconds[unseen_kept]),
    ]


def _solve(seen: StepFit, columns: np.ndarray, seconds: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Fit the chosen constants to these runs and all single steps, but for those that are stated; the others are 0."""
    rows, seconds, weight = seen.with_steps(columns, seconds)
    fitted, stated = chosen & seen.is_fitted, chosen & ~seen.is_fitted
    constants = np.zeros(rows.shape[1])
    constants[stated] = constants_of(seen.start.step_cost)[stated[:-1]]
    given = rows @ constants
    constants[fitted] = nonnegative(rows[:, fitted], seconds, weight, given=given)
    return constants


def _error(predicted: np.ndarray, seconds: np.ndarray) -> float:
    return 100 * float(np.abs(predicted / seconds - 1).mean())


def _draw_law(path: Path) -> None:
    """Draw the measured steps with 300 slots, by tokens and adapters, and the fitted law."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), constrained_layout=True, sharey=True)
    for axis, (model, name) in zip(axes, MODELS.items(), strict=True):
        steps = measurements(model).steps
        assert steps is not None
        profile = load_profile(name)
        for adapters, color in zip((0, 1, 60, 120), ("#777777", "#3b6fb6", "#d2762b", "#4a9a5b"), strict=True):
            slots = 300 if adapters else 0
            near = (pl.col("max_loras") == slots) & ((pl.col("adapters") - adapters).abs() <= 8 * (adapters > 1))
            shown = steps.filter(near)
            label = f"{adapters} adapter{'s' * (adapters > 1)}, 300 slots" if adapters else "without LoRA"
            axis.scatter(shown["tokens"], 1e3 * shown["seconds"], s=14, color=color, label=label)
            cost = step_coefficients(profile, Server(max_loras=slots, max_lora_rank=8))
            tokens = np.arange(1, 1050)
            context = 60 * np.minimum(tokens, 250) if adapters else 120 * tokens  # as in the measured steps
            law = [
                1e3 * step_seconds(cost, tokens=int(t), sequences=min(int(t), 250), adapters=adapters, context=int(c))
                for t, c in zip(tokens, context, strict=True)
            ]
            axis.plot(tokens, law, color=color, linewidth=1)
        axis.set(xlabel="tokens in the step", ylabel="step, ms", title=name, xlim=(0, 1050), ylim=(0, 160))
        axis.grid(color="#dddddd", linewidth=0.5)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_pauses(path: Path) -> None:
    """Draw the twin's scrape pauses, from label sets, against those measured in the last quarter of each run."""
    figure, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    for (model, name), color in zip(MODELS.items(), ("#3b6fb6", "#d2762b"), strict=True):
        cost = load_profile(name).scrape_cost
        played = _played(model, "all")
        points = [
            (run.scrape_pause, LATE_GROWTH * (cost.per_label_set * pace.label_sets + cost.per_label * pace.labels))
            for run, pace in zip(played.runs, played.paces, strict=True)
            if run.scrape_pause is not None and run.workload.rate < LARGEST_RATE
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
