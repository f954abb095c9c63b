"""Tables that compare strategies, population by population: GPUs with several settings, latency and planning time."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from measured_page import counted, paragraph, section
from placement_judge import Result
from placement_settings import SETTINGS_OF_TABLES

GPUS_NOTE = """`make_plan` repairs a placement that does not hold. Each cell therefore has the number of GPUs of the
verified plan and, where repair changed it or the strategy's own placement overloads adapters, the number before
repair."""

ESTIMATE_NOTE = """The estimate of the fewest GPUs (see [How planning works](../explanation/planning.md)) is the one in
the plan of `pack`. It is no proof, and it may stand for parts of a GPU. There is none where the lower bound is met, or
where the surrogate does not know the servers."""

LEGEND = """| in a cell | meaning |
|---|---|
| `3` | the verified plan has 3 GPUs |
| `-` | there is no verified plan |
| **`3`**, in bold | the plan fails with at least one of three further seeds, unused in planning and verification |
| `← 3` | the strategy's own placement, before repair, has 3 GPUs |
| `!64` | 64 adapters are starved or backlogged when that placement is simulated with arrivals unused in planning |"""

EXAMPLE_NOTE = """For example, `3 ← 3!64`: the strategy places all adapters on 3 GPUs, where 64 of them are overloaded.
After repair, the plan has 3 GPUs, too, and is verified."""

TOTALS_NOTE = """GPUs of the verified plans, added up over all populations, and the sum of the lower bounds, which hold
for all settings that the planner may choose. The settings are common to all strategies: those that the planner chooses
(`max_num_seqs` for the whole fleet, and `max_num_seqs` and `max_num_batched_tokens` of each server for its latency);
vLLM's defaults for both; and `max_num_seqs` 2,048, with which arXiv 2602.24044 measured."""

TITLES = {
    "chosen": "GPUs with the settings that the planner chooses",
    "default": "GPUs with vLLM's default settings",
    "paper": "GPUs with the paper's setting",
}
INTRODUCTIONS = {
    "chosen": "The planner chooses `max_num_seqs` and `max_num_batched_tokens`.",
    "default": "`max_num_seqs` and `max_num_batched_tokens` have vLLM's defaults.",
    "paper": "`max_num_seqs` is 2,048, and the planner chooses `max_num_batched_tokens`.",
}


def totals(results: Sequence[Result], strategies: Sequence[str]) -> str:
    """Return the section with the GPUs of each strategy with each of the settings."""
    by_settings = {name: _of_settings(results, name) for name in SETTINGS_OF_TABLES}
    body = [[f"`{strategy}`", *(_total(of, strategy) for of in by_settings.values())] for strategy in strategies]
    bounds = [sum(next(iter(row.values())).bound for row in _by_population(of).values()) for of in by_settings.values()]
    body.append(["lower bounds", *map(str, bounds)])
    packs = [result for result in results if result.strategy == "pack"]
    chosen, default = (sum(r.gpus for r in packs if r.settings == name) for name in ("chosen", "default"))
    notes = [TOTALS_NOTE]
    if chosen and default:
        saved = f"{_percent(1.0 - chosen / default)} fewer"
        notes.append(
            f"`pack` needs {chosen} GPUs where the planner chooses, and {default} with vLLM's defaults: {saved}."
        )
    note = "\n\n".join(map(paragraph, [*notes, _worse(results)]))
    return section("GPUs in total", ["strategy", *SETTINGS_OF_TABLES.values()], body, note)


def _worse(results: Sequence[Result]) -> str:
    """Say which strategies need more GPUs with the chosen settings than with vLLM's defaults, and where."""
    gpus_of = {(r.settings, r.strategy, r.population): r.gpus for r in results}
    worse = Counter(
        strategy
        for (settings, strategy, population), found in gpus_of.items()
        if settings == "chosen" and found > gpus_of.get(("default", strategy, population), found)
    )
    named = ", ".join(f"`{name}` on {counted(count, 'population')}" for name, count in worse.items())
    text = (
        "The planner chooses for servers with their best number of slots. A strategy that sets slots otherwise may need"
    )
    return (
        f"{text} more GPUs than with vLLM's defaults: {named}." if named else f"{text} more GPUs, but none does here."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _total(results: Sequence[Result], strategy: str) -> str:
    of = [result for result in results if result.strategy == strategy]
    missing = sum(not result.gpus for result in of)
    total = str(sum(result.gpus for result in of))
    return f"{total} ({counted(missing, 'population')} without a plan)" if missing else total


def gpus(results: Sequence[Result], strategies: Sequence[str], settings: str) -> str:
    """Return the section with the GPUs of all strategies with the same settings, and a summary."""
    of_settings, body = _of_settings(results, settings), []
    for name, of in _by_population(of_settings).items():
        first = next(iter(of.values()))
        cells = [_gpu_cell(of[strategy]) if strategy in of else "" for strategy in strategies]
        estimate = _estimate(of["pack"]) if "pack" in of else ""
        body.append([name, f"{first.adapters:,}", f"{first.rate:.1f}", str(first.bound), estimate, *cells])
    header = ["population", "adapters", "requests/s", "lower bound", "estimate", *(f"`{name}`" for name in strategies)]
    notes = [paragraph(INTRODUCTIONS[settings]), _summary(of_settings, strategies)]
    if settings == "chosen":
        notes += [paragraph(ESTIMATE_NOTE), paragraph(GPUS_NOTE), LEGEND, paragraph(EXAMPLE_NOTE)]
    else:
        notes.append(f"Cells are as [above](#{TITLES['chosen'].lower().replace(' ', '-')}).")
    return section(TITLES[settings], header, body, "\n\n".join(notes))


def _summary(results: Sequence[Result], strategies: Sequence[str]) -> str:
    """Summarise a table of GPUs in sentences."""
    by_population = _by_population(results)
    packs = [of["pack"] for of in by_population.values() if "pack" in of]
    if not packs:
        return ""
    near = sum(p.gpus - p.bound <= max(1, 0.1 * p.bound) for p in packs)
    first = (
        f"On {len(packs)} populations, `pack` needs {sum(p.gpus for p in packs)} GPUs in total; the lower bounds add "
        f"up to {sum(p.bound for p in packs)}. {near} of its plans are within one GPU or 10 % of the bound, "
        f"{_near_estimate(packs)}; "
        f"{sum(not p.holds for p in packs)} fail with a further seed. Compared with the other strategies:"
    )
    lines = []
    for strategy in strategies:
        pairs = [(of["pack"], of[strategy]) for of in by_population.values() if {"pack", strategy} <= set(of)]
        both = [(p, o) for p, o in pairs if o.gpus]
        if strategy == "pack" or not both:
            continue
        fewer, more = sum(p.gpus < o.gpus for p, o in both), sum(p.gpus > o.gpus for p, o in both)
        saved = 1.0 - sum(p.gpus for p, _ in both) / sum(o.gpus for _, o in both)
        starving = sum(o.overloaded > 0 for _, o in pairs)
        lines.append(
            f"- `{strategy}`: `pack` needs fewer GPUs on {counted(fewer, 'population')}, more on {more}, and "
            f"{_percent(saved)} fewer in total; before repair, `{strategy}` overloads adapters on {starving}"
        )
    return "\n".join([paragraph(first), "", *lines])


def _estimate(result: Result) -> str:
    return "-" if result.estimate is None else f"{result.estimate:.2f}"


def _near_estimate(packs: Sequence[Result]) -> str:
    """Say how many plans are near the estimate of the fewest GPUs; GPUs are whole, and so is the estimate here."""
    pairs = [(p.gpus, math.ceil(p.estimate - 1e-9)) for p in packs if p.estimate is not None]
    near, equal = (
        sum(gpus <= max(best + 1, 1.05 * best) for gpus, best in pairs),
        sum(gpus <= best for gpus, best in pairs),
    )
    return (
        f"and of the {len(pairs)} with an estimate {near} are within one GPU or 5 % of it, {equal} of them equal to it"
    )


def _gpu_cell(result: Result) -> str:
    overloaded = f"!{result.overloaded}" if result.overloaded else ""
    alone = f" ← {result.alone}{overloaded}" if overloaded or result.alone != result.gpus else ""
    if not result.gpus:
        return f"-{alone}"
    return f"{result.gpus}{alone}" if result.holds else f"**{result.gpus}**{alone}"


def latencies(results: Sequence[Result], strategies: Sequence[str]) -> str:
    """Return the section with the latency of each verified plan, with the settings that the planner chooses."""

    def cell(result: Result) -> str:
        if not result.gpus:
            return "-"
        return f"{1e3 * result.itl_mean:.0f} / {1e3 * result.itl_p99:.0f} / {result.ttft_p99:.1f}"

    note = """Of the verified plans with the settings that the planner chooses: mean ITL in ms / p99 of ITL of the worst
    server in ms / p99 of TTFT of the worst server in s. A plan with fewer GPUs puts more load on each."""
    return _by_strategy("Latency by strategy", results, strategies, cell, note)


def seconds(results: Sequence[Result], strategies: Sequence[str]) -> str:
    """Return the section with the planning times, with the settings that the planner chooses."""
    note = """Time to make the verified plan with its forecasts, with the settings that the planner chooses. The search
    of every strategy stops after a minute, with the best placement so far, which is then verified."""
    return _by_strategy("Planning time in seconds", results, strategies, lambda result: f"{result.seconds:.1f}", note)


def _by_strategy(
    title: str, results: Sequence[Result], strategies: Sequence[str], cell: Callable[[Result], str], note: str
) -> str:
    rows = _by_population(_of_settings(results, "chosen")).items()
    body = [[name, *(cell(of[strategy]) if strategy in of else "" for strategy in strategies)] for name, of in rows]
    return section(title, ["population", *(f"`{name}`" for name in strategies)], body, paragraph(note))


def _of_settings(results: Sequence[Result], settings: str) -> list[Result]:
    return [result for result in results if result.settings == settings]


def _by_population(results: Sequence[Result]) -> dict[str, dict[str, Result]]:
    """Return the results by population, then by strategy."""
    found: dict[str, dict[str, Result]] = {}
    for result in results:
        found.setdefault(result.population, {})[result.strategy] = result
    return found
