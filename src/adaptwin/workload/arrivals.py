"""Arrivals: when requests arrive - Poisson, Gamma, regime-switching, piecewise rates, or replayed timestamps."""

import itertools
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.quantities import parse_number, parse_seconds
from adaptwin.workload.csv_rows import read_rows

FAMILIES = "poisson, gamma:cv=3, regimes:period=300,factor=1.5, rates:FILE, rates:cv=2,FILE, or a list of timestamps"


class ArrivalProcess(NamedTuple):
    """A renewal process; its rate is that of the adapter times a factor that may change over time.

    `cv` is the coefficient of variation of the gaps between arrivals; 1 is a Poisson process. The factor is drawn anew
    every `period` seconds, `factor` or 1 / `factor` with mean 1 (regimes), or follows `rates`: pairs of start (seconds)
    and factor.
    """

    cv: float = 1.0
    period: float = 0.0
    factor: float = 1.0
    rates: tuple[tuple[float, float], ...] = ()

    def seconds_at_factor_one(self, start: float, end: float) -> float:
        """Return the seconds at factor 1 that bring as many requests, on average, as the time from start to end."""
        if not self.rates:
            return end - start
        return sum(
            factor * max(0.0, min(end, until) - max(start, since))
            for (since, factor), (until, _) in itertools.pairwise((*self.stretches, (float("inf"), 0.0)))
        )

    @property
    def stretches(self) -> tuple[tuple[float, float], ...]:
        """The pairs of `rates` from second 0 on: before the first start, the factor is 1."""
        return self.rates if not self.rates or self.rates[0][0] == 0 else ((0.0, 1.0), *self.rates)


FIELDS: dict[str, dict[str, float]] = {"poisson": {}, "gamma": {"cv": 2.0}, "regimes": {"period": 300.0, "factor": 1.5}}
ARRIVAL_BOUNDS = {
    "cv": (0.01, 100.0),
    "period": (1.0, 1e8),
    "factor": (0.01, 100.0),
}  # beyond, hours tell nothing of the mean
MOST_RATE_ROWS = 1_000_000  # of a file of rates
MOST_FACTOR = 1e6  # of a file of rates


def parse_arrivals(text: str) -> ArrivalProcess:
    """Parse ``poisson``, ``gamma:cv=3``, ``regimes:period=300,factor=1.5``, ``rates:FILE`` or ``rates:cv=2,FILE``.

    Raises `ValueError` for an unknown process or option, and `SpecError` for what is wrong in the file.
    """
    if text.startswith("rates:"):
        options, path = split_rates(text)
        return ArrivalProcess(cv=_in_bounds(text, "cv", options or "cv=1"), rates=read_rates(path))
    return _family(text)


def with_absolute_path(text: str, folder: str | Path) -> str:
    """Return an arrival process that means the same anywhere: the path of its file, if any, starts from `folder`."""
    if not text.startswith("rates:"):
        return text
    option, path = split_rates(text)
    return "rates:" + ",".join(filter(None, (option, str(Path(folder, path).resolve()))))


def with_path_beside(text: str, folder: str | Path) -> str:
    """Return an arrival process for a file in `folder`: a file of rates in the same folder is given by its name."""
    if not text.startswith("rates:"):
        return text
    option, path = split_rates(text)
    if Path(path).resolve().parent != Path(folder).resolve():
        return text
    return "rates:" + ",".join(filter(None, (option, Path(path).name)))


def split_rates(text: str) -> tuple[str, str]:
    """Split ``rates:cv=2,FILE`` into its option, which may be missing, and its file."""
    rest = text.removeprefix("rates:")
    option, comma, path = rest.partition(",")
    return (option, path) if comma and option.startswith("cv=") else ("", rest)


@lru_cache(maxsize=256)
def _family(text: str) -> ArrivalProcess:
    family, _, rest = text.partition(":")
    values = dict(FIELDS.get(family, {}))
    for part in rest.split(",") if rest else ():
        name = part.partition("=")[0]
        if name not in values:
            raise ValueError(f"{text!r} is not a known arrival process ({FAMILIES})")
        values[name] = _in_bounds(text, name, part)
    if family not in FIELDS:
        raise ValueError(f"{text!r} is not a known arrival process ({FAMILIES})")
    return ArrivalProcess(cv=values.get("cv", 1.0), period=values.get("period", 0.0), factor=values.get("factor", 1.0))


def _in_bounds(text: str, name: str, option: str) -> float:
    low, high = ARRIVAL_BOUNDS[name]
    try:
        value = parse_seconds(option.partition("=")[2]) if name == "period" else float(option.partition("=")[2])
    except ValueError:
        raise ValueError(f"{text!r} is not a known arrival process ({FAMILIES})") from None
    if not low <= value <= high:
        raise ValueError(f"{text!r}: {name} must be from {low:g} to {high:g}")
    return value


def read_rates(path: str | Path) -> tuple[tuple[float, float], ...]:
    """Read a CSV file with columns ``start,factor``: from `start` seconds on, every rate is multiplied by `factor`.

    A file that has not changed since is not read again.
    """
    try:
        state = Path(path).stat()
    except OSError:
        return _read_rates(path, 0, 0)
    return _read_rates(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_rates(path: str | Path, _changed: int, _size: int) -> tuple[tuple[float, float], ...]:
    rates: list[tuple[float, float]] = []
    for row in read_rows(path).at_most(MOST_RATE_ROWS).require(("start", "factor")):
        cells, line = (row.cells.get("start", ""), row.cells.get("factor", "")), f"line {row.line}"
        try:
            start, factor = map(parse_number, cells)
        except ValueError:
            raise SpecError(f"start {cells[0]!r}, factor {cells[1]!r}: both must be numbers", line, path) from None
        if not (0 <= factor <= MOST_FACTOR and 0 <= start < float("inf") and (not rates or start > rates[-1][0])):
            message = (
                f"start {start:g}, factor {factor:g}: starts must be at least 0 and increase, "
                f"factors must be at least 0 and at most {MOST_FACTOR:g}"
            )
            raise SpecError(message, line, path)
        rates.append((start, factor))
    if not rates:
        raise SpecError("has no rows", file=path)
    return tuple(rates)
