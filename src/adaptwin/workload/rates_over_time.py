"""RatesOverTime: the traffic of adapters in periods of equal length, such as the hours of a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.workload.arrivals import split_rates
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter
from adaptwin.workload.workload import Adapter, ArrivalSource, Workload

HOUR = 3600.0  # seconds: the usual period
DAY = 86400.0  # seconds


@dataclass(frozen=True)
class RatesOverTime:
    """Requests per second of each adapter in each period, one period after the other.

    Attributes:
        names: Names of the adapters.
        rates: Mean requests per second, shape (adapters, periods).
        period: Seconds of a period.
        start: Seconds from midnight to the first period.
    """

    names: tuple[str, ...]
    rates: NDArray[np.float64]
    period: float = HOUR
    start: float = field(default=0.0, kw_only=True)

    def __len__(self) -> int:
        return int(self.rates.shape[1])

    @property
    def seconds(self) -> float:
        """Seconds of all periods together."""
        return len(self) * self.period

    def start_of(self, place: int) -> float:
        """Return the seconds from the first midnight to a period."""
        return self.start + place * self.period

    def span_of(self, place: int) -> str:
        """Return the times of a period in words, such as ``07:00-08:00``."""
        return f"{clock_time(self.start_of(place))}-{clock_time(self.start_of(place + 1))}"

    def rates_in(self, place: int) -> dict[str, float]:
        """Return the rates in a period, by adapter."""
        return dict(zip(self.names, self.rates[:, place].tolist(), strict=True))

    def workload_in(self, place: int, workload: Workload) -> Workload:
        """Return a workload with the rates that its adapters have in a period, for as long as the period.

        Adapters keep their ranks and lengths. One that is not listed here, or that has no request in the period, has
        the rate 0: it is still served.
        """
        return self.workload_of(self.rates_in(place), workload)

    def workload_of(self, rates: Mapping[str, float], workload: Workload) -> Workload:
        """Return a workload with these rates, by adapter, for as long as a period; see `workload_in`.

        Arrivals that belong to a window of their own, which are timestamps and files of rates, become independent of
        each other: Poisson, or with the coefficient of variation that is given with the file.
        """
        adapters = tuple(
            with_steady_arrivals(adapter).model_copy(update={"rate": rates.get(adapter.name, 0.0)})
            for adapter in workload.adapters
        )
        update = {"adapters": adapters, "arrivals": steady_arrivals(workload.arrivals), "duration": self.period}
        return workload.model_copy(update=update)

    def busiest(self, workload: Workload) -> int:
        """Return the period in which the adapters of a workload have the most tokens per second; the first of equals.

        Its lengths count, and its rates do not.
        """
        tokens = [sum(tokens_per_adapter(self.workload_in(place, workload)).values()) for place in range(len(self))]
        return int(np.argmax(tokens))

    def without_row(self, workload: Workload) -> list[str]:
        """Return the adapters of a workload that are not listed here."""
        listed = set(self.names)
        return [adapter.name for adapter in workload.adapters if adapter.name not in listed]

    def of_fleet(self, workload: Workload) -> "RatesOverTime":
        """Return the rates of all adapters of a fleet; one that is not listed here keeps its rate in every period.

        Raises:
            SpecError: A name here is not that of an adapter of the fleet.
        """
        known = {adapter.name for adapter in workload.adapters}
        for name in self.names:
            if name not in known:
                raise SpecError(f"{name!r} is no adapter of the fleet{did_you_mean(name, known)}", "name")
        added = self.without_row(workload)
        mean = dict(zip((adapter.name for adapter in workload.adapters), workload.rates, strict=True))
        constant = np.array([[mean[name]] * len(self) for name in added], np.float64).reshape(len(added), len(self))
        return replace(self, names=(*self.names, *added), rates=np.concatenate((self.rates, constant)))


def steady_arrivals(arrivals: ArrivalSource) -> str:
    """Return the arrival process within a period: the same, unless it belongs to a window of its own."""
    if not isinstance(arrivals, str):
        return "poisson"
    if not arrivals.startswith("rates:"):
        return arrivals
    option, _ = split_rates(arrivals)
    return f"gamma:{option}" if option else "poisson"


def with_steady_arrivals(adapter: Adapter) -> Adapter:
    """Return the adapter with the arrivals of a period; recorded prefixes go with the timestamps they belong to."""
    if adapter.arrivals is None:
        return adapter
    return adapter.model_copy(update={"arrivals": steady_arrivals(adapter.arrivals), "prefixes": None})


def belongs_to_window(workload: Workload) -> bool:
    """Whether some arrivals of a workload belong to its window, so that periods do not have them."""
    every = [workload.arrivals, *(adapter.arrivals for adapter in workload.adapters if adapter.arrivals is not None)]
    return any(steady_arrivals(arrivals) != arrivals for arrivals in every)


def clock_time(seconds: float) -> str:
    """Return a time since midnight as ``07:00``, or ``07:00:30`` where needed; the second day begins at ``24:00``."""
    whole = round(seconds)
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}"
    return f"{text}:{whole % 60:02d}" if whole % 60 else text
