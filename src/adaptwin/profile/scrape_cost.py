"""ScrapeCost: how long a scrape of the metrics blocks the API server."""

from typing import NamedTuple

from pydantic import Field

from adaptwin.profile.seconds import LONGEST_SECONDS, Seconds
from adaptwin.spec import Spec


class ScrapeCoefficients(NamedTuple):
    """The constants of a `ScrapeCost` as a tuple for the inner loop; seconds."""

    per_label_set: float
    per_label: float


class ScrapeCost(Spec):
    """Seconds for which the API server answers no request while it writes ``/metrics``.

    vLLM's gauge ``vllm:lora_requests_info`` has the names of the running and of the waiting adapters as labels, and
    keeps a line for every combination that it has seen. The page therefore grows for as long as the server runs.
    Writing it blocks the event loop that also receives requests and streams tokens: in the measured runs for 0.7 s
    after an hour with 128 adapters, every two seconds.
    """

    per_label_set: Seconds = Field(
        default=0.0, description="seconds per combination of running and waiting adapters seen"
    )
    per_label: Seconds = Field(default=0.0, description="seconds per adapter name in the combinations seen")

    def coefficients(self) -> ScrapeCoefficients:
        """Return the constants as a tuple for the inner loop."""
        return ScrapeCoefficients(self.per_label_set, self.per_label)


def scrape_seconds(cost: ScrapeCoefficients, label_sets: int, labels: int) -> float:
    """Return the seconds of one scrape; the kernel compiles this function, the reference twin calls it.

    A scrape takes at most `LONGEST_SECONDS` seconds, as no client waits longer, and times must fit in 64 bits.
    """
    return min(LONGEST_SECONDS, cost.per_label_set * label_sets + cost.per_label * labels)
