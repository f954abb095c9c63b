"""LoadCost: the time to load an adapter to the GPU, from host memory or from disk."""

from pydantic import Field

from adaptwin.profile.seconds import Seconds
from adaptwin.spec import Spec


class LoadCost(Spec):
    """Seconds to load one adapter; loads run one after the other and delay the step that needs them."""

    gpu_base: Seconds = Field(description="host memory to GPU: seconds at any rank")
    gpu_per_rank: Seconds = Field(description="host memory to GPU: seconds per unit of the adapter's rank")
    gpu_per_padding: Seconds = Field(description="host memory to GPU: seconds per unit of rank that pads the slot")
    disk_base: Seconds = Field(description="disk to host memory: seconds at any rank")
    disk_per_rank: Seconds = Field(description="disk to host memory: seconds per unit of the adapter's rank")

    def to_gpu(self, rank: int, max_lora_rank: int) -> float:
        """Return the seconds of a load from host memory to the GPU."""
        return self.gpu_base + self.gpu_per_rank * rank + self.gpu_per_padding * (max_lora_rank - rank)

    def from_disk(self, rank: int) -> float:
        """Return the seconds of a load from disk to host memory."""
        return self.disk_base + self.disk_per_rank * rank
