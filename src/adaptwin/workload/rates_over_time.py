"""RatesOverTime: the traffic of adapters in periods of equal length, such as the hours of a day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.workload import Workload

HOUR = 3600.0  # seconds: the usual period


@dataclass(frozen=True)
class RatesOverTime:
    """Requests per second of each adapter in each period, one period after the other.

    Attributes:
        names: Names of the adapters.
        rates: Mean requests per second, shape (adapters, periods).
        period: Seconds of a period.
    """

    names: tuple[str, ...]
    rates: NDArray[np.float64]
    period: float = HOUR

    def __len__(self) -> int:
        return int(self.rates.shape[1])

    def workload_in(self, place: int, workload: Workload) -> Workload:
        """Return a workload with the rates that its adapters have in a period, for as long as the period.

        Adapters keep their ranks and lengths. One that is not listed here, or that has no request in the period, has
        the rate 0: it is still served.
        """
        return self.workload_of(dict(zip(self.names, self.rates[:, place].tolist(), strict=True)), workload)

    def workload_of(self, rates: dict[str, float], workload: Workload) -> Workload:
        """Return a workload with these rates, by adapter, for as long as a period; see `workload_in`."""
        adapters = tuple(
            adapter.model_copy(update={"rate": rates.get(adapter.name, 0.0)}) for adapter in workload.adapters
        )
        return workload.model_copy(update={"adapters": adapters, "duration": self.period})
