"""paper_greedy: the placement of arXiv 2602.24044, with the twin, or a confident surrogate, as its oracle.

Ranks are placed in falling order, and within a rank the highest and the lowest remaining load in turn. Adapters join
the current GPU one at a time. Each time their number reaches a test point, the oracle gives the throughput with the
slots so far and with one step more, and the better number is kept (the larger on a tie). The oracle then says whether
the server is starved. If it is, or does not start, the adapters since the last test point go back to the queue and the
GPU is closed. In the end, a GPU with untested adapters is tested with the adapters that it has (the published code pads
with dummies there and opens GPUs that are not needed).
"""

from collections import deque
from dataclasses import dataclass, field

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.packing.not_served import unservable
from adaptwin.placement.packing.orders import alternating
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts

TEST_POINTS = (8, 16, 32, 64, 96, 128, 160, 192, 256, 320, 384, 448, 512, 576)


@dataclass(slots=True)
class _Gpu:
    committed: list[AdapterPart] = field(default_factory=list)
    pending: list[AdapterPart] = field(default_factory=list)
    max_loras: int = 0
    test_point: int = 0
    slot_point: int = 0

    @property
    def items(self) -> list[AdapterPart]:
        return self.committed + self.pending


def paper_greedy(problem: Problem) -> list[Assignment]:
    """Place all adapters as the paper does; raises `Infeasible` when a GPU cannot serve a single adapter."""
    capacity = problem.capacity
    items = items_to_place(problem)
    falling = sorted(items, key=lambda item: (-capacity.slot_rank(item.name), -capacity.load_of(item), item.name))
    queue = deque(alternating(falling, lambda item: capacity.slot_rank(item.name)))
    gpus = [_Gpu()]
    while queue or gpus[-1].pending:
        gpu = gpus[-1]
        problem.progress("paper_greedy", len(items) - len(queue), len(items))
        if queue:
            gpu.pending.append(queue.popleft())
        full = len(gpu.items) == TEST_POINTS[gpu.test_point]
        if (full or not queue) and not _test(problem, gpu, last=not queue):
            _give_back(problem, gpu, queue)
            gpus.append(_Gpu())
    return [
        Assignment(capacity.server(shares_of_parts(gpu.committed), gpu.max_loras), shares_of_parts(gpu.committed))
        for gpu in gpus
        if gpu.committed
    ]


def _test(problem: Problem, gpu: _Gpu, *, last: bool) -> bool:
    """Commit the pending adapters if the oracle says that the GPU serves all it has; return whether it stays open."""
    capacity, shares = problem.capacity, shares_of_parts(gpu.items)
    larger = TEST_POINTS[min(gpu.slot_point, len(TEST_POINTS) - 1)]
    candidates = [slots for slots in (gpu.max_loras, larger) if slots > 0 and capacity.starts(shares, slots)]
    if not candidates:
        return False
    chosen = max(candidates, key=lambda slots: (capacity.estimate(shares, slots).throughput, slots))
    if not capacity.estimate(shares, chosen).not_starved:
        return False
    if chosen == larger:
        gpu.slot_point += 1
    gpu.committed, gpu.pending, gpu.max_loras = gpu.items, [], chosen
    if not last:
        gpu.test_point += 1
    return gpu.test_point < len(TEST_POINTS) or last


def _give_back(problem: Problem, gpu: _Gpu, queue: deque[AdapterPart]) -> None:
    """Close the GPU: its pending adapters go back to the head of the queue."""
    queue.extendleft(reversed(gpu.pending))
    if not gpu.committed:
        _shrink(problem, gpu, queue)
    gpu.pending = []


def _shrink(problem: Problem, gpu: _Gpu, queue: deque[AdapterPart]) -> None:
    """Commit fewer adapters where not even the first test point passes; the paper gives up, but a plan shall exist."""
    capacity = problem.capacity
    for count in range(len(gpu.pending), 0, -1):
        fit = choose_slots(capacity, shares_of_parts(gpu.pending[:count]))
        if fit:
            gpu.committed, gpu.max_loras = gpu.pending[:count], fit.max_loras
            for _ in range(count):
                queue.popleft()
            return
    raise unservable(problem.capacity, gpu.pending[0])
