"""play: an open loop on an engine, and what a client would have seen."""

import statistics
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from driver import Driver
from open_loops import Arrival, OpenLoop

STARVED = 0.9  # share of the tokens asked for, below which a run is starved
LONGEST_PAUSE = 0.005  # seconds between two looks at the clock while nothing runs
KEPT = 10  # every so many steps, the contents of one are kept


class Client:
    """What the clients of a run sent and got, in seconds from its start."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.tokens: dict[str, list[float]] = {}
        self.finished: set[str] = set()

    def send(self, request: str, at: float) -> None:
        """Note a request that was due at this time."""
        self.arrived[request], self.tokens[request] = at, []

    def receive(self, outputs: Iterable[Any], now: float) -> None:
        """Note tokens that came."""
        for output in outputs:
            if output.request_id in self.tokens:
                self.tokens[output.request_id] += [now] * len(output.new_token_ids)
                if output.finished:
                    self.finished.add(output.request_id)

    def figures(self, run: OpenLoop, seconds: float) -> dict[str, Any]:
        """Throughput and latencies as `adaptwin fit` reads them; None where nothing was seen."""
        length = run.prompt + run.answer
        gaps = sorted(late - early for times in self.tokens.values() for early, late in pairwise(times))
        whole = [times for request, times in self.tokens.items() if request in self.finished and len(times) > 1]
        first = [times[0] - self.arrived[request] for request, times in self.tokens.items() if times]
        return {
            "throughput": len(self.finished) * length / seconds,
            "starved": len(self.finished) < STARVED * len(self.arrived),
            "itl_mean": statistics.fmean(gaps) if gaps else None,
            "itl_p99": gaps[int(0.99 * len(gaps))] if gaps else None,
            "tpot_mean": statistics.fmean((times[-1] - times[0]) / (len(times) - 1) for times in whole)
            if whole
            else None,
            "ttft_p50": statistics.median(first) if first else None,
        }


def play(driver: Driver, run: OpenLoop, until: float) -> dict[str, Any]:
    """Play a run, at the latest until a time of day; its figures, and the workload as it was sent."""
    rank, due = driver.spec.max_lora_rank, run.arrivals()
    adapters = driver.adapters(rank, run.adapters)  # all in host memory, the last ones on the GPU, as after a start
    with driver.unobserved_loads():
        client, steps, seconds = _played(driver, run, adapters, until)
    driver.drain()
    waiting = statistics.fmean(step["waiting"] for step in steps) if steps else 0.0
    return {
        "measured": {**client.figures(run, seconds), "mean_waiting": waiting},
        "workload": _workload(run, rank, [arrival for arrival in due if arrival.at < seconds], seconds),
        "finished": len(client.finished),
        "arrived": len(client.arrived),
        "rows": steps[::KEPT],
    }


def _played(
    driver: Driver, run: OpenLoop, adapters: list[Any], until: float
) -> tuple[Client, list[dict[str, float]], float]:
    """What the clients saw, what was in the steps, and how many seconds it took."""
    client, due, sent = Client(), run.arrivals(), 0
    steps: list[dict[str, float]] = []
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < run.seconds and time.time() < until:
        while sent < len(due) and due[sent].at <= now:
            client.send(driver.add(run.prompt, run.answer, adapter=adapters[due[sent].adapter]), due[sent].at)
            sent += 1
        if not driver.alive:
            following = due[sent].at if sent < len(due) else run.seconds
            time.sleep(min(max(following - now, 0.0), LONGEST_PAUSE))
            continue
        outputs, record = driver.step()
        client.receive(outputs, time.perf_counter() - start)
        if record:
            steps.append(driver.contents(record) if len(steps) % KEPT == 0 else {"waiting": record.waiting})
    return client, steps, min(run.seconds, time.perf_counter() - start)


def _workload(run: OpenLoop, rank: int, due: list[Arrival], seconds: float) -> dict[str, Any]:
    """The workload as a file of runs has it."""
    arrivals: list[list[float]] = [[] for _ in range(run.adapters)]
    for arrival in due:
        arrivals[arrival.adapter].append(round(arrival.at, 6))
    adapters = [
        {"name": f"a{index}", "rank": rank, "rate": rate, "arrivals": arrivals[index]}
        for index, rate in enumerate(run.rates)
    ]
    return {"adapters": adapters, "lengths": {"fixed": [run.prompt, run.answer]}, "duration": seconds}
