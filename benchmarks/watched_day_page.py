"""The page docs/measured/watch.md and its picture, from what `watched_day` has simulated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.report.watching.simulated_time import StretchTotals
from measured_page import IMAGES, PAGES, generated_by, paragraph, section

mpl.use("Agg")
HOUR = 3600.0
PICTURE = "watched-day.png"
COLOURS = {"one plan": "#7f7f7f", "schedule": "#009988", "afresh each hour": "#ee7733", "watch": "#0077bb"}
KNOWS = {
    "one plan": "the rates of every hour",
    "schedule": "the rates of every hour",
    "afresh each hour": "the rates of the hour",
    "watch": "what it has seen",
}


def write_watched_day_page(
    found: Mapping[str, Mapping[str, Any]],
    *,
    peak: float,
    headroom: float,
    every: float,
    longest: float,
    start: float,
    before: float,
) -> None:
    """Write the page and the picture."""
    ways = {name: [SimulatedStretch(**each) for each in way["stretches"]] for name, way in found.items()}
    totals = {name: StretchTotals.of(stretches, every) for name, stretches in ways.items()}
    _draw(ways, IMAGES / PICTURE)
    body = [
        [
            f"{name}" if name != "watch" else "`adaptwin watch`",
            KNOWS[name],
            f"{total.gpu_hours:.0f}",
            f"{total.most_gpus}",
            f"{total.moves:,}",
            f"{total.restarts}",
            f"{total.overloaded_hours:.1f}",
        ]
        for name, total in totals.items()
    ]
    header = (
        "fleet",
        "knows",
        "GPU-hours",
        "most GPUs",
        "moves",
        "restarts",
        "overloaded adapter-hours",
    )
    intro = paragraph(
        "Production clients of ServeGen stand for adapters (118 of the pools m-large and m-small, with ranks 8, 16 "
        f"and 32; those with over {longest:,.0f} tokens per request on average are left out), each with its own rate "
        "every ten minutes, its own bursts and its own lengths, on servers with an H100 and Llama-3.1-8B, which the "
        f"twin simulates. All rates are scaled so that the busiest ten minutes of the day have {peak:.0f} requests/s. "
        f"All plans keep {headroom:.0%} of headroom. The rates jump within ten minutes, by half and more, which no "
        "plan for an hour knows."
    )
    notes = paragraph(
        "An adapter-hour is overloaded where the twin finds the adapter starved or backlogged in the ten minutes; each "
        "ten minutes begin with empty servers. The first three fleets have their servers in place when an hour "
        "begins, and know its mean rates beforehand. The watch knows neither: it starts "
        f"{before / HOUR:.0f} hours earlier, its servers "
        f"take {start / 60.0:.0f} minutes to start, and then serve from the next ten minutes on. Moves are loads of "
        "adapters on servers that did not serve them."
    )
    seconds = ", ".join(f"{name} {way['seconds'] / 60.0:.0f} min" for name, way in found.items())
    text = "\n\n".join(
        [
            "# A day under watch",
            intro,
            section("One day", header, body),
            notes,
            f"![GPUs, overloaded adapters and traffic of the day](../images/{PICTURE})",
            paragraph(
                f"Rounds of the watch, the hours before included, by decision: {found['watch']['note']}. Time on this "
                f"machine: {seconds}."
            ),
            generated_by("watched-day", after="changes to the watch, to re-planning or to schedules"),
        ]
    )
    (PAGES / "watch.md").write_text(text + "\n", encoding="utf-8")


def _draw(ways: Mapping[str, list[SimulatedStretch]], path: Path) -> None:
    figure, axes = plt.subplots(
        3, 1, figsize=(10, 7.5), sharex=True, constrained_layout=True, height_ratios=(3, 2, 1.6)
    )
    for name, stretches in ways.items():
        first = stretches[0].start
        hours = [(stretch.start - first) / HOUR for stretch in stretches]
        style = {"where": "post", "color": COLOURS[name], "label": name, "linewidth": 2.0 if name == "watch" else 1.3}
        axes[0].step(hours, [stretch.gpus for stretch in stretches], **style)
        axes[1].step(hours, [len(stretch.overloaded) for stretch in stretches], **style)
    shown = ways["watch"]
    hours = [(stretch.start - shown[0].start) / HOUR for stretch in shown]
    axes[2].step(hours, [stretch.requests for stretch in shown], where="post", color="#444444", linewidth=1.2)
    for axis, title in zip(axes, ("GPUs", "overloaded adapters", "requests/s"), strict=True):
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
    axes[0].legend(ncols=4, loc="lower center", frameon=False)
    axes[2].set_xlabel("hours of the day")
    axes[2].set_xlim(0, 24)
    axes[2].set_xticks(range(0, 25, 3))
    figure.savefig(path, dpi=110)
    plt.close(figure)
