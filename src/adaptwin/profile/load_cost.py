"""LoadCost: what it costs to bring an adapter to the GPU, from host memory or from disk."""

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class LoadCost(Spec):
    """Seconds to load one adapter. Loads happen one after the other and hold up the step that needs them."""

    model_config = ConfigDict(allow_inf_nan=False)

    gpu_base: float = Field(ge=0, description="host memory to GPU, whatever the rank")
    gpu_per_rank: float = Field(ge=0, description="per unit of the adapter's own rank")
    gpu_per_padding: float = Field(ge=0, description="per unit of rank that the slot is larger than the adapter")
    disk_base: float = Field(ge=0, description="disk to host memory, whatever the rank")
    disk_per_rank: float = Field(ge=0, description="per unit of the adapter's own rank")

    def to_gpu(self, rank: int, max_lora_rank: int) -> float:
        """Seconds from host memory to the GPU."""
        return self.gpu_base + self.gpu_per_rank * rank + self.gpu_per_padding * (max_lora_rank - rank)

    def from_disk(self, rank: int) -> float:
        """Seconds from disk to host memory."""
        return self.disk_base + self.disk_per_rank * rank
