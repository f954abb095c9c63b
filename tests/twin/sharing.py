"""Random prefixes for the requests of small scenarios."""

import random

import numpy as np

from adaptwin.workload.drawing.prefixes import Prefixes
from adaptwin.workload.drawing.requests import Requests


def shared_requests(rng: random.Random, requests: Requests, most_tokens: int = 60) -> Requests:
    """Return the requests with prompts that begin like those of earlier requests to the same adapter.

    The prompt may be lengthened for that. It begins like an earlier prompt only, like prompt and answer (a
    conversation), or like all of an earlier prompt and nothing else.
    """
    count = len(requests.arrival)
    inputs = requests.input.copy()
    source, tokens = np.full(count, -1, np.int32), np.zeros(count, np.int32)
    some = rng.choice((0.3, 0.7, 0.95))
    for r in range(count):
        before = np.flatnonzero(requests.adapter[:r] == requests.adapter[r])
        if not len(before) or rng.random() > some:
            continue
        s = int(rng.choice(before.tolist()) if rng.random() < 0.7 else before[0])
        whole = int(inputs[s] + requests.output[s])
        shared = rng.choice((rng.randint(1, int(inputs[s])), int(inputs[s]), rng.randint(1, whole), whole))
        shared = min(shared, most_tokens)
        inputs[r] = shared + rng.choice((0, 0, 1, rng.randint(1, 20)))
        source[r], tokens[r] = s, shared
    return requests._replace(input=inputs, prefixes=Prefixes(source, tokens))
