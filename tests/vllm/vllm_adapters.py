"""vLLM's LRU managers of adapters without a model, weights or files."""

import torch
from vllm.config import LoRAConfig
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager


class VllmAdapters:
    """The adapters that `LRUCacheWorkerLoRAManager` holds on the GPU and in host memory, and its loads."""

    def __init__(self, *, max_loras: int, max_cpu_loras: int, adapters: int) -> None:
        self.worker = _Worker(LoRAConfig(max_loras=max_loras, max_cpu_loras=max_cpu_loras, max_lora_rank=8))
        self.requests = [LoRARequest(f"adapter-{a}", a + 1, "nowhere") for a in range(adapters)]

    def serve(self, adapters: list[int]) -> None:
        """Load adapters as a server does at its start (`--lora-modules`): one call of `add_lora` after the other."""
        for adapter in adapters:
            self.worker.add_adapter(self.requests[adapter])

    def step(self, adapters: list[int]) -> None:
        """Run a step that needs these adapters and visits them in this order (vLLM's order is that of a set)."""
        self.worker.set_active_adapters(dict.fromkeys(self.requests[adapter] for adapter in adapters), None)

    @property
    def on_gpu(self) -> list[int]:
        """Adapters in slots, least recently used first."""
        manager = self.worker._adapter_manager
        assert {a for a in manager.lora_index_to_id if a is not None} == set(manager._active_adapters)
        return [adapter - 1 for adapter in manager._active_adapters.order]

    @property
    def on_host(self) -> list[int]:
        """Adapters in host memory, least recently used first."""
        return [adapter - 1 for adapter in self.worker._adapter_manager._registered_adapters.order]

    @property
    def disk_loads(self) -> list[int]:
        """Every adapter read from disk, in order."""
        return [adapter - 1 for adapter in self.worker.read]

    @property
    def gpu_loads(self) -> list[int]:
        """Every adapter copied into a slot, in order."""
        return [adapter - 1 for adapter in self.worker._adapter_manager.copied]


class _Manager(LRUCacheLoRAModelManager):
    """vLLM's manager for a model without layers: only the bookkeeping of adapters is set up."""

    def __init__(self, lora_config: LoRAConfig) -> None:
        self.lora_config = lora_config
        self.modules, self.packed_modules = {}, {}
        self._registered_adapters = AdapterLRUCache(self.capacity, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(self.lora_slots, self._deactivate_adapter)
        self.lora_index_to_id = [None] * self.lora_slots
        self.copied: list[int] = []

    def _add_adapter(self, lora: LoRAModel) -> None:
        self._registered_adapters[lora.id] = lora

    def activate_adapter(self, lora_id: int) -> bool:
        copied = super().activate_adapter(lora_id)
        if copied:
            self.copied.append(lora_id)
        return copied


class _Worker(LRUCacheWorkerLoRAManager):
    """vLLM's worker manager, for which every adapter is on disk."""

    def __init__(self, lora_config: LoRAConfig) -> None:
        self.lora_config = lora_config
        self._adapter_manager = _Manager(lora_config)
        self.read: list[int] = []

    def _load_adapter(self, lora_request: LoRARequest) -> LoRAModel:
        self.read.append(lora_request.lora_int_id)
        return LoRAModel(lora_request.lora_int_id, rank=8, loras={"layer": torch.zeros(1)})
