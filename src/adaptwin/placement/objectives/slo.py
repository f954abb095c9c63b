"""slo: the fewest GPUs on which the 99th percentiles of TTFT and ITL stay within the limits that were given."""

from collections.abc import Sequence

from adaptwin.errors import SpecError
from adaptwin.placement.objectives.min_gpus import min_gpus
from adaptwin.placement.objectives.objective import Asked, Placed
from adaptwin.placement.packing.problem import Problem


def slo(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """As `min_gpus`: a server that exceeds a limit does not serve. Raises `SpecError` where there is no limit."""
    workload = problems[0].capacity.workload
    promised = any(adapter.slo_ttft or adapter.slo_itl for adapter in workload.adapters)
    if not promised and not asked.options.latency_limits:
        raise SpecError("slo needs ttft_p99, itl_p99, or adapters with an slo_ttft or slo_itl", "objective")
    return min_gpus(problems, asked)
