"""Occasions in a run of vLLM's scheduler, counted: without them, agreement would prove little."""

from collections import Counter
from itertools import pairwise

from tests.vllm.decisions import Decision, Played

from adaptwin.twin.scenario import Scenario


def occasions(vllm: Played, scenario: Scenario) -> Counter[str]:
    """Count the situations in a run in which a scheduler can go wrong, with a line of the summary for each."""
    limits, requests, decisions = scenario.limits, scenario.requests, vllm.decisions
    slots = int(scenario.adapters.needs_slot.sum())
    met = Counter(
        {
            "workloads with fewer slots than adapters": limits.max_loras < slots,
            "workloads that reserve whole prompts": limits.reserve_whole_prompt,
            "workloads that reserve the first chunk": not limits.reserve_whole_prompt,
            "workloads with a watermark": limits.watermark_blocks > 0,
            "requests refused": len(requests.arrival) - len(vllm.token_times),
            "requests of the base model": sum(not _needs_slot(i, scenario) for i in vllm.token_times),
            "answers that end before max_tokens": sum(requests.output[i] < requests.asked[i] for i in vllm.token_times),
            "answers that end while they wait": _ended_waiting(decisions),
        }
    )
    for decision in decisions:
        met["preemptions"] += len(decision.preempted)
        met["prompts cut to a chunk"] += sum(1 < n < requests.input[i] for i, n in decision.tokens)
        met["steps with nothing to schedule"] += not decision.tokens
        if decision.waiting and not decision.preempted:
            met["steps that lack seats"] += len(decision.running) == limits.max_num_seqs
            met["steps that lack tokens"] += _tokens(decision) == limits.token_budget
            met.update(_behind_the_head(decision, scenario))
    for before, decision in pairwise(decisions):
        met["requests skipped for want of a slot"] += _overtaken(before, decision)
        started_alone = len(decision.running) == 1 and decision.running[0] not in before.running
        into_watermark = decision.free_blocks < limits.watermark_blocks
        met["requests that an idle server lets into the watermark"] += started_alone and into_watermark
    return met


def _tokens(decision: Decision) -> int:
    return sum(tokens for _, tokens in decision.tokens)


def _needs_slot(index: int, scenario: Scenario) -> bool:
    return bool(scenario.adapters.needs_slot[scenario.requests.adapter[index]])


def _lacks_slot(index: int, decision: Decision, scenario: Scenario) -> bool:
    adapter = scenario.requests.adapter
    in_batch = {adapter[i] for i, _ in decision.tokens if _needs_slot(i, scenario)}
    full = len(in_batch) == scenario.limits.max_loras
    return full and _needs_slot(index, scenario) and adapter[index] not in in_batch


def _overtaken(before: Decision, decision: Decision) -> int:
    """Count the requests that keep waiting while a later one starts, which only the lack of a slot allows."""
    place = {index: place for place, index in enumerate(before.waiting)}
    started = set(decision.running) - set(before.running)

    def in_queue(index: int) -> tuple[int, int]:
        return place.get(index, len(place)), index  # requests that arrived since are behind

    last = max(map(in_queue, started), default=(-1, -1))
    return sum(in_queue(index) < last for index in decision.waiting)


def waiting_for_blocks(decision: Decision, scenario: Scenario) -> list[int]:
    """Return the request at the head of the queue that lacks only blocks, and the requests behind it, if there is one.

    In a step with preemptions no waiting request is looked at.
    """
    limits = scenario.limits
    lacks_more = _tokens(decision) == limits.token_budget or len(decision.running) == limits.max_num_seqs
    if decision.preempted or lacks_more:
        return []
    return [index for index in decision.waiting if not _lacks_slot(index, decision, scenario)]


def _behind_the_head(decision: Decision, scenario: Scenario) -> dict[str, int]:
    """Count the requests at the head of the queue that lack only blocks, and the requests behind them."""
    limits, requests = scenario.limits, scenario.requests
    left = limits.token_budget - _tokens(decision)
    queue = waiting_for_blocks(decision, scenario)
    if not queue:
        return {}
    kept_free = limits.watermark_blocks if decision.running else 0

    def most(index: int) -> int:
        return int(requests.input[index] + requests.output[index]) - 1

    def fits(tokens: int, kept_free: int) -> bool:
        return -(-tokens // limits.block_size) <= decision.free_blocks - kept_free

    head, *others = queue
    return {
        "heads of the line that lack blocks": 1,
        "of these, for the watermark alone": fits(most(head), 0),
        "of these, for the reservation alone": fits(min(most(head), left), kept_free),
        "requests behind them that would fit": sum(fits(most(index), kept_free) for index in others),
    }


def _ended_waiting(decisions: list[Decision]) -> int:
    """Count the preempted requests that never ran again, as their last token was already being computed."""
    latest = {index: step for step, decision in enumerate(decisions) for index, _ in decision.tokens}
    return sum(latest[index] < step for step, decision in enumerate(decisions) for index in decision.preempted)
