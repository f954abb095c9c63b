"""A summary of a workload, for the terminal."""

from collections import Counter
from typing import Any

from adaptwin.report.style.terminal import Table
from adaptwin.workload.demand.mean_lengths import mean_lengths
from adaptwin.workload.demand.shared_share import alike_in_words, shared_share
from adaptwin.workload.lora_ranks import padded_rank, padding_in_words
from adaptwin.workload.workload import Workload


def workload_summary(workload: Workload, vllm_version: str | None = None) -> dict[str, Any]:
    """Return adapters, ranks, base models, rate, mean lengths, shared prompts, arrivals, window and seed of a workload.

    Of ranks that the version of vLLM pads, it also returns to what; None stands for the oldest version.
    """
    ranks = Counter(adapter.rank for adapter in workload.adapters)
    means = mean_lengths(workload)
    return {
        "adapters": len(workload),
        "ranks": {str(rank): ranks[rank] for rank in sorted(ranks)},
        "padded": {
            str(rank): slot for rank in sorted(ranks) if rank and (slot := padded_rank(rank, vllm_version)) != rank
        },
        "base_models": sorted({adapter.base for adapter in workload.adapters if adapter.base}),
        "rate": workload.rate,
        "mean_input": means.prompt,
        "mean_output": means.answer,
        "shared_prompt_tokens": shared_share(workload),
        "arrivals": workload.arrivals if _has_drawn_arrivals(workload) else "timestamps",
        "duration": workload.duration,
        "seed": workload.seed,
    }


def workload_table(workload: Workload, vllm_version: str | None = None) -> Table:
    """Return a table of the summary of a workload, with one line per figure; see `workload_summary`."""
    summary = workload_summary(workload, vllm_version)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("adapters", str(summary["adapters"]))
    table.add_row("ranks", ", ".join(f"{count} of rank {rank}" for rank, count in summary["ranks"].items()))
    if padding := padding_in_words((adapter.rank for adapter in workload.adapters), vllm_version):
        table.add_row("padded", f"{padding}, as vLLM{f' {vllm_version}' if vllm_version else ''} serves them")
    if summary["base_models"]:
        table.add_row("base models", ", ".join(summary["base_models"]))
    table.add_row("total rate", f"{summary['rate']:.4g} requests/s")
    table.add_row("mean lengths", f"{summary['mean_input']:.0f} tokens in, {summary['mean_output']:.0f} out")
    if workload.shares_prefixes:
        table.add_row("beginnings", _beginnings_text(workload, summary["shared_prompt_tokens"]))
    table.add_row("arrivals", _arrivals_text(workload))
    table.add_row("window", f"{summary['duration']:g} s")
    table.add_row("seed", str(summary["seed"]))
    return table


def _beginnings_text(workload: Workload, shared: float) -> str:
    """How much of the prompts earlier ones began with, given this share; if nothing, why."""
    if shared:
        return f"{alike_in_words(workload)}, with which earlier ones began"
    longest = max(
        (template.tokens for adapter in workload.adapters for template in workload.templates_of(adapter)), default=0
    )
    why = f": none is longer than its template ({longest:,} tokens), which is part of its length" if longest else ""
    return f"{alike_in_words(workload)}{why}"


def _arrivals_text(workload: Workload) -> str:
    """The arrivals of adapters without arrivals of their own; of timestamps, how many there are."""
    own_times = [adapter.arrivals for adapter in workload.adapters if isinstance(adapter.arrivals, tuple)]
    if len(own_times) == len(workload.adapters):
        return f"{sum(map(len, own_times)):,} timestamps, each with its adapter and its own lengths"
    if isinstance(workload.arrivals, str):
        return workload.arrivals
    own = ", each with its own lengths" if workload.lengths.belong_to(len(workload.arrivals)) else ""
    return f"{len(workload.arrivals):,} timestamps{own}"


def _has_drawn_arrivals(workload: Workload) -> bool:
    """Whether some adapter has arrivals that are drawn."""
    return any(isinstance(adapter.arrivals or workload.arrivals, str) for adapter in workload.adapters if adapter.rate)
