"""LoadCost: the time to load an adapter to the GPU, from host memory or from disk."""

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class LoadCost(Spec):
    """Seconds to load one adapter; loads run one after the other and delay the step that needs them."""

    model_config = ConfigDict(allow_inf_nan=False)

    gpu_base: float = Field(ge=0, description="host memory to GPU: seconds at any rank")
    gpu_per_rank: float = Field(ge=0, description="host memory to GPU: seconds per unit of the adapter's rank")
    gpu_per_padding: float = Field(ge=0, description="host memory to GPU: seconds per unit of rank that pads the slot")
    disk_base: float = Field(ge=0, description="disk to host memory: seconds at any rank")
    disk_per_rank: float = Field(ge=0, description="disk to host memory: seconds per unit of the adapter's rank")

    def to_gpu(self, rank: int, max_lora_rank: int) -> float:
        """Return the seconds of a load from host memory to the GPU."""
        return self.gpu_base + self.gpu_per_rank * rank + self.gpu_per_padding * (max_lora_rank - rank)

    def from_disk(self, rank: int) -> float:
        """Return the seconds of a load from disk to host memory."""
        return self.disk_base + self.disk_per_rank * rank
