"""slo: the fewest GPUs that keep the limits on TTFT and ITL, of the plan and of single adapters."""

from collections.abc import Sequence

from adaptwin.errors import SpecError
from adaptwin.placement.objectives.min_gpus import min_gpus
from adaptwin.placement.objectives.objective import Asked, Placed
from adaptwin.placement.packing.problem import Problem


def slo(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the placement of `min_gpus`; a server that exceeds a limit does not count as serving.

    Raises `SpecError` if neither the options nor any adapter has a limit on latency.
    """
    if not problems[0].capacity.workload.has_objectives and not asked.options.latency_limits:
        raise SpecError(
            "slo needs ttft_p99 or itl_p99 (--ttft-p99, --itl-p99), or adapters with an slo_ttft or slo_itl",
            "objective",
        )
    return min_gpus(problems, asked)
