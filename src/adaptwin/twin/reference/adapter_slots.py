"""AdapterSlots: which adapters are on the GPU and in host memory (vllm/lora/worker_manager.py)."""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits


class AdapterSlots:
    """Two LRU caches that are touched together: `LRUCacheWorkerLoRAManager` and its `LRUCacheLoRAModelManager`."""

    def __init__(self, limits: Limits, adapters: Adapters) -> None:
        self.max_loras, self.max_cpu_loras = limits.max_loras, limits.max_cpu_loras
        self.adapters = adapters
        self.gpu: OrderedDict[int, None] = OrderedDict()  # the oldest first
        self.host: OrderedDict[int, None] = OrderedDict()
        self.gpu_loads = self.disk_loads = self.load_time = 0  # the last in nanoseconds
        self.set_active_adapters(int(adapter) for adapter in np.flatnonzero(adapters.needs_slot))  # --lora-modules
        self.gpu_loads = self.disk_loads = self.load_time = 0  # start-up does not count

    def set_active_adapters(self, adapters: Iterable[int]) -> int:
        """Load what a step lacks, one adapter after the other; returns the nanoseconds that the step waits for it.

        Making room evicts the oldest adapter, even one that this same step still needs.
        """
        before = self.load_time
        for adapter in adapters:
            self._add_adapter(adapter)
            self._activate_adapter(adapter)
        return self.load_time - before

    def _add_adapter(self, adapter: int) -> None:
        """Have the adapter in host memory, read from disk if need be."""
        if adapter not in self.host:
            if len(self.host) == self.max_cpu_loras:
                self._remove_oldest_adapter()
            self.disk_loads += 1
            self.load_time += int(self.adapters.disk_load[adapter])
            self.host[adapter] = None
        self.host.move_to_end(adapter)

    def _remove_oldest_adapter(self) -> None:
        """Evict from host memory, which contains whatever the GPU holds: so the slot is free as well."""
        oldest, _ = self.host.popitem(last=False)
        self.gpu.pop(oldest, None)

    def _activate_adapter(self, adapter: int) -> None:
        """Have the adapter in a slot, copied from host memory if need be."""
        if adapter not in self.gpu:
            if len(self.gpu) == self.max_loras:
                self.gpu.popitem(last=False)
            self.gpu_loads += 1
            self.load_time += int(self.adapters.gpu_load[adapter])
            self.gpu[adapter] = None
        self.gpu.move_to_end(adapter)
