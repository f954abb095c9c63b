"""Stopwatches inside vLLM: of its scheduler, and of its adapter manager."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

clock = time.perf_counter


class Planned(NamedTuple):
    """What the scheduler did for a step."""

    output: Any  # vLLM's SchedulerOutput
    begun: float  # when it began to plan the step
    planning: float  # seconds
    waiting: int  # requests left waiting
    update: float  # seconds to note what came out


class SchedulerStopwatch:
    """Times what a scheduler does for each step, and counts the tokens of `computed` requests as computed already.

    With asynchronous scheduling, a step is planned while the one before it runs; `finished` is the last one whose
    results came in.
    """

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.finished: Planned | None = None
        self.computed: dict[str, int] = {}  # request -> tokens of its prompt
        self._plans: dict[int, tuple[float, float, int]] = {}
        manager = scheduler.kv_cache_manager
        self._schedule, self._update = scheduler.schedule, scheduler.update_from_output
        self._computed_blocks = manager.get_computed_blocks
        scheduler.schedule, scheduler.update_from_output = self._timed_schedule, self._timed_update
        manager.get_computed_blocks = self._pretend

    def _timed_schedule(self, *args: Any, **kwargs: Any) -> Any:
        start = clock()
        output = self._schedule(*args, **kwargs)
        end = clock()
        waiting = len(self.scheduler.waiting) + len(getattr(self.scheduler, "skipped_waiting", ()))
        self._plans[id(output)] = (start, end, waiting)
        return output

    def _timed_update(self, output: Any, *args: Any, **kwargs: Any) -> Any:
        start = clock()
        result = self._update(output, *args, **kwargs)
        begun, planned, waiting = self._plans.pop(id(output), (start, start, 0))
        self.finished = Planned(output, begun, planned - begun, waiting, clock() - start)
        return result

    def _pretend(self, request: Any) -> Any:
        blocks, tokens, *more = self._computed_blocks(request)
        return (blocks, self.computed.get(request.request_id, tokens), *more)


class LoadStopwatch:
    """Times the loads of adapters by vLLM's worker-side manager: from disk, and from host memory to the GPU."""

    def __init__(self, manager: Any, synchronize: Callable[[], None], rank_of: Callable[[int], int]) -> None:
        self.cold = False  # whether the next files are out of the page cache
        self.paused = False  # timing waits for the GPU, which a server would not do
        self.manager, self.inner = manager, manager._adapter_manager
        self._synchronize, self._rank_of = synchronize, rank_of
        self._loads: list[dict[str, Any]] = []
        self._activation = 0.0  # seconds of the activation inside a load from disk
        self._add, self._activate = manager.add_adapter, self.inner.activate_adapter
        self.inner.activate_adapter, manager.add_adapter = self._timed_activate, self._timed_add

    def taken(self) -> list[dict[str, Any]]:
        """The loads since the last call."""
        loads, self._loads = self._loads, []
        return loads

    def _timed_activate(self, adapter: int, *args: Any, **kwargs: Any) -> Any:
        if self.paused or adapter in self.inner._active_adapters:
            return self._activate(adapter, *args, **kwargs)
        self._synchronize()
        start = clock()
        result = self._activate(adapter, *args, **kwargs)
        self._synchronize()
        self._activation = clock() - start
        self._note("host", adapter, self._activation)
        return result

    def _timed_add(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        fresh = not self.paused and request.lora_int_id not in self.manager.list_adapters()
        self._activation, start = 0.0, clock()
        result = self._add(request, *args, **kwargs)
        if fresh:
            self._note("disk", request.lora_int_id, clock() - start - self._activation, cold=self.cold)
        return result

    def _note(self, source: str, adapter: int, seconds: float, **more: bool) -> None:
        self._loads.append({"source": source, "rank": self._rank_of(adapter), "seconds": seconds, **more})
