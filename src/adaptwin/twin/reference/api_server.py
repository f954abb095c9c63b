"""ApiServer: when requests get through to the engine, and tokens to the client."""

from collections.abc import Iterable

from adaptwin.profile.scrape_cost import scrape_seconds
from adaptwin.twin.reference.request import Request
from adaptwin.twin.scenario import Scenario
from adaptwin.workload.drawing.requests import NANOSECONDS


class ApiServer:
    """The process between the client and the engine, which stands still while its metrics are written out.

    A request that comes during a stall reaches the engine at its end, and tokens made during a stall reach the client
    at its end: those of one request in one chunk, unless steps yield more tokens than the server's output handler takes
    at once; then it lets the streams run in between, and each token is a chunk of its own.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.every = scenario, scenario.window.scrape_every
        self.label_sets: set[tuple[frozenset[int], frozenset[int]]] = set()  # vllm:lora_requests_info keeps all
        self.labels = 0  # adapters named in them
        self.stall = (0, 0)  # the last one: start and end
        self.stalled = 0  # time of all stalls
        self.next_scrape = self.every

    def update_metrics(self, running: Iterable[Request], waiting: Iterable[Request]) -> None:
        """The engine reports which adapters run after a step, and which wait by then."""
        if not self.every:
            return
        label_set = _adapters_of(running), _adapters_of(waiting)
        if label_set not in self.label_sets:
            self.label_sets.add(label_set)
            self.labels += len(label_set[0]) + len(label_set[1])

    def passes(self, time: int) -> int:
        """When something that comes at `time` gets through; times must not go back."""
        while self.every and self.next_scrape <= time:
            seconds = scrape_seconds(self.scenario.scrape_cost, len(self.label_sets), self.labels)
            end = self.next_scrape + int(seconds * NANOSECONDS + 0.5)
            self.stall = (self.next_scrape, end)
            self.stalled += end - self.next_scrape
            self.next_scrape = end + self.every
        start, end = self.stall
        return end if start <= time < end else time

    def takes_at_once(self, outputs: int) -> bool:
        """Whether the output handler takes this many outputs of a step in one go."""
        return outputs <= self.scenario.limits.output_chunk


def _adapters_of(requests: Iterable[Request]) -> frozenset[int]:
    return frozenset(request.lora for request in requests if request.lora is not None)
