"""Picture for docs/paper.md: both twins against the same real runs."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from paper_measures import signed_errors

mpl.use("Agg")
TWINS = {"paper": ("the paper's twin", "#d2762b"), "twin": ("adaptwin", "#3b6fb6")}
SHOWN_FIGURES = {"throughput": "throughput", "itl": "mean ITL"}


def twin_errors(rows: pl.DataFrame, path: Path) -> None:
    """Draw the signed errors of both twins by number of slots, one point per run, with the median of each number."""
    shared = rows.filter(pl.col("paper_throughput").is_not_null())
    slots = sorted(shared["max_loras"].unique())
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.8), constrained_layout=True, sharex=True)
    for axis, (name, label) in zip(axes, SHOWN_FIGURES.items(), strict=True):
        for shift, (twin, (title, color)) in enumerate(TWINS.items()):
            for place, number in enumerate(slots):
                part = shared.filter(max_loras=number)
                errors = signed_errors(part[f"{twin}_{name}"], part[f"real_{name}"])
                middle = place + 0.4 * (shift - 0.5)
                spread = [middle + 0.2 * ((i * 0.618) % 1 - 0.5) for i in range(len(errors))]
                shown = title if place == 0 else None
                axis.scatter(spread, errors, s=8, alpha=0.5, color=color, linewidths=0, label=shown)
                axis.plot([middle - 0.17, middle + 0.17], [np.median(errors)] * 2, color=color, linewidth=2)
        axis.axhline(0, color="#888", linewidth=0.8, zorder=0)
        axis.set(ylabel=f"{label}: twin over real, %", xlabel="slots (max_loras)", ylim=(-60, 60))
        axis.set_xticks(range(len(slots)), map(str, slots))
        axis.grid(axis="y", color="#ddd", linewidth=0.5)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
