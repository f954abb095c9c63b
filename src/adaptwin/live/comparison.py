"""Comparison: simulated runs beside measured ones, server by server, figure by figure and adapter by adapter."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adaptwin.live.observation import Observation
from adaptwin.twin.run import VERDICTS, Grade, Run, grade_of

ADAPTER_FIGURES = ("throughput", "ttft_p50", "itl_mean")  # columns of the tables of adapters
_GRADES: tuple[Grade, ...] = (*VERDICTS[:-1], "sluggish", "ok")  # from the worst to the best


class FigurePair(NamedTuple):
    """A figure as measured and as simulated; None where it is not known."""

    measured: float | None  # of repeats, the median
    twin: float | None
    spread: float | None = None  # of repeats: largest less smallest, over the median

    @property
    def error(self) -> float | None:
        """The error of the twin as a share of the measured figure; None if it has none."""
        if self.measured is None or self.twin is None:
            return None
        if self.measured == self.twin:
            return 0.0
        return self.twin / self.measured - 1.0 if self.measured else None


class ComparedAdapter(NamedTuple):
    """An adapter as measured and as simulated."""

    name: str
    server: str
    requests: int  # that arrived in the first of the repeats
    figures: dict[str, FigurePair]  # by `ADAPTER_FIGURES`
    measured_grades: tuple[Grade, ...]
    grade: Grade  # of the twin

    @property
    def severity(self) -> float:
        """The larger of the errors in throughput and TTFT, whatever their sign; 0 if neither is known."""
        pairs = (self.figures["throughput"], self.figures["ttft_p50"])
        return max((abs(pair.error) for pair in pairs if pair.error is not None), default=0.0)


class ComparedServer(NamedTuple):
    """A server under a workload: what was measured in one run or in several repeats, and the run of the twin."""

    name: str
    observations: tuple[Observation, ...]
    run: Run
    figures: dict[str, FigurePair]  # by `COMPARED_FIGURES`
    adapters: tuple[ComparedAdapter, ...]  # those with requests, the largest error first

    @property
    def repeats(self) -> int:
        """Number of measured runs."""
        return len(self.observations)

    @property
    def grade(self) -> Grade:
        """The twin's verdict on the server."""
        return grade_of(self.run.verdict, sluggish=self.run.sluggish)

    @property
    def measured_grades(self) -> tuple[Grade, ...]:
        """The verdicts of the measured runs, each once, the worst first; empty if none is known."""
        return distinct_grades(each.grade for each in self.observations)

    @property
    def measured_starved(self) -> tuple[bool, ...]:
        """Whether the measured runs were starved, each answer once; empty if none is known."""
        return tuple(sorted({each.starved for each in self.observations if each.starved is not None}, reverse=True))


class FigureErrors(NamedTuple):
    """The errors of a figure over several servers, as shares."""

    servers: int  # that have the figure
    mean: float  # of the errors without their sign
    worst: float  # the error that is farthest from zero
    worst_server: str
    spread: float | None  # of repeats: median over the servers


class Comparison(NamedTuple):
    """Simulated runs beside measured ones."""

    twin: str  # where the runs of the twin come from: the file, or the name of the profile
    servers: tuple[ComparedServer, ...]
    doubts: tuple[str, ...]  # what blurs the comparison, in words

    @property
    def adapters(self) -> list[ComparedAdapter]:
        """The adapters of all servers, the largest error first."""
        return sorted((each for server in self.servers for each in server.adapters), key=lambda each: -each.severity)

    @property
    def has_repeats(self) -> bool:
        """Whether some server was measured several times."""
        return any(server.repeats > 1 for server in self.servers)

    @property
    def total(self) -> FigurePair | None:
        """The throughput of all servers together; None unless all were measured at the same time."""
        files = [{each.file for each in server.observations} for server in self.servers]
        counts = [len(server.observations) for server in self.servers]
        if any(each != files[0] for each in files) or any(count != len(files[0]) for count in counts):
            return None
        measured = [each for server in self.servers for each in server.observations]
        sums = [
            _sum_if_all_known(each.figures["throughput"] for each in measured if each.file == file) for file in files[0]
        ]
        return figure_pair(sums, _sum_if_all_known(server.figures["throughput"].twin for server in self.servers))

    def errors(self, figure: str) -> FigureErrors | None:
        """Return the errors of a figure over the servers; None if no server has it."""
        pairs = {server.name: server.figures[figure] for server in self.servers}
        errors = {name: error for name, pair in pairs.items() if (error := pair.error) is not None}
        if not errors:
            return None
        worst_server = max(errors, key=lambda name: abs(errors[name]))
        spreads = [pair.spread for pair in pairs.values() if pair.spread is not None]
        return FigureErrors(
            servers=len(errors),
            mean=statistics.fmean(map(abs, errors.values())),
            worst=errors[worst_server],
            worst_server=worst_server,
            spread=statistics.median(spreads) if spreads else None,
        )


def distinct_grades(grades: Iterable[Grade | None]) -> tuple[Grade, ...]:
    """Return grades, each once, the worst first."""
    found = {*grades}
    return tuple(grade for grade in _GRADES if grade in found)


def _sum_if_all_known(values: Iterable[float | None]) -> float | None:
    known = [*values]
    return None if None in known else sum(value for value in known if value is not None)


def figure_pair(measured: Sequence[float | None], twin: float | None) -> FigurePair:
    """Return a figure as measured in some repeats, and as simulated."""
    known = [value for value in measured if value is not None]
    if not known:
        return FigurePair(None, twin)
    median = statistics.median(known)
    spread = (max(known) - min(known)) / median if len(known) > 1 and median else None
    return FigurePair(median, twin, spread)
