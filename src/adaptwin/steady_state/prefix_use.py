"""Prefix use: how much of the shared tokens is in cached blocks when a request comes, by Che's approximation.

A block that nobody holds is lost once as many blocks as lie before it in the queue have been taken. The queue has as
many blocks as are free, and requests take them at the rate at which they compute prompts and answers, so a block stays
for about the same time, whatever it holds (Che et al. 2002). A prefix is hit if a request with it comes within this
time and the lifetime of the request before.
"""

import math
from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.twin.server import Limits
from adaptwin.workload.demand.traffic import OCTAVE_ADAPTERS, OCTAVE_TOKENS, Traffic


class PrefixUse(NamedTuple):
    """What requests get out of cached blocks, on average."""

    hits: float  # share of the shared tokens that are in cached blocks
    together: float  # share of the running requests that hold their prefix with another one


NO_USE = PrefixUse(0.0, 0.0)


@compiled
def held_tokens(traffic: Traffic, limits: Limits, use: PrefixUse) -> float:
    """Tokens of KV cache that a request holds, on average over its steps; what it holds with another counts once."""
    rate = max(traffic.served_rate, 1e-12)
    answer = max(1.0, traffic.answer / rate)
    held = traffic.context / rate / answer + (traffic.prompt / rate + 1.0) / answer + 0.5 * limits.block_size
    return max(0.5 * limits.block_size, held - use.together * traffic.shared / rate)


@compiled
def prefix_use(
    traffic: Traffic, by_octave: Array, limits: Limits, running: float, pace: float, use: PrefixUse, duration: float
) -> PrefixUse:
    """Estimate the use of prefixes where `running` requests run at this pace, which have come about with another use.

    Each adapter counts as if all its shared tokens were in one prefix, with which the same share of its requests begin.
    The first request of a window, of `duration` seconds, finds nothing.
    """
    rate = max(traffic.served_rate, 1e-12)
    answer = max(1.0, traffic.answer / rate)
    lifetime = answer * pace
    taken = traffic.prompt + traffic.answer - use.hits * traffic.shared
    held = running * held_tokens(traffic, limits, use)
    stay = max(0.0, limits.kv_blocks * limits.block_size - held) / max(taken, 1e-9)
    focus = traffic.shared_focus / traffic.shared
    hit = tokens = requests = prefixes = 0.0
    base = max(0.0, traffic.rate - traffic.lora_rate) * answer
    for i in range(len(by_octave) + 1):
        adapters, of_all = (
            (1.0, base) if i == len(by_octave) else (by_octave[i, OCTAVE_ADAPTERS], by_octave[i, OCTAVE_TOKENS])
        )
        if adapters <= 0.0 or of_all <= 0.0:
            continue
        per_second = of_all / adapters / answer * focus
        expected = per_second * duration
        first = (1.0 - math.exp(-expected)) / expected
        hit += of_all * (1.0 - first) * (1.0 - math.exp(-per_second * (stay + lifetime)))
        tokens += of_all
        requests += adapters * per_second * lifetime
        prefixes += adapters * (1.0 - math.exp(-per_second * lifetime))
    together = 1.0 - prefixes / requests if requests > 0.0 else 0.0
    return PrefixUse(hit / tokens if tokens > 0.0 else 0.0, max(0.0, together))
