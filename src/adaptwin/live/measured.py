"""Measured: what was measured of a running server."""

from typing import NamedTuple

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.micro_result import MicroResult


class MeasuredTimes(NamedTuple):
    """A server that was measured: what it is, the results of micro-benchmarks, and whole runs."""

    server: MeasuredServer
    results: tuple[MicroResult, ...]
    runs: tuple[MeasuredRun, ...]
    rounds: int  # in which every micro-benchmark was run
    seconds: float  # that this call took
    is_complete: bool
