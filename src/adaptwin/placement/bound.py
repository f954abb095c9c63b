"""A lower bound on the number of GPUs, for any placement under a profile."""

import math
from collections.abc import Sequence

from adaptwin.placement.work import work_seconds
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import STARVED_BELOW
from adaptwin.workload.workload import Workload


def lower_bound(profiles: Sequence[Profile], workload: Workload, template: Server) -> int:
    """No placement on these profiles that serves the workload's mean traffic does with fewer GPUs.

    A GPU has one second of time per second. Each request takes at least `work_seconds` of it on the best profile for
    it, and a server that is not called starved serves at least 0.9 of its tokens. So the GPUs number at least 0.9 times
    the work that arrives per second. (The argument is about mean traffic: a window whose draws stay below the mean may
    ask for less.)
    """
    traffic = [
        (adapter, workload.lengths_of(adapter)) for adapter in workload.adapters if workload.rate_of(adapter) > 0
    ]
    work = sum(
        workload.rate_of(adapter) * min(work_seconds(profile, template, lengths, adapter.rank) for profile in profiles)
        for adapter, lengths in traffic
    )
    return max(1 if workload.adapters else 0, math.ceil(STARVED_BELOW * work))
