"""Measurements: what was measured on real servers, in the twin's own words."""

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


class MeasuredRun(Spec):
    """One benchmark run of a real server: what it was given, and what its client reported.

    Latencies in seconds, over finished requests; None where not measured.
    """

    name: str
    model: str
    server: Server
    workload: Workload
    max_in_flight: int | None = Field(default=None, description="connections that the client could have open")
    scrape_every: float | None = Field(default=None, description="seconds between scrapes of /metrics")
    throughput: float = Field(description="prompt + output tokens/s of requests that finished inside the window")
    starved: bool
    itl_mean: float | None = None
    itl_p99: float | None = None
    tpot_mean: float | None = None
    ttft_p50: float | None = None
    mean_waiting: float | None = None
