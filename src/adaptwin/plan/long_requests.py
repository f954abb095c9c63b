"""Long requests: adapters of which a plan could not be ok, because the model rejects too much of their traffic."""

from adaptwin.errors import Infeasible
from adaptwin.twin.verdict import STARVED_BELOW
from adaptwin.workload.demand.rejected import rejected_share
from adaptwin.workload.workload import Workload

_CHANCE = 0.05  # share of the tokens by which what is drawn may differ from its mean


def require_short_enough(workload: Workload, max_model_len: int) -> None:
    """Raise `Infeasible` if clearly more of an adapter's tokens are rejected than an adapter that is ok may lack."""
    shares: dict[int, float] = {}
    for index, adapter in enumerate(workload.adapters):
        lengths = workload.lengths_of(adapter)
        key = id(lengths)  # hashing an empirical distribution for every adapter would take seconds
        if key not in shares:
            shares[key] = rejected_share(lengths, max_model_len)
        if shares[key] > 1.0 - STARVED_BELOW + _CHANCE and adapter.rate > 0:
            raise Infeasible(
                f"adapters[{index}].lengths: {shares[key]:.0%} of the tokens of {adapter.name!r} belong to requests "
                f"longer than max_model_len {max_model_len:,}, which vLLM rejects"
            )
