"""Drawn prefixes: which requests of a workload begin alike, as recorded or as drawn from its templates."""

import itertools

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.drawing.random_streams import GOLDEN, uniform
from adaptwin.workload.recorded_prefixes import links_of
from adaptwin.workload.workload import Workload


def draw_prefixes(
    workload: Workload, adapter: NDArray[np.int32], prompts: NDArray[np.int32], seeds: NDArray[np.uint64]
) -> Prefixes:
    """Return the prefixes of requests that were drawn.

    Args:
        workload: The workload, with its timestamps dealt to the adapters.
        adapter: The index of the adapter of each request, in order of arrival; shape (requests,).
        prompts: The prompt tokens of each request, of the same shape.
        seeds: A seed for each adapter, from which each request to it draws its template; shape (adapters,).
    """
    templates = [workload.templates_of(each) for each in workload.adapters]
    recorded = [index for index, each in enumerate(workload.adapters) if each.prefixes]
    if not recorded and not any(templates):
        return NO_PREFIXES
    of_adapter = np.concatenate(([0], np.cumsum([len(each) for each in templates]))).astype(np.int64)
    every = list(itertools.chain(*templates))
    found = _draw_templates(
        adapter,
        prompts,
        seeds.copy(),
        of_adapter,
        np.array([template.tokens for template in every], np.int32),
        np.array([template.share for template in every], np.float64),
    )
    prefixes = Prefixes(*found)
    for index in recorded:
        recorded_links = links_of(workload.adapters[index].prefixes or ())
        _write_recorded(prefixes, np.flatnonzero(adapter == index), recorded_links, prompts)
    return prefixes


def _write_recorded(
    prefixes: Prefixes, requests: NDArray[np.int64], recorded: Prefixes, prompts: NDArray[np.int32]
) -> None:
    """Write the recorded prefixes of an adapter, whose requests come in the order of its timestamps."""
    source, tokens = recorded.source[: len(requests)], recorded.tokens[: len(requests)]
    shares = source >= 0
    of = requests[: len(source)][shares]
    prefixes.source[of] = requests[source[shares]]
    prefixes.tokens[of] = np.minimum(tokens[shares], prompts[of])


@compiled
def _draw_templates(
    adapter: NDArray[np.int32],
    prompts: NDArray[np.int32],
    state: NDArray[np.uint64],
    of_adapter: NDArray[np.int64],
    template_tokens: NDArray[np.int32],
    template_share: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return `source` and `tokens` of `Prefixes`, where each request draws one of its adapter's templates, or none."""
    source, tokens = np.full(len(adapter), -1, np.int32), np.zeros(len(adapter), np.int32)
    first = np.full(len(template_tokens), -1, np.int32)  # request with this template
    for r in range(len(adapter)):
        a = adapter[r]
        if of_adapter[a] < of_adapter[a + 1]:
            state[a] += GOLDEN
            left = uniform(state[a])
            for t in range(of_adapter[a], of_adapter[a + 1]):
                left -= template_share[t]
                if left <= 0.0:
                    if prompts[r] > template_tokens[t]:
                        if first[t] < 0:
                            first[t] = r
                        else:
                            source[r], tokens[r] = first[t], template_tokens[t]
                    break
    return source, tokens
