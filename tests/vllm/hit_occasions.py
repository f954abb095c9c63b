"""Occasions of prefix caching in a run of vLLM's scheduler, counted: without them, agreement would prove little."""

from collections import Counter
from itertools import pairwise

from tests.vllm.decisions import Decision, Played
from tests.vllm.occasions import waiting_for_blocks

from adaptwin.twin.reference.kv_cache import Key
from adaptwin.twin.scenario import Scenario


def hit_occasions(vllm: Played, scenario: Scenario) -> Counter[str]:
    """Count the situations in a run in which caching can go wrong, with a line of the summary for each."""
    met = Counter(dict.fromkeys(_OCCASIONS, 0))
    started: set[int] = set()
    for decision in vllm.decisions:
        for index, tokens in decision.hits:
            met.update(_of_a_hit(index, tokens, decision, scenario))
            met["of these, returning after a preemption"] += index in started
        started.update(decision.running)
        met["preemptions"] += len(decision.preempted)
        met["steps with the same contents in two blocks"] += len(decision.cached) > len(set(decision.cached))
        met["steps with uncached blocks at the front of the queue, cached ones behind"] += _is_mixed(decision)
        head = next(iter(waiting_for_blocks(decision, scenario)), None)
        refused = head is not None and _first_key(head, scenario) in decision.cached
        met["heads of the line that lack blocks although they hit some"] += refused
    for before, decision in pairwise(vllm.decisions):
        met["cached blocks taken"] += (Counter(before.cached) - Counter(decision.cached)).total()
        met["requests that hit blocks of a running request"] += sum(
            _is_held(_first_key(index, scenario), before) for index, _ in decision.hits
        )
    return met


_OCCASIONS = (
    "tokens hit",
    "requests with hits",
    "of these, of the base model",
    "of these, of all that can be hit of a prompt",
    "of these, of an answer",
    "of these, with a chunk of the rest",
    "of these, returning after a preemption",
    "requests that hit blocks of a running request",
    "preemptions",
    "cached blocks taken",
    "steps with the same contents in two blocks",
    "steps with uncached blocks at the front of the queue, cached ones behind",
    "heads of the line that lack blocks although they hit some",
)


def _of_a_hit(index: int, tokens: int, decision: Decision, scenario: Scenario) -> dict[str, int]:
    requests, block_size = scenario.requests, scenario.limits.block_size
    prompt, source = int(requests.input[index]), int(requests.prefixes.source[index])
    return {
        "tokens hit": tokens,
        "requests with hits": 1,
        "of these, of the base model": not scenario.adapters.needs_slot[requests.adapter[index]],
        "of these, of all that can be hit of a prompt": tokens == (prompt - 1) // block_size * block_size,
        "of these, of an answer": source >= 0 and int(requests.input[source]) < tokens < prompt,
        "of these, with a chunk of the rest": tokens + dict(decision.tokens)[index] < prompt,
    }


def _first_key(index: int, scenario: Scenario) -> Key | None:
    """Return the contents of the first block of a prompt, unless they cannot be hit as the prompt ends with them."""
    (source, tokens), block_size = scenario.requests.prefixes, scenario.limits.block_size
    if scenario.requests.input[index] <= block_size:
        return None
    while tokens[index] >= block_size:
        index = int(source[index])
    return index, 0


def _is_held(key: Key | None, decision: Decision) -> bool:
    return key in decision.cached and key not in decision.queue


def _is_mixed(decision: Decision) -> bool:
    return bool(decision.queue) and decision.queue[0] is None and decision.queue[-1] is not None
