"""Arrivals: when requests arrive - Poisson, Gamma, regime-switching, piecewise rates, or replayed timestamps."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.workload.csv_rows import read_rows

FAMILIES = "poisson, gamma:cv=3, regimes:period=300,factor=1.5, rates:FILE, or a list of timestamps"


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


FIELDS: dict[str, dict[str, float]] = {"poisson": {}, "gamma": {"cv": 2.0}, "regimes": {"period": 300.0, "factor": 1.5}}


def parse_arrivals(text: str) -> ArrivalProcess:
    """Parse ``poisson``, ``gamma:cv=3``, ``regimes:period=300,factor=1.5`` or ``rates:FILE``.

    Raises `ValueError` for an unknown process or option, and `SpecError` for what is wrong in the file.
    """
    return ArrivalProcess(rates=read_rates(text.removeprefix("rates:"))) if text.startswith("rates:") else _family(text)


@lru_cache(maxsize=256)
def _family(text: str) -> ArrivalProcess:
    family, _, rest = text.partition(":")
    options = _options(text, rest)
    if family not in FIELDS or not options.keys() <= FIELDS[family].keys():
        raise ValueError(f"{text!r} is not a known arrival process ({FAMILIES})")
    values = {**FIELDS[family], **options}
    if not all(0 < value < float("inf") for value in values.values()):
        raise ValueError(f"{text!r}: every number must be above 0 and finite")
    return ArrivalProcess(cv=values.get("cv", 1.0), period=values.get("period", 0.0), factor=values.get("factor", 1.0))


def _options(text: str, rest: str) -> dict[str, float]:
    try:
        return {name: float(value) for name, _, value in (part.partition("=") for part in rest.split(",") if part)}
    except ValueError:
        raise ValueError(f"{text!r} is not a known arrival process ({FAMILIES})") from None


def read_rates(path: str | Path) -> tuple[tuple[float, float], ...]:
    """Read a CSV file with columns ``start,factor``: from `start` seconds on, every rate is multiplied by `factor`."""
    rates: list[tuple[float, float]] = []
    for row in read_rows(path).require(("start", "factor")):
        cells, line = (row.cells.get("start", ""), row.cells.get("factor", "")), f"line {row.line}"
        try:
            start, factor = float(cells[0]), float(cells[1])
        except ValueError:
            raise SpecError(f"start {cells[0]!r}, factor {cells[1]!r}: both must be numbers", line, path) from None
        if factor < 0 or start < 0 or (rates and start <= rates[-1][0]):
            message = f"start {start:g}, factor {factor:g}: starts must be at least 0 and increase, factors at least 0"
            raise SpecError(message, line, path)
        rates.append((start, factor))
    if not rates:
        raise SpecError("has no rows", file=path)
    return tuple(rates)
