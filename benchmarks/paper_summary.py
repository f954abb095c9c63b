"""The table on top of the page about the paper: each claim, what the paper has, and what adaptwin has."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from h100_runs import MODELS
from measured_page import paragraph, section
from paper_claims import GPUS_SAVED, PREDICTORS, TIMES_FASTER, TRAINING_HOURS, TWIN_ERROR
from paper_latency import Quick
from paper_measures import half_smape
from paper_placement import CAUTIOUS, OURS, Placement, on_both
from paper_predictors import ModelRows, surrogate_scores
from paper_slots import regret, slot_cases
from paper_speed import HOUR_SECONDS, Cost, cost_hours
from paper_twin import starvation_agreement

SUMMARY_WORDS = """Errors are half-SMAPE. Two figures are those of Llama-3.1-8B and of Qwen-2.5-7B. The figures of the
twins are those of the validation runs, which adaptwin's fit has not seen. *Third party*: a summary of the paper by
others says so; the abstract does not. *Mixed*: each is better in some figures, or on some fleets."""

BASELINES = ("MaxBase", "MaxBase*", "Random", "dLoRAProactive", "LoRAServe", "LoRAServe*")
Row = list[str]


def summary_section(
    runs: pl.DataFrame,
    seconds: Sequence[dict[str, Any]],
    costs: dict[str, Cost],
    predicted: dict[str, ModelRows],
    placed: Sequence[Placement],
    quick: Sequence[Quick],
) -> str:
    """Return the summary."""
    body = [*_twin_rows(runs), _speed_row(seconds), _cost_row(costs), *_predictor_rows(predicted)]
    body += [*_placement_rows(placed), _saved_row(placed), _slots_row(runs), *_latency_rows(quick)]
    header = ["claim", "the paper says", "paper, on these runs", "adaptwin, on these runs", "better"]
    return section("In short", header, body, paragraph(SUMMARY_WORDS))


def _better(paper: Sequence[float], ours: Sequence[float], *, lower: bool = True) -> str:
    """Return who is better, over all figures; `lower` says that a lower figure is better."""
    sign = 1 if lower else -1
    wins = [sign * a > sign * b for a, b in zip(paper, ours, strict=True)]
    losses = [sign * a < sign * b for a, b in zip(paper, ours, strict=True)]
    if any(wins) and any(losses):
        return "mixed"
    return "adaptwin" if any(wins) else "paper" if any(losses) else "equal"


def _pair(values: Sequence[float], form: str, unit: str = "") -> str:
    return f"{' and '.join(f'{value:{form}}' for value in values)}{unit}"


def _twin_rows(runs: pl.DataFrame) -> Iterator[Row]:
    shared = runs.filter(pl.col("paper_throughput").is_not_null() & (pl.col("split") == "validation"))
    parts = [shared.filter(model=model) for model in MODELS]
    claims = {"throughput": f'"below {TWIN_ERROR:g} %"', "itl": "not readable", "ttft_counted": "not readable"}
    names = {"throughput": "throughput", "itl": "mean ITL", "ttft_counted": "TTFT as the paper counts"}
    for figure, said in claims.items():
        paper, ours = (
            [half_smape(part[f"{who}_{figure}"], part[f"real_{figure}"]) for part in parts] for who in ("paper", "twin")
        )
        name = f"[Twin](#error-of-the-twin): {names[figure]}"
        yield [name, said, _pair(paper, ".1f", " %"), _pair(ours, ".1f", " %"), _better(paper, ours)]
    paper, ours = ([100 * starvation_agreement(part, who) for part in parts] for who in ("paper", "twin"))
    better = _better(paper, ours, lower=False)
    yield ["Twin: starvation right", "not readable", _pair(paper, ".1f", " %"), _pair(ours, ".1f", " %"), better]


def _speed_row(seconds: Sequence[dict[str, Any]]) -> Row:
    paper, ours = (statistics.mean(row[name] for row in seconds) for name in ("paper_s", "ours_s"))
    cells = [f"{HOUR_SECONDS / each:,.0f} times real time in the mean" for each in (paper, ours)]
    return ["[Twin](#speed-of-the-twin): speed", f'"up to {TIMES_FASTER} times" real time', *cells,
            _better([paper], [ours])]  # fmt: skip


def _cost_row(costs: dict[str, Cost]) -> Row:
    paper, ours = list(TRAINING_HOURS.values()), [cost_hours(costs[model]) for model in TRAINING_HOURS]
    cells = [_pair(paper, ",.0f", " core-hours (in proportion)"), _pair(ours, ".1f", " core-hours")]
    return ["[Training data](#cost-of-the-training-data)", "not readable", *cells, _better(paper, ours)]


def _predictor_rows(predicted: dict[str, ModelRows]) -> Iterator[Row]:
    ours = [surrogate_scores(predicted[model].table) for model in PREDICTORS]
    best = {
        "throughput": [min(score.throughput for score in scores) for scores in PREDICTORS.values()],
        "itl": [min(score.itl for score in scores) for scores in PREDICTORS.values()],
        "f1": [max(score.f1 for score in scores) for scores in PREDICTORS.values()],
    }
    for figure, name, form, unit, said in (
        ("throughput", "[Predictors](#predictors), best: throughput", ".1f", " %", "below 8 % (third party)"),
        ("itl", "Predictors, best: mean ITL", ".1f", " %", "not readable"),
        ("f1", "Predictors, best: starvation F1", ".3f", "", "above 0.9 (third party)"),
    ):
        mine = [scores[figure] for scores in ours]
        better = _better(best[figure], mine, lower=figure != "f1")
        yield [name, said, _pair(best[figure], form, unit), _pair(mine, form, unit), better]
    times = [predicted[model].milliseconds["batch"] for model in PREDICTORS]
    forest = [scores[0].throughput_ms or 0.0 for scores in PREDICTORS.values()]
    yield ["Predictors: ms per row in a batch", "below 0.3 (third party)", _pair(forest, ".2f", " (forests)"),
           _pair(times, ".4f"), _better(forest, times)]  # fmt: skip


def _placement_rows(placed: Sequence[Placement]) -> Iterator[Row]:
    tests: dict[str, tuple[str, Callable[[Placement], bool]]] = {
        "fleets not starved as the paper judges": (OURS, lambda p: p.passes),
        "fleets with all adapters served": (CAUTIOUS, lambda p: p.good),
    }
    for what, (mine, test) in tests.items():
        paper, ours = ([p for p in placed if p.method == method] for method in ("ProposedFast", mine))
        counts = [sum(map(test, each)) for each in (paper, ours)]
        both = on_both(placed, "ProposedFast", mine, test)
        gpus = [f"; {sum(pair[i] for pair in both)} GPUs on the {len(both)} of both" for i in (0, 1)]
        cells = [f"{count} of {len(paper)}{text}" for count, text in zip(counts, gpus, strict=True)]
        note = "" if mine == OURS else " (20 % headroom)"
        gpus_of_both = [sum(pair[i] for pair in both) for i in (0, 1)]
        better = _better([-counts[0], gpus_of_both[0]], [-counts[1], gpus_of_both[1]])
        yield [f"[Placement](#gpus-needed): {what}", "avoids starvation", cells[0], cells[1] + note, better]


def saved(placed: Sequence[Placement], method: str) -> tuple[float, int]:
    """Return the mean share of GPUs that a method saves against a baseline, and of how many pairs with a fleet.

    Pairs count where neither the method nor the baseline starves, as the paper judges it.
    """
    pairs = [pair for base in BASELINES for pair in on_both(placed, base, method, lambda p: p.passes)]
    return statistics.mean(1.0 - ours / base for base, ours in pairs), len(pairs)


def _saved_row(placed: Sequence[Placement]) -> Row:
    shares = [saved(placed, method) for method in ("ProposedFast", OURS)]
    cells = [f"{100 * share:.0f} % (mean of {pairs} pairs)" for share, pairs in shares]
    better = _better([shares[0][0]], [shares[1][0]], lower=False)
    return ["Placement: fewer GPUs than baselines, none starved", f"{GPUS_SAVED} % on average", *cells, better]


def _slots_row(runs: pl.DataFrame) -> Row:
    shared = runs.filter(pl.col("paper_throughput").is_not_null())
    paper, ours = (
        [
            100 * statistics.mean(regret(case, who) for case in slot_cases(shared.filter(model=model)))
            for model in MODELS
        ]
        for who in ("paper", "twin")
    )
    cells = [_pair(each, ".2f", " % of throughput lost") for each in (paper, ours)]
    return ["[Choice of slots](#choice-of-the-number-of-slots)", "not readable", *cells, _better(paper, ours)]


def _latency_rows(quick: Sequence[Quick]) -> Iterator[Row]:
    paper = {q.model + q.fleet: q for q in quick if q.method == "ProposedLat" and q.gpus}
    for method, figure, name in (
        ("adaptwin, ITL", "itl_mean", "mean ITL"),
        ("adaptwin, TTFT", "ttft_p99", "p99 of TTFT"),
        ("adaptwin, TTFT, 20 % headroom", "ttft_p99", "p99 of TTFT"),
    ):
        ours = {q.model + q.fleet: q for q in quick if q.method == method and q.gpus}
        ratios = [getattr(ours[key], figure) / getattr(paper[key], figure) for key in paper if key in ours]
        text = f"{statistics.median(ratios):.2f} times in the median, {min(ratios):.2f} to {max(ratios):.2f}"
        better = _better([1.0] * len(ratios), ratios)
        yield [
            f"[Lowest latency](#lowest-latency), {method.removeprefix('adaptwin, ')}: {name}",
            "not readable",
            "1",
            text,
            better,
        ]
