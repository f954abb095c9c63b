"""A stand-in for profiles derived from data sheets, until the package derives them itself."""

from typing import NamedTuple

from adaptwin import Profile
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.step_cost import StepCost
from public_shapes import SHAPES

LAUNCH = 4e-6  # seconds to start a linear layer and to reach its full speed
LAUNCHES_PER_LAYER = 4  # q, k and v; o; gate and up; down
LARGE_L2 = 60e6  # bytes from which activations stay in the cache


class Sheet(NamedTuple):
    """Figures of a GPU's data sheet: memory as vLLM sees it, bytes/s, FLOP/s in bfloat16, and bytes of L2 cache."""

    name: str
    gib: float
    bandwidth: float
    flops: float
    l2: float


SHEETS = {
    "h100-pcie": Sheet("NVIDIA H100 PCIe", 79.2, 2.0e12, 756.5e12, 50e6),
    "rtx-pro-6000": Sheet("NVIDIA RTX PRO 6000", 94.97, 1.792e12, 467.8e12, 128e6),
}


class Shares(NamedTuple):
    """Shares of the peak figures that kernels reach, and times that do not depend on the GPU, in seconds."""

    weights: float = 0.80
    linear: float = 0.72
    attention: float = 0.62
    cache: float = 0.85
    activations: float = 0.6  # of the bandwidth; 1 on a GPU with a large L2 cache
    host: float = 2e-3
    sampled: float = 0.02e-9  # per token of the vocabulary
    latency: float = 5e-3


def profile_of(gpu: str, model: str, vllm_version: str, shares: Shares = Shares()) -> Profile:  # noqa: B008
    """Return the profile of a GPU and a model by the formulas of the step cost, without LoRA."""
    sheet, shape = SHEETS[gpu], SHAPES[model]
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    embeddings = float(shape.vocabulary * shape.hidden * shape.bytes_per_value)
    linear = shape.weights_bytes - embeddings * (1 if shape.tied_embeddings else 2)
    read = sheet.bandwidth * shares.weights
    values = shape.bytes_per_value * (8 * shape.hidden + 2 * (query + key) + 3 * shape.intermediate)
    activations = 1.0 if sheet.l2 > LARGE_L2 else shares.activations
    return Profile(
        name=f"{gpu}-{shape.name.split('/')[-1].lower()}",
        hardware=sheet.name,
        model=shape,
        vllm_version=vllm_version,
        source="data sheet",
        request_latency=shares.latency,
        memory=MemoryModel.from_shapes(shape, sheet.gib * GIB, vllm_version),
        step_cost=StepCost(
            host_base=shares.host,
            gpu_base=LAUNCH * LAUNCHES_PER_LAYER * shape.layers + embeddings / read,
            weights=linear / read,
            balance_tokens=sheet.flops * shares.linear * shape.bytes_per_weight / (2 * read),
            per_token=shape.layers * values / (sheet.bandwidth * activations),
            per_pair=4 * query * shape.layers / (sheet.flops * shares.attention),
            per_context_token=shape.kv_bytes_per_token / (sheet.bandwidth * shares.cache),
            per_sequence=shape.vocabulary * shares.sampled + 2 * shape.vocabulary * shape.hidden / (sheet.flops * 0.7),
        ),
        load_cost=LoadCost(gpu_base=0, gpu_per_rank=0, gpu_per_padding=0, disk_base=0, disk_per_rank=0),
        scheduler_cost=SchedulerCost(base=0, per_running=0, per_waiting=0),
    )
