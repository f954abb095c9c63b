"""WebSettings: how the web page is served."""

from pathlib import Path
from typing import NamedTuple


class WebSettings(NamedTuple):
    """How the web page is served, and what it takes from clients at most."""

    database: Path
    workers: int = 1  # plans that are made at once
    token: str | None = None  # that every request must carry; None: none
    most_adapters: int = 20_000  # of a fleet
    most_bytes: int = 10_000_000  # of a request
    most_seconds: float = 900.0  # of planning
    most_queued: int = 200  # jobs that wait
    most_queued_of_client: int = 20  # of them, of one visitor
    most_kept: int = 1000  # plans that have ended
    hosts: tuple[str, ...] | None = None  # names that a request may call this server by; None: any
    most_simulations: int = 2  # at once
    most_waiting_simulations: int = 20
