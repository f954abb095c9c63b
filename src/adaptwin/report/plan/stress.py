"""What a plan bears beyond its traffic, in sentences and as a table for the terminal."""

from rich.console import Group, RenderableType

from adaptwin.plan.stress import Proportion, Stress
from adaptwin.report.plan.server_noun import heading_of
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import NOTHING, count, percent

GOOD_SHARE = 0.9  # a smaller share of runs that hold is shown in yellow


def sample_sentence(stress: Stress, servers: int, noun: str = "GPU") -> str:
    """Say how often the fullest of so many servers held in the sample of runs that every verified plan carries.

    `noun` is what a server is called.
    """
    (result,), simulated = stress.results, len(stress.servers)
    which = f"the {simulated} fullest of {servers:,} {noun}s" if simulated < servers else count(servers, noun)
    rest = f"; all {servers:,} hold no more often" if simulated < servers else ""
    return (
        f"Stress sample, {result.traffic}: {which} held in {of_trials(result.fleet)} runs "
        f"(95 % interval {interval(result.fleet)}){rest}. More: adaptwin verify --stress."
    )


def stress_table(stress: Stress, noun: str = "GPU") -> RenderableType:
    """Return a report on a stress test: how often the fleet and its servers held, by kind of traffic.

    `noun` is what a server is called.
    """
    runs = stress.results[0].fleet.trials if stress.results else 0
    table = plain_table()
    table.add_column("Traffic", overflow="fold")
    add_numbers(table, "Fleet\nholds", "95 %\ninterval", f"{heading_of(noun)} runs\nthat hold", "95 %\ninterval")
    table.add_column("Fails most\noften", overflow="fold")
    for result in stress.results:
        style = "green" if result.fleet.share >= GOOD_SHARE else "yellow" if result.fleet.held else "red"
        table.add_row(
            result.traffic,
            Text(of_trials(result.fleet), style=style),
            interval(result.fleet),
            of_trials(result.servers),
            interval(result.servers),
            Text(max(result.failed, key=lambda name: result.failed[name], default=NOTHING)),
        )
    title = f"Stress: {count(runs, 'run')} of {count(len(stress.servers), noun)} for each kind of traffic"
    return Group(heading(title), table, *map(Text, stress_notes(stress)))


def stress_notes(stress: Stress) -> tuple[str, ...]:
    """Say which kinds of traffic were left out, and how many adapters other arrivals do not affect."""
    notes = []
    if stress.left_out:
        notes.append(f"Left out, as no adapter would have other arrivals: {'; '.join(stress.left_out)}.")
    if unaffected := max((result.unaffected for result in stress.results), default=0):
        verb = "keeps its own arrivals" if unaffected == 1 else "keep their own arrivals"
        notes.append(f"{count(unaffected, 'adapter')} {verb} under bursts and regimes.")
    return tuple(notes)


def of_trials(proportion: Proportion) -> str:
    """Return a proportion in figures: ``18 of 20``."""
    return f"{proportion.held:,} of {proportion.trials:,}"


def interval(proportion: Proportion) -> str:
    """Return the interval of a proportion in per cent: ``70–97 %``."""
    return f"{100.0 * proportion.low:.0f}–{percent(proportion.high)}"
