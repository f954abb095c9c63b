"""Long requests: adapters of which a plan could not be ok, because the model rejects too much of their traffic."""

from adaptwin.errors import Infeasible
from adaptwin.twin.verdict import STARVED_BELOW
from adaptwin.workload.demand.distinct_lengths import distinct_lengths
from adaptwin.workload.demand.rejected import rejected_share
from adaptwin.workload.workload import Workload

_CHANCE = 0.05  # share of the tokens by which what is drawn may differ from its mean


def require_short_enough(workload: Workload, max_model_len: int) -> None:
    """Raise `Infeasible` if clearly more of an adapter's tokens are rejected than an adapter that is ok may lack."""
    for lengths, adapters in distinct_lengths(workload):
        rejected = rejected_share(lengths, max_model_len)
        asked = [index for index in adapters if workload.adapters[index].rate > 0]
        if asked and rejected > 1.0 - STARVED_BELOW + _CHANCE:
            raise Infeasible(
                f"adapters[{asked[0]}].lengths: {rejected:.0%} of the tokens of {workload.adapters[asked[0]].name!r} "
                f"belong to requests longer than max_model_len {max_model_len:,}, which vLLM rejects"
            )
