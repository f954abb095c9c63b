"""Shared share: how much of the prompts of a workload an earlier prompt or its answer has begun with."""

from adaptwin.workload.demand.shared_tokens import Openings, shared_tokens
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.workload import Workload

NOTHING_ALIKE = "no prompts that begin alike"


def shared_share(workload: Workload) -> float:
    """Return the share of the prompt tokens with which an earlier request of the adapter began as well.

    It is the hit rate of a cache that loses nothing, but for the first request with each prefix.
    """
    if not workload.shares_prefixes:
        return 0.0
    shared = prompts = 0.0
    for adapter, rate in zip(workload.adapters, workload.rates, strict=True):
        lengths = workload.lengths_of(adapter)
        shared += rate * shared_tokens(lengths, Openings.of(workload, adapter), MAX_TOKENS).tokens
        prompts += rate * lengths.mean_input
    return shared / prompts if prompts > 0 else 0.0


def alike_in_words(workload: Workload) -> str:
    """Say how much of the prompts of a workload begins like earlier ones, and how that is known."""
    if not (share := shared_share(workload)):
        return NOTHING_ALIKE
    recorded = sum(adapter.prefixes is not None for adapter in workload.adapters)
    drawn = any(workload.templates_of(adapter) for adapter in workload.adapters)
    how = "templates and recorded prefixes" if recorded and drawn else "recorded prefixes" if recorded else "templates"
    percent = f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
    return f"{percent} % of the prompt tokens in {how}"
