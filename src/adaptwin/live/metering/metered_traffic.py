"""MeteredTraffic: requests and tokens of models over windows of time, as a router's counters tell them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.live.metering.meters import TrafficMeter


class MeteredTraffic(NamedTuple):
    """What a meter counted, by model and window of time."""

    meter: TrafficMeter
    window: float  # seconds
    names: tuple[str, ...]  # of models, the adapters among them
    requests: NDArray[np.float64]  # models x windows
    prompt_tokens: NDArray[np.float64]
    answer_tokens: NDArray[np.float64]
    ends: NDArray[np.float64]  # of the windows, unix seconds
    is_of_page: bool = False  # whether it comes from two readings of a page of /metrics, with one window between them

    @property
    def busiest(self) -> int:
        """Index of the window with the most requests."""
        return int(np.argmax(self.requests.sum(axis=0)))

    def rates(self, window: int | None) -> NDArray[np.float64]:
        """Return requests per second of each model, in a window or, without one, over all."""
        counted = self.requests.mean(axis=1) if window is None else self.requests[:, window]
        return np.asarray(counted / self.window)

    def mean_tokens(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean prompt and answer tokens of each model's requests over all windows; NaN where none are known."""
        requests = self.requests.sum(axis=1)
        known = requests > 0
        prompt, answer = self.prompt_tokens.sum(axis=1), self.answer_tokens.sum(axis=1)
        means = (
            np.divide(tokens, requests, out=np.full(len(requests), np.nan), where=known & (tokens > 0))
            for tokens in (prompt, answer)
        )
        return next(means), next(means)
