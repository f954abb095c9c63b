"""Pictures for docs/measured/placement.md."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")
COLORS = ("#3b6fb6", "#d2762b", "#5f9e6e", "#b55d60", "#857aab", "#8d7866", "#d095bf", "#8c8c8c", "#3aa6a6")
MARKERS = "os^vDPX*"
SPREAD = 0.8  # of a population's row, over which its strategies are spread


def gpus_by_strategy(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the GPUs of every verified plan, one row per population, with the lower bound.

    Strategies with the placement of another one, such as ``dlora_best_slots``, have its color and are drawn hollow.
    """
    populations = list(dict.fromkeys(row["population"] for row in rows))
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    place = {name: len(populations) - 1 - i for i, name in enumerate(populations)}
    figure, axis = plt.subplots(figsize=(10, 0.62 * len(populations) + 2.0), constrained_layout=True)
    families = list(dict.fromkeys(_family(strategy, strategies) for strategy in strategies))
    for number, strategy in enumerate(strategies):
        of = [row for row in rows if row["strategy"] == strategy and row["gpus"]]
        shift = SPREAD * (number / max(1, len(strategies) - 1) - 0.5)
        family = families.index(_family(strategy, strategies))
        color = COLORS[family % len(COLORS)]
        axis.scatter(
            [row["gpus"] for row in of],
            [place[row["population"]] - shift for row in of],
            s=64 if strategy == "pack" else 26,
            facecolor=color if strategy in families else "none",
            edgecolor=color,
            marker=MARKERS[number % len(MARKERS)],
            label=strategy,
            zorder=3 if strategy == "pack" else 2,
        )
    for name in populations:
        bound = next(row["bound"] for row in rows if row["population"] == name)
        axis.plot([bound, bound], [place[name] - 0.4, place[name] + 0.4], color="#333", linewidth=1.5)
        axis.axhline(place[name] - 0.5, color="#ddd", linewidth=0.5)
        estimate = next((row["estimate"] for row in rows if row["population"] == name and row["estimate"]), None)
        if estimate is not None:
            axis.plot(
                [estimate] * 2, [place[name] - 0.4, place[name] + 0.4], color="#333", linewidth=1.2, linestyle=":"
            )
    axis.plot([], [], color="#333", linewidth=1.5, label="lower bound")
    axis.plot([], [], color="#333", linewidth=1.2, linestyle=":", label="estimate")
    axis.set(xscale="log", xlabel="GPUs of the verified plan")
    ticks = [1, 2, 3, 5, 10, 20, 50]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(list(place.values()), list(place))
    axis.set_ylim(-0.5, len(populations) - 0.5)
    axis.grid(axis="x", color="#ddd", linewidth=0.5)
    axis.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.4, 1.0), fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _family(strategy: str, strategies: list[str]) -> str:
    """Return the strategy whose placement this one has: its own, or that of the one whose name its name begins with."""
    return next((other for other in strategies if strategy.startswith(f"{other}_")), strategy)


def scaling(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds and memory of planning over the number of adapters."""
    adapters = [row["adapters"] for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), constrained_layout=True)
    for name, label, color in (
        ("search", "search", COLORS[0]),
        ("total", "with verification and forecasts", COLORS[1]),
    ):
        axes[0].plot(adapters, [row[name] for row in rows], marker="o", color=color, label=label)
    axes[0].plot(adapters, [rows[0]["total"] * n / adapters[0] for n in adapters], color="#bbb", label="linear")
    axes[0].set(xscale="log", yscale="log", xlabel="adapters", ylabel="seconds")
    axes[0].legend(frameon=False)
    axes[1].plot(adapters, [row["memory"] for row in rows], marker="o", color=COLORS[0])
    axes[1].set(xscale="log", xlabel="adapters", ylabel="peak memory, MiB", ylim=(0, None))
    for axis in axes:
        axis.grid(color="#ddd", linewidth=0.5)
    figure.savefig(path, dpi=110)
    plt.close(figure)
