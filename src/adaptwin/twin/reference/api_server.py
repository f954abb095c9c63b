"""ApiServer: when requests reach the engine, and when tokens reach the client."""

from collections.abc import Iterable

from adaptwin.profile.scrape_cost import scrape_seconds
from adaptwin.twin.reference.request import Request
from adaptwin.twin.scenario import Scenario
from adaptwin.workload.drawing.requests import NANOSECONDS


class ApiServer:
    """The process between client and engine. It stalls while it writes out its metrics for a scrape.

    A request that arrives during a stall reaches the engine when the stall ends. Tokens made during a stall reach the
    client when the stall ends, all tokens of a request as one chunk. Steps that yield more tokens than the output
    handler takes at once are an exception: it lets the streams run in between, so each of their tokens starts a new
    chunk.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.every = scenario, scenario.window.scrape_every
        self.label_sets: set[tuple[frozenset[int], frozenset[int]]] = set()  # lines of vllm:lora_requests_info
        self.labels = 0  # adapters named in all label sets
        self.stall = (0, 0)  # start and end of the latest stall
        self.stalled = 0  # nanoseconds of all stalls
        self.next_scrape = self.every

    def update_metrics(self, running: Iterable[Request], waiting: Iterable[Request]) -> None:
        """Keep the label set of the requests that run after a step and of those that wait by then."""
        if not self.every:
            return
        label_set = _adapters_of(running), _adapters_of(waiting)
        if label_set not in self.label_sets:
            self.label_sets.add(label_set)
            self.labels += len(label_set[0]) + len(label_set[1])

    def passes(self, time: int) -> int:
        """Return when a request or token that comes at `time` gets through.

        Only the latest stall is remembered, so a time before it is returned unchanged.
        """
        while self.every and self.next_scrape <= time:
            seconds = scrape_seconds(self.scenario.scrape_cost, len(self.label_sets), self.labels)
            end = self.next_scrape + int(seconds * NANOSECONDS + 0.5)
            self.stall = (self.next_scrape, end)
            self.stalled += end - self.next_scrape
            self.next_scrape = end + self.every
        start, end = self.stall
        return end if start <= time < end else time

    def takes_at_once(self, outputs: int) -> bool:
        """Whether the output handler takes this many outputs of a step at once."""
        return outputs <= self.scenario.limits.output_chunk


def _adapters_of(requests: Iterable[Request]) -> frozenset[int]:
    return frozenset(request.lora for request in requests if request.lora is not None)
