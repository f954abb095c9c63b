"""Pictures for docs/measured/accuracy.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import polars as pl

mpl.use("Agg")
COLORS = ("#3b6fb6", "#d2762b")
PANELS = (
    ("throughput", "throughput, tokens/s", 1.0),
    ("itl_mean", "mean ITL, ms", 1e3),
    ("ttft_p50", "median TTFT, s (not in deep overload)", 1.0),
)


def scatter(rows: pl.DataFrame, names: Mapping[str, str], path: Path) -> None:
    """Draw the twin against real runs for each figure, one colour per model."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), constrained_layout=True)
    for axis, (name, label, scale) in zip(axes, PANELS, strict=True):
        shown = rows.filter(~pl.col("deep_overload")) if name == "ttft_p50" else rows
        for (model, title), color in zip(names.items(), COLORS, strict=True):
            part = shown.filter(pl.col("model") == model)
            real, twin = part[f"real_{name}"] * scale, part[f"twin_{name}"] * scale
            axis.scatter(real, twin, s=9, alpha=0.6, color=color, label=title, linewidths=0)
        low, high = min(axis.get_xlim()[0], axis.get_ylim()[0]), max(axis.get_xlim()[1], axis.get_ylim()[1])
        edges = (max(low, float(shown[f"real_{name}"].min() or 1.0) * scale * 0.8), high)
        axis.plot(edges, edges, color="#888", linewidth=0.8, zorder=0)
        axis.set(xscale="log", yscale="log", xlabel=f"real: {label}", ylabel="twin")
        axis.grid(which="major", color="#ddd", linewidth=0.5)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def errors_by_band(rows: pl.DataFrame, names: Mapping[str, str], bands: Sequence[tuple[int, int]], path: Path) -> None:
    """Draw the signed errors of single runs by band of slots, with the mean of each band."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.6), constrained_layout=True, sharex=True)
    for axis, (name, label) in zip(axes, (("throughput", "throughput"), ("itl_mean", "mean ITL")), strict=True):
        for shift, ((model, title), color) in enumerate(zip(names.items(), COLORS, strict=True)):
            for place, (low, high) in enumerate(bands):
                part = rows.filter((pl.col("model") == model) & pl.col("max_loras").is_between(low, high))
                error = 100 * (part[f"twin_{name}"] / part[f"real_{name}"] - 1)
                middle = place + 0.3 * (shift - 0.5)
                spread = [middle + 0.1 * ((i * 0.618) % 1 - 0.5) for i in range(len(error))]
                axis.scatter(
                    spread, error, s=7, alpha=0.5, color=color, linewidths=0, label=title if place == 0 else None
                )
                axis.plot([middle - 0.1, middle + 0.1], [error.mean()] * 2, color=color, linewidth=2)
        axis.axhline(0, color="#888", linewidth=0.8, zorder=0)
        axis.set(ylabel=f"{label}: twin over real, %", xlabel="max_loras", ylim=(-50, 50))
        axis.set_xticks(range(len(bands)), [f"{low}-{high}" for low, high in bands])
        axis.grid(axis="y", color="#ddd", linewidth=0.5)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
