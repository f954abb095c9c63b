"""Errors of derived profiles, pooled over machines of which each counts equally; the contents of held_out.yaml."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl

from adaptwin.profile.derive import MEASURED_GPU
from adaptwin.profile.hardware.held_out import DerivedErrors
from adaptwin.profile.measured import RunRange
from adaptwin.profile.profile import ProfileError, Regime, Spread, load_profile, shipped_profiles
from adaptwin.rounding import rounded
from adaptwin.shipped_files import shipped_files
from adaptwin.twin.uncertainty import NINE_IN_TEN
from adaptwin.vllm_versions import version_numbers
from base_model_errors import derived_of, signed_errors
from measured_page import paragraph, section
from public_runs import OPEN_LOOP_GPU, PublicRun

FILE = Path(shipped_files("adaptwin.profile.hardware", ".yaml", "evidence")["held_out"])
FIGURE_COLUMNS = {"throughput": "throughput", "itl": "itl_mean", "ttft": "ttft_p50"}  # by their names in `Spread`
NO_TTFT = "starved"  # the queue of a starved server grows without end, and its TTFT with it

COVERED = """Derived profiles get their 90 % intervals from these servers: in each regime, the spread is the root mean
square, over machines, of each machine's root mean square of log(real / twin). The runs of the H100 SXM and of the H200
are those on groups and in FP8. The table shows how many per cent of the runs lie inside their interval: with the spread
of all machines, as shipped; and, in the row below, with that of the other machines alone, where these have the regime.
With so few machines the width is itself uncertain."""

SPREADS = """The spreads, as logarithms. The public runs are short and all their requests were answered, so they count
as calm or busy, by whether requests wait in the twin. The host's constants of each machine are those of another one, as
for a server that nobody measured. The last column is what the spread of ITL would be if those of the H100 PCIe were
chosen on other models of the same machine."""


def machines(*parts: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of each machine, with the columns that count; the open loop's throughput is taken as unknown."""
    columns = ["gpu", "regime", "deep_overload"]
    columns += [f"{whose}_{figure}" for figure in FIGURE_COLUMNS.values() for whose in ("real", "twin")]
    unknown = pl.lit(None, dtype=pl.Float64)
    found = []
    for rows in parts:
        part = rows.select(*columns)
        if set(part["gpu"]) == {OPEN_LOOP_GPU}:
            part = part.with_columns(twin_throughput=unknown)
        found.append(part)
    return found


def held_out_of(
    each: Sequence[pl.DataFrame], lora: pl.DataFrame, runs: Sequence[PublicRun], closed: pl.DataFrame
) -> DerivedErrors:
    """Return the errors over machines, and the settings and traffic of their servers.

    Args:
        each: Rows of each machine.
        lora: The rows with adapters, which tell how often starvation is predicted.
        runs: The public runs on one GPU.
        closed: The rows of the runs with a given number of concurrent requests.
    """
    return DerivedErrors(
        gpus=tuple(str(rows["gpu"][0]) for rows in each),
        lora_gpus=(MEASURED_GPU,),
        versions=tuple(
            sorted({"0.8.5", *(run.vllm_version for run in runs), *closed["vllm_version"]}, key=version_numbers)
        ),
        error=_errors_of_machines(each, lora),
        spread=spread_over(each),
        checked=_checked(runs, closed),
    )


def _errors_of_machines(each: Sequence[pl.DataFrame], lora: pl.DataFrame) -> ProfileError:
    def mean(figure: str, *, median: bool = False) -> float:
        errors = [_known(rows, figure).abs() for rows in each]
        return round(float(np.mean([e.median() if median else e.mean() for e in errors if len(e)])), 2)

    right = 100 * (lora["twin_starved"] == lora["real_starved"]).mean()
    return ProfileError(
        runs=sum(map(len, each)),
        throughput=mean("throughput"),
        itl=mean("itl"),
        ttft=mean("ttft", median=True),
        starvation=round(float(right), 2),
    )


def _known(rows: pl.DataFrame, figure: str) -> pl.Series:
    """Return the errors of the runs whose figure counts: the TTFT only outside deep overload."""
    counted = rows.filter(~pl.col("deep_overload")) if figure == "ttft" else rows
    return signed_errors(counted, FIGURE_COLUMNS[figure])


def spread_over(each: Sequence[pl.DataFrame]) -> tuple[Spread, ...]:
    """Return the spread of each regime that any machine was in."""
    counts = {regime: sum(int((rows["regime"] == regime).sum()) for rows in each) for regime in get_args(Regime)}
    return tuple(Spread(regime=regime, runs=counts[regime], **of) for regime, of in _deviations(each).items())


def _deviations(each: Sequence[pl.DataFrame]) -> dict[Regime, dict[str, float | None]]:
    """Return the deviation of each figure by regime; None if no machine has the figure in it."""
    found = {}
    for regime in get_args(Regime):
        parts = [part for rows in each if len(part := rows.filter(pl.col("regime") == regime))]
        if parts:
            known = {figure: _over_machines(parts, figure) for figure in FIGURE_COLUMNS}
            found[regime] = {**known, "ttft": None} if regime == NO_TTFT else known
    return found


def _over_machines(parts: Iterable[pl.DataFrame], figure: str) -> float | None:
    """Return the root mean square over machines of each one's root mean square; None if none has the figure."""
    squares = [float((log_ratios(rows, figure) ** 2).mean()) for rows in parts if len(log_ratios(rows, figure))]
    return rounded(math.sqrt(np.mean(squares)), 3) if squares else None


def log_ratios(rows: pl.DataFrame, figure: str) -> pl.Series:
    """Return log(real / twin) of the runs whose figure counts."""
    return -(1 + _known(rows, figure) / 100).log()


def _checked(runs: Sequence[PublicRun], closed: pl.DataFrame) -> RunRange:
    """Return the ranges over the measured runs and the public ones whose prompts were not in the prefix cache.

    Of the open loop, the longest prompts and answers are not known, so they are not in the ranges.
    """
    fitted = [measured for name in shipped_profiles() if (measured := load_profile(name).measured)]
    computed = [run for run in runs if not run.cached_tokens]
    lengths = [np.array(run.workload.lengths.pairs, dtype=float) for run in computed]
    known = [pairs for pairs, run in zip(lengths, computed, strict=True) if run.gpu != OPEN_LOOP_GPU]
    means = [pairs.mean(axis=0).round(1) for pairs in lengths]
    budgets = [run.server.budgets(derived_of(run.gpu, run.model, run.vllm_version)) for run in computed]
    return RunRange(
        prompt=_union(*(each.prompt for each in fitted), *((mean[0],) for mean in means), closed["prompt"]),
        answer=_union(*(each.answer for each in fitted), *((mean[1],) for mean in means), closed["answer"]),
        longest_prompt=int(
            max(*(each.longest_prompt for each in fitted), *(pairs[:, 0].max() for pairs in known), *closed["prompt"])
        ),
        longest_answer=int(
            max(*(each.longest_answer for each in fitted), *(pairs[:, 1].max() for pairs in known), *closed["answer"])
        ),
        arrivals=tuple(dict.fromkeys(family for each in fitted for family in each.arrivals)),
        request_rate=max(each.request_rate for each in fitted),
        adapters=max(each.adapters for each in fitted),
        rank=max(each.rank for each in fitted),
        max_lora_rank=_whole_union(*(each.max_lora_rank for each in fitted)),
        max_loras=_whole_union((0,), *(each.max_loras for each in fitted)),
        max_num_seqs=_whole_union(*(each.max_num_seqs for each in fitted), *((seqs,) for _, seqs in budgets)),
        max_num_batched_tokens=_whole_union(
            *(each.max_num_batched_tokens for each in fitted), *((tokens,) for tokens, _ in budgets)
        ),
    )


def _union(*ranges: Iterable[float]) -> tuple[float, float]:
    values = [float(value) for each in ranges for value in each]
    return min(values), max(values)


def _whole_union(*ranges: Iterable[int]) -> tuple[int, int]:
    values = [value for each in ranges for value in each]
    return min(values), max(values)


def coverage_section(each: Sequence[pl.DataFrame], names: dict[str, str], same_host: Sequence[pl.DataFrame]) -> str:
    """Return the section on spreads and on how many runs lie inside the intervals that are made from them.

    Args:
        each: Rows of each machine.
        names: Names of the machines in words.
        same_host: The same rows, with the host's time of the H100 PCIe from its runs of other models.
    """
    shipped, body = _deviations(each), []
    for rows in each:
        name = names[str(rows["gpu"][0])]
        others = _deviations([other for other in each if other is not rows])
        body.append([name, "all", *(_inside(rows, figure, shipped) for figure in FIGURE_COLUMNS)])
        body.append([name, "the others", *(_inside(rows, figure, others) for figure in FIGURE_COLUMNS)])
    header = ["machine", "spread of", "throughput", "mean ITL", "median TTFT"]
    table = section("Coverage of the 90 % intervals", header, body, paragraph(COVERED))
    closer = _deviations(same_host)
    spreads = [
        [
            spread.regime,
            str(spread.runs),
            *(_or_dash(getattr(spread, figure)) for figure in FIGURE_COLUMNS),
            _or_dash(closer[spread.regime]["itl"]),
        ]
        for spread in spread_over(each)
    ]
    lines = [["regime", "runs", "throughput", "mean ITL", "median TTFT", "mean ITL, same host"], ["---"] * 6, *spreads]
    return f"{table}\n\n{paragraph(SPREADS)}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _or_dash(spread: float | None) -> str:
    return "-" if spread is None else f"{spread:.3f}"


def _inside(rows: pl.DataFrame, figure: str, deviations: dict[Regime, dict[str, float | None]]) -> str:
    """Return how many per cent of the runs lie inside their intervals."""
    inside: list[bool] = []
    for regime, of in deviations.items():
        sigma, part = of[figure], rows.filter(pl.col("regime") == regime)
        if sigma is not None and len(part):
            inside += (log_ratios(part, figure).abs() <= NINE_IN_TEN * sigma).to_list()
    return f"{100 * np.mean(inside):.0f} (of {len(inside)})" if inside else "-"
