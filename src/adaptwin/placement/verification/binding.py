"""Binding constraint: what limits a server, judged by a run with slightly more traffic than it can serve."""

from adaptwin.plan.forecast import Binding, Brink
from adaptwin.twin.run import Verdict

KV_FULL = 0.9  # share of the KV cache in use on average
SLOTS_FULL = 0.95  # share of the slots in use on average
LOADING = 0.3  # share of the time in which steps wait for adapters to load
BATCH_FULL = 0.8  # share of max_num_seqs that runs on average


def binding_of(brink: Brink | None, verdict: Verdict, *, loras: int, max_loras: int, max_num_seqs: int) -> Binding:
    """Return what binds a server that has this verdict and this run just beyond its headroom.

    Constraints are tried from the most specific to the least: a missed objective or limit on latency, the KV cache, the
    slots, loads of adapters, and the batch size. A server at none of these limits is bound by compute.
    """
    if brink is None:
        return "nothing"
    if verdict == "slow":
        return "slo"
    if brink.kv_usage > KV_FULL:
        return "memory"
    if loras > max_loras and brink.mean_adapters > SLOTS_FULL * max_loras:
        return "slots"
    if brink.loading > LOADING:
        return "loads"
    is_full = brink.mean_running >= BATCH_FULL * max_num_seqs and brink.mean_waiting >= 1.0
    return "max_num_seqs" if is_full else "compute"
