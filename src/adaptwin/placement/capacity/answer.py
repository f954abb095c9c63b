"""Answer: how one server serves some adapters, by the twin or, where it is confident, by the surrogate."""

from math import inf, nan
from typing import NamedTuple

from adaptwin.surrogate.surrogate import Prediction
from adaptwin.twin.run import Verdict
from adaptwin.twin.verdict import STARVED_BELOW


class Answer(NamedTuple):
    """How one server serves its adapters: throughput in tokens/s, latencies in seconds."""

    starts: bool
    verdict: Verdict  # the worst of the server and its adapters
    served: float  # share of the tokens due
    throughput: float
    e2e_mean: float
    itl_mean: float
    itl_p99: float
    ttft_p99: float
    kv_usage: float = nan  # NaN in answers of the surrogate
    mean_adapters: float = nan

    @property
    def ok(self) -> bool:
        """Whether the server starts, and it and its adapters are ok."""
        return self.starts and self.verdict == "ok"

    @property
    def not_starved(self) -> bool:
        """Whether the server starts and serves 0.9 of its tokens, which is all that the paper requires."""
        return self.starts and self.served >= STARVED_BELOW


NOT_STARTABLE = Answer(False, "starved", 0.0, 0.0, inf, inf, inf, inf, 0.0, 0.0)


def answer_of(prediction: Prediction) -> Answer:
    """Return a prediction in which the surrogate is confident as an answer."""
    served = prediction.starvation <= 0.5
    verdict: Verdict = "ok" if prediction.overload <= 0.5 else "backlogged" if served else "starved"
    most = 1.0 if served else STARVED_BELOW - 1e-9
    return Answer(
        starts=True,
        verdict=verdict,
        served=prediction.served if verdict == "ok" else min(prediction.served, most),
        throughput=prediction.throughput,
        e2e_mean=prediction.e2e_mean,
        itl_mean=prediction.itl_mean,
        itl_p99=prediction.itl_p99,
        ttft_p99=prediction.ttft_p99,
    )
