"""Decisions of a scheduler, step by step, and the first difference between two schedulers."""

from itertools import zip_longest
from typing import NamedTuple

from adaptwin.twin.reference.batch import Batch
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.reference.kv_cache import Key
from adaptwin.twin.reference.scheduler import Scheduler
from adaptwin.twin.scenario import Scenario


class Decision(NamedTuple):
    """One planned step; requests are given by their indices."""

    clock: int  # time of planning, in nanoseconds
    tokens: tuple[tuple[int, int], ...]  # (request, tokens) of each scheduled request, in order
    preempted: tuple[int, ...]  # in order
    running: tuple[int, ...]
    waiting: tuple[int, ...]
    free_blocks: int
    hits: tuple[tuple[int, int], ...]  # (request, cached tokens) of each request that starts with some, in order
    cached: tuple[Key, ...]  # contents of all blocks that can be hit, sorted; twice if two blocks have them
    queue: tuple[Key | None, ...]  # contents of the free blocks in the order in which they are taken; None: not cached


class Played(NamedTuple):
    """The decisions and token times of a whole run."""

    decisions: list[Decision]
    token_times: dict[int, list[int]]  # times of the tokens, by accepted request, in nanoseconds
    queried_tokens: int
    hit_tokens: int


class _WatchedScheduler(Scheduler):
    """The twin's scheduler, which also records every decision."""

    def __init__(self, twin: ReferenceTwin) -> None:
        super().__init__(twin.scenario.limits, twin.scenario.requests.prefixes)
        self.twin, self.decisions = twin, []

    def schedule(self) -> Batch:
        before = set(self.running)
        batch = super().schedule()
        started = [
            (request.index, request.num_computed_tokens - tokens)
            for request, tokens in batch.num_scheduled_tokens.items()
            if request not in before
        ]
        waiting = tuple(request.index for request in self.waiting)
        cache = self.kv_cache
        self.decisions.append(
            Decision(
                clock=self.twin.clock,
                tokens=tuple((request.index, tokens) for request, tokens in batch.num_scheduled_tokens.items()),
                preempted=tuple(request.index for request in batch.preempted_reqs),
                running=tuple(request.index for request in self.running),
                waiting=waiting,
                free_blocks=cache.num_free_blocks,
                hits=tuple((index, tokens) for index, tokens in started if tokens),
                cached=tuple(sorted(key for key, blocks in cache.cached_blocks.items() for _ in blocks)),
                queue=tuple(block.key for block in cache.free_block_queue),
            )
        )
        return batch


def play_twin(scenario: Scenario) -> Played:
    """Run a scenario on the reference twin and return its decisions."""
    twin = ReferenceTwin(scenario)
    twin.scheduler = scheduler = _WatchedScheduler(twin)
    outcome = twin.run()
    token_times = {index: answer.token_times for index, answer in twin.ledger.answers.items()}
    return Played(scheduler.decisions, token_times, outcome.queried_tokens, outcome.hit_tokens)


def first_difference(twin: Played, vllm: Played, scenario: Scenario) -> str | None:
    """Describe the first difference between twin and vLLM; None when there is none."""
    for step, (ours, theirs) in enumerate(zip_longest(twin.decisions, vllm.decisions)):
        if ours != theirs:
            return _report(step, twin.decisions, vllm.decisions, scenario)
    if (twin.queried_tokens, twin.hit_tokens) != (vllm.queried_tokens, vllm.hit_tokens):
        counts = f"{twin.hit_tokens} of {twin.queried_tokens} tokens", f"{vllm.hit_tokens} of {vllm.queried_tokens}"
        return f"hits in the end\n  twin {counts[0]}\n  vllm {counts[1]}"
    for index in sorted(twin.token_times.keys() | vllm.token_times.keys()):
        ours, theirs = twin.token_times.get(index), vllm.token_times.get(index)
        if ours != theirs:
            return f"request {index} has its tokens at\n  twin {ours}\n  vllm {theirs}"
    return None


def _report(step: int, twin: list[Decision], vllm: list[Decision], scenario: Scenario) -> str:
    lines = [f"step {step} differs", f"limits: {scenario.limits}"]
    if step:
        lines.append(f"step {step - 1}, the same on both: {vllm[step - 1]}")
    ours, theirs = (run[step] if step < len(run) else None for run in (twin, vllm))
    if ours is None or theirs is None:
        return "\n".join([*lines, f"twin: {ours or 'has ended'}", f"vllm: {theirs or 'has ended'}"])
    for name in Decision._fields:
        mine, other = getattr(ours, name), getattr(theirs, name)
        lines.append(f"{name:>12}: {mine}" if mine == other else f"{name:>12}: twin {mine}\n{'':>14}vllm {other}")
    requests, shown = scenario.requests, {index for index, _ in (*ours.tokens, *theirs.tokens)}
    for index in sorted(shown | set(ours.waiting) | set(theirs.waiting)):
        adapter = int(requests.adapter[index])
        kind = f"adapter {adapter}" if scenario.adapters.needs_slot[adapter] else "base model"
        lines.append(f"  request {index}: {kind}, {requests.input[index]} in, {requests.output[index]} out")
    return "\n".join(lines)
