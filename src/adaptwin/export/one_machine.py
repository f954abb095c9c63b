"""One machine: ports and GPUs of servers that all run on it, each with those of its own."""

from itertools import accumulate
from typing import NamedTuple

from adaptwin.export.serving_plan import ServingPlan


class PortAndGpus(NamedTuple):
    """The port of a server, and the numbers of its GPUs."""

    port: int
    gpus: range

    @property
    def devices(self) -> str:
        """The value of ``CUDA_VISIBLE_DEVICES``, such as ``2,3``."""
        return ",".join(map(str, self.gpus))


def ports_and_gpus(serving: ServingPlan, first_port: int) -> list[PortAndGpus]:
    """Return the port and the GPUs of every server, standbys included, numbered in their order."""
    sizes = [server.gpus for server in serving.all_servers]
    firsts = accumulate(sizes, initial=0)
    return [
        PortAndGpus(first_port + index, range(first, first + size))
        for index, (size, first) in enumerate(zip(sizes, firsts, strict=False))
    ]
