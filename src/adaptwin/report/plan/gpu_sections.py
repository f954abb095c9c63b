"""The sections of a page about one GPU each: what limits it, its command and settings, its slots, its run over time."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.ranks import rank_counts, rank_summary
from adaptwin.report.plan.safety import GOOD, headroom_tone, ttft_tone
from adaptwin.report.plan.settings import SettingRow, server_settings
from adaptwin.report.plan.slot_chart import choices_figure
from adaptwin.report.plan.slot_rows import SlotRow, slot_rows
from adaptwin.report.plan.story import story
from adaptwin.report.series_chart import series_figure
from adaptwin.report.style.page import Picture

SERIES_POINTS = 240  # of each line over time

_SERIES = "What the twin simulated: requests that run and wait, different adapters in the batch, KV cache and tokens/s."
_CHOICES = (
    "Throughput and mean inter-token latency for the values of max_loras that were tried. With too few slots, requests "
    "wait for one; too many take memory from the KV cache and slow down every step."
)


class GpuSection(NamedTuple):
    """The contents of the section of one GPU."""

    placed: PlacedServer
    ranks: str
    binds: str
    headroom: str
    headroom_tone: str
    ttft_tone: str
    story: str
    command: str  # that starts the server; empty where there is none
    settings: list[SettingRow]
    slots: list[SlotRow]
    choices: Picture | None
    series: Picture | None

    @property
    def verdict_tone(self) -> str:
        """The tone of the verdict: that of headroom and TTFT where the verdict itself is ok."""
        forecast = self.placed.forecast
        if forecast is None or forecast.grade != "ok":
            return ""
        tones = {self.headroom_tone, self.ttft_tone}
        return "bad" if "bad" in tones else "warn" if "warn" in tones else GOOD


def gpu_sections(
    plan: Plan, briefing: Briefing | None, commands: Mapping[str, str], prefix: str
) -> Iterator[GpuSection]:
    """Yield the sections of the servers of a plan; the names of their figures begin with the prefix."""
    recorded = set(_recorded(briefing))
    for index, (server, counts) in enumerate(zip(plan.servers, rank_counts(plan), strict=True)):
        forecast = server.forecast
        yield GpuSection(
            placed=server,
            ranks=rank_summary(counts),
            binds=forecast.binding if forecast else "",
            headroom=headroom_text(forecast) if forecast else "",
            headroom_tone=headroom_tone(forecast) if forecast else "",
            ttft_tone=ttft_tone(forecast) if forecast else "",
            story=story(plan, server),
            command=commands.get(server.name, ""),
            settings=server_settings(plan, server),
            slots=slot_rows(server),
            choices=_choices(f"{prefix}choices-{index}", server),
            series=Picture(f"{prefix}series-{index}", "Over time", _SERIES) if server.name in recorded else None,
        )


def _recorded(briefing: Briefing | None) -> Iterator[str]:
    for name, run in (briefing.runs if briefing else {}).items():
        if run.series is not None and len(run.series) > 1:
            yield name


def section_figures(sections: list[GpuSection], briefing: Briefing | None) -> dict[str, go.Figure]:
    """Draw the figures of sections, by the key of their picture."""
    drawn = {section.choices.key: choices_figure(section.placed) for section in sections if section.choices}
    for section in sections:
        run = briefing.runs.get(section.placed.name) if briefing and section.series else None
        if section.series and run is not None and run.series is not None:
            drawn[section.series.key] = series_figure(run.series, SERIES_POINTS)
    return drawn


def _choices(key: str, server: PlacedServer) -> Picture | None:
    return Picture(key, f"Why max_loras is {server.server.max_loras}", _CHOICES) if server.choices else None
