"""AdapterSlots: the adapters on the GPU and in host memory (vllm/lora/worker_manager.py)."""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits


class AdapterSlots:
    """Two LRU caches, of host memory and of GPU slots. Using an adapter makes it the most recently used in both.

    In vLLM they are `LRUCacheWorkerLoRAManager` and its `LRUCacheLoRAModelManager`.
    """

    def __init__(self, limits: Limits, adapters: Adapters) -> None:
        self.max_loras, self.max_cpu_loras = limits.max_loras, limits.max_cpu_loras
        self.adapters = adapters
        self.gpu: OrderedDict[int, None] = OrderedDict()  # the least recently used first
        self.host: OrderedDict[int, None] = OrderedDict()
        self.gpu_loads = self.disk_loads = self.load_time = 0  # load_time in nanoseconds
        self.set_active_adapters(int(adapter) for adapter in np.flatnonzero(adapters.needs_slot))  # --lora-modules
        self.gpu_loads = self.disk_loads = self.load_time = 0  # loads at start-up are not counted

    def set_active_adapters(self, adapters: Iterable[int]) -> int:
        """Load a step's adapters that are not on the GPU, one by one; return the nanoseconds that the step waits.

        A full cache evicts its least recently used adapter, even one that the same step still needs.
        """
        before = self.load_time
        for adapter in adapters:
            self._add_adapter(adapter)
            self._activate_adapter(adapter)
        return self.load_time - before

    def _add_adapter(self, adapter: int) -> None:
        """Make sure that the adapter is in host memory: read it from disk if it is not there."""
        if adapter not in self.host:
            if len(self.host) == self.max_cpu_loras:
                self._remove_oldest_adapter()
            self.disk_loads += 1
            self.load_time += int(self.adapters.disk_load[adapter])
            self.host[adapter] = None
        self.host.move_to_end(adapter)

    def _remove_oldest_adapter(self) -> None:
        """Evict the least recently used adapter from host memory and, if it is there, from the GPU.

        Host memory contains every adapter that is on the GPU.
        """
        oldest, _ = self.host.popitem(last=False)
        self.gpu.pop(oldest, None)

    def _activate_adapter(self, adapter: int) -> None:
        """Make sure that the adapter is in a slot: copy it from host memory if it is not."""
        if adapter not in self.gpu:
            if len(self.gpu) == self.max_loras:
                self.gpu.popitem(last=False)
            self.gpu_loads += 1
            self.load_time += int(self.adapters.gpu_load[adapter])
            self.gpu[adapter] = None
        self.gpu.move_to_end(adapter)
