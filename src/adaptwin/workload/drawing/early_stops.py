"""Early stops: answers that the model ends before they reach the length asked for."""

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.drawing.random_streams import GOLDEN, split_mix
from adaptwin.workload.drawing.requests import Requests, adapter_seeds
from adaptwin.workload.workload import Workload


def end_early(requests: Requests, workload: Workload, seed: int, *, share: float, reach: float) -> Requests:
    """Return the requests with a share of the answers cut short, as a model ends them early.

    Only answer lengths that are limits (`Lengths.are_limits`) are shortened; all others are lengths of real answers.
    Each adapter draws its early stops from a generator of its own.

    Args:
        requests: The requests as drawn; they are not modified.
        workload: The workload that the requests were drawn from.
        seed: The seed that the requests were drawn with.
        share: Share of the answers that end early.
        reach: Mean part of its length that an answer reaches if it ends early.
    """
    limited = np.array([workload.lengths_of(adapter).are_limits for adapter in workload.adapters], dtype=np.bool_)
    if share == 0 or not limited.any():
        return requests
    seeds = adapter_seeds(workload, seed, "early stop")
    return requests._replace(
        output=_answers_cut_short(requests.adapter, requests.asked, limited, seeds, share, 1 / reach - 1)
    )


@compiled
def _answers_cut_short(
    adapter: NDArray[np.int32],
    asked: NDArray[np.int32],
    limited: NDArray[np.bool_],
    seeds: NDArray[np.uint64],
    share: float,
    power: float,
) -> NDArray[np.int32]:
    """Return the answer lengths; for a uniform u, u ** power has the mean 1 / (1 + power)."""
    output = asked.copy()
    state = seeds.copy()
    threshold = np.uint64(share * 4294967296.0)
    for r in range(len(asked)):
        a = adapter[r]
        if limited[a]:
            state[a] += GOLDEN
            bits = split_mix(state[a])
            if (bits >> np.uint64(32)) < threshold:
                u = (float(bits & np.uint64(0xFFFFFFFF)) + 1.0) / 4294967296.0
                output[r] = max(1, int(np.ceil(asked[r] * u**power)))
    return output
