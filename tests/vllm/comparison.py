"""Whole runs of vLLM's scheduler and of the reference twin, compared step by step."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tests.vllm.decisions import Played, first_difference, play_twin
from tests.vllm.vllm_scheduler import VllmScheduler

from adaptwin.twin.scenario import Scenario


def compared_with_vllm(
    cases: Iterable[tuple[Scenario, float]], occasions: Callable[[Played, Scenario], Mapping[str, int]]
) -> tuple[Counter, Counter, list[str]]:
    """Return what was compared, the occasions that were met, and the first difference of each case that has one.

    Args:
        cases: Scenarios, each with vLLM's watermark.
        occasions: Counts what a run of vLLM met that could have gone otherwise.
    """
    compared, met, differences = Counter(), Counter(), []
    for number, (scenario, watermark) in enumerate(cases):
        vllm = VllmScheduler(scenario, watermark=watermark).play()
        if difference := first_difference(play_twin(scenario), vllm, scenario):
            differences.append(f"workload {number}: {difference}")
        compared.update({"workloads": 1, "steps": len(vllm.decisions), "requests": len(vllm.token_times)})
        met.update(occasions(vllm, scenario))
    return compared, met, differences
