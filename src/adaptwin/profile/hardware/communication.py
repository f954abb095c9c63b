"""Communication: what the GPUs of a tensor-parallel group take to sum up their parts of the activations.

An all-reduce takes a constant, and the bytes of its message over a bandwidth. Of six types of GPU this was measured for
groups of 2, 4 and 8 with vLLM's own all-reduce, or NCCL's where the message is too large for it
(docs/measured/step-law.md); their data sheets hold it. For others the rule is that of the measured ones with the same
kind of link: over NVLink, the GPUs reach 29 % of its bandwidth; over PCIe, two GPUs reach 30 %. Between four or eight
GPUs on PCIe, servers differ by a factor of four to ten, as their GPUs hang on one switch or on several processors: what
was measured on one server says little of another, so that the rule, which lies between two of them, is taken for all.
"""

from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.profile.hardware.gpu import GpuSheet
from adaptwin.profile.lora_kernels import exchanges
from adaptwin.profile.model_shape import ModelShape

LARGEST_GROUP = 8  # GPUs of one machine, for which exchanges are described
_SIZES = (2, 4, 8)  # of measured groups
_SECONDS = {"nvlink": {2: 4.4e-6, 4: 5.2e-6, 8: 7.0e-6}, "pcie": {2: 5.0e-6, 4: 13e-6, 8: 27e-6}}
# Share of the link's bandwidth at which each GPU sends in a ring, in which 2 (n - 1) / n of the message passes each.
_BUSY = {"nvlink": {2: 0.29, 4: 0.29, 8: 0.33}, "pcie": {2: 0.295, 4: 0.114, 8: 0.073}}


class Exchange(NamedTuple):
    """An all-reduce between the GPUs of a group."""

    seconds: float  # of the smallest message
    bandwidth: float  # bytes of a message per second
    is_measured: bool


def exchange(gpu: GpuSheet, tensor_parallel_size: int) -> Exchange:
    """Return an all-reduce in a group of GPUs, which counts as one of 2, 4 or 8 if it has another size.

    Raises:
        SpecError: The group has more GPUs than a server.
    """
    if tensor_parallel_size > LARGEST_GROUP:
        message = f"{tensor_parallel_size} is above {LARGEST_GROUP}: groups over several servers are not described"
        raise SpecError(message, "tensor_parallel_size")
    size = next(size for size in _SIZES if size >= tensor_parallel_size)
    if measured := next((each for each in gpu.all_reduce if each.gpus == size), None):
        return Exchange(measured.seconds, measured.bandwidth, is_measured=True)
    sent = 2 * (size - 1) / size
    return Exchange(_SECONDS[gpu.link][size], gpu.link_bandwidth * _BUSY[gpu.link][size] / sent, is_measured=False)


class Communication(NamedTuple):
    """The seconds of a step for exchanges between the GPUs of a group."""

    of_step: float
    per_token: float
    per_sequence: float  # for gathering the logits of a request


def communication(gpu: GpuSheet, model: ModelShape, tensor_parallel_size: int) -> Communication:
    """Return what the exchanges of a step of a model take; nothing on one GPU.

    Raises:
        SpecError: The group has more GPUs than a server.
    """
    if tensor_parallel_size == 1:
        return Communication(0.0, 0.0, 0.0)
    each = exchange(gpu, tensor_parallel_size)
    count = exchanges(model)
    return Communication(
        of_step=count * each.seconds,
        per_token=count * model.hidden * model.bytes_per_value / each.bandwidth,
        per_sequence=0.5 * model.vocabulary * model.bytes_per_value / each.bandwidth,
    )
