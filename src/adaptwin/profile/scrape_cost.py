"""ScrapeCost: how long the API server stands still when its metrics are scraped."""

from typing import NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class ScrapeCoefficients(NamedTuple):
    """A `ScrapeCost` as the inner loop takes it."""

    per_label_set: float
    per_label: float


class ScrapeCost(Spec):
    """Seconds in which the API server answers nobody while it writes out ``/metrics``.

    vLLM's gauge ``vllm:lora_requests_info`` has the names of the running and of the waiting adapters as labels, and
    keeps a line for every combination it has ever seen. The page so grows for as long as the server runs, and the event
    loop that also receives requests and streams tokens stands still while it is written: by 0.7 s after an hour with
    128 adapters in the measured runs, every two seconds.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    per_label_set: float = Field(default=0.0, ge=0, description="per combination of running and waiting adapters seen")
    per_label: float = Field(default=0.0, ge=0, description="per adapter named in these combinations")

    def coefficients(self) -> ScrapeCoefficients:
        """The same constants as the inner loop takes them."""
        return ScrapeCoefficients(self.per_label_set, self.per_label)


def scrape_seconds(cost: ScrapeCoefficients, label_sets: int, labels: int) -> float:
    """Seconds of one scrape. The kernel compiles this very function, the reference calls it as it is."""
    return cost.per_label_set * label_sets + cost.per_label * labels
