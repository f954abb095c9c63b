"""Server settings with which strategies are compared, and what each decision about them gains `pack`.

The tables of strategies fix the settings of `SETTINGS_OF_TABLES`. The ablation takes the decisions of the planner one
at a time, and adds settings that it does not choose.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from measured_page import bullet, counted, paragraph, section
from placement_judge import Result, Settings

SETTINGS_OF_TABLES = {
    "chosen": "chosen by the planner",
    "default": "vLLM's defaults",
    "paper": "`max_num_seqs` 2,048",
}
DECISIONS = {
    "default": "nothing chosen",
    "seqs": "`max_num_seqs` only",
    "tokens": "`max_num_batched_tokens` only",
    "chosen": "both",
}
NOT_CHOSEN = {
    "length": "both, `max_model_len` 8,192",
    "memory": "both, `gpu_memory_utilization` 0.95",
    "async": "both, `async_scheduling`",
}
ABLATION = {**DECISIONS, **NOT_CHOSEN}
RELEVANT = 0.1  # share of a latency from which a change counts


def settings_named(name: str, profile: Profile) -> Settings:
    """Return the settings that the planner is given under this name."""
    usual = Server().with_defaults(profile)
    seqs, tokens = {"max_num_seqs": usual.max_num_seqs}, {"max_num_batched_tokens": usual.max_num_batched_tokens}
    given = {
        "chosen": {},
        "default": {**seqs, **tokens},
        "paper": {"max_num_seqs": 2048},
        "seqs": tokens,
        "tokens": seqs,
        "length": {"max_model_len": 8192},
        "memory": {"gpu_memory_utilization": 0.95},
        "async": {"async_scheduling": True},
    }
    return Settings(name, Server(**given[name]))


NOTE = """Plans by `pack` with some settings chosen and the others at vLLM's defaults: GPUs, p99 of ITL of the worst
server in ms / p99 of TTFT of the worst server in s. On the right, a setting is fixed that the planner does not choose,
beside those that it does. The profile's version of vLLM has no `async_scheduling`; it is simulated as in later ones."""


def ablation(results: Sequence[Result]) -> str:
    """Return the section about what each decision gains; `results` are of one strategy."""
    by_population: dict[str, dict[str, Result]] = {}
    for result in results:
        by_population.setdefault(result.population, {})[result.settings] = result
    whole = {name: of for name, of in by_population.items() if of.keys() >= ABLATION.keys()}
    body = [[name, *(_cell(of[column]) for column in ABLATION)] for name, of in whole.items()]
    columns = {column: [of[column] for of in whole.values()] for column in ABLATION}
    body.append(["**all**", *map(_total_cell, columns.values())])
    points = [
        *(_gain(DECISIONS[name], columns["default"], columns[name], "nothing chosen") for name in ("seqs", "tokens")),
        _gain(DECISIONS["chosen"], columns["default"], columns["chosen"], "nothing chosen"),
        *(_gain(said.removeprefix("both, "), columns["chosen"], columns[n], "both") for n, said in NOT_CHOSEN.items()),
    ]
    notes = [paragraph(NOTE), "\n".join(map(bullet, points)), *map(paragraph, _advice(columns))]
    return section("GPUs saved by each decision", ["population", *ABLATION.values()], body, "\n\n".join(notes))


def _cell(result: Result) -> str:
    if not result.gpus:
        return "-"
    gpus = str(result.gpus) if result.holds else f"**{result.gpus}**"
    return f"{gpus}, {1e3 * result.itl_p99:.0f} / {result.ttft_p99:.1f}"


def _total_cell(results: list[Result]) -> str:
    planned = [result.gpus for result in results if result.gpus]
    return f"**{sum(planned)}**{'' if len(planned) == len(results) else f' on {len(planned)}'}"


def _both_planned(before: list[Result], after: list[Result]) -> list[tuple[Result, Result]]:
    """Return the results on the populations that have a plan both before and after."""
    return [(b, a) for b, a in zip(before, after, strict=True) if a.gpus and b.gpus]


def _gain(said: str, before: list[Result], after: list[Result], than: str) -> str:
    """Say what a decision changes, in GPUs and, where these are as many, in latency."""
    pairs = _both_planned(before, after)
    fewer, more = sum(a.gpus < b.gpus for b, a in pairs), sum(a.gpus > b.gpus for b, a in pairs)
    where = f"fewer on {counted(fewer, 'population')}, more on {more}"
    gpus = f"{sum(a.gpus for _, a in pairs)} GPUs against {sum(b.gpus for b, _ in pairs)} with {than}"
    without = len(before) - len(pairs)
    unserved = f", no plan on {counted(without, 'population')}" if without else ""
    text = f"{said}: {gpus}, {where}{unserved}"
    same = [(b, a) for b, a in pairs if a.gpus == b.gpus]
    if not same:
        return text
    itl = median(a.itl_p99 / b.itl_p99 - 1.0 for b, a in same)
    ttft = median(a.ttft_p99 - b.ttft_p99 for b, a in same)
    return (
        f"{text}; on as many GPUs, p99 of ITL changes by {100 * itl:+.0f} % and p99 of TTFT by {ttft:+.1f} s (median)"
    )


def _advice(columns: dict[str, list[Result]]) -> list[str]:
    """Say which decision matters when, as measured."""
    saving, others = _on(columns, lambda column: column["seqs"].gpus < column["default"].gpus)
    texts = []
    if saving:
        text = f"""**`max_num_seqs` saves GPUs** on {counted(len(saving), "population")} of {len(columns["chosen"])}.
        Their plans with nothing chosen have {_rates(saving)} for each GPU, and with `max_num_seqs` chosen, the server
        with the most requests runs {_running(saving)} at once, on average over the hour"""
        texts.append(f"{text}; on the others, it is {_rates(others)} and {_running(others)}." if others else f"{text}.")
    else:
        texts.append("**`max_num_seqs`** saves no GPU on these populations.")
    quicker, _ = _on(columns, _is_quicker)
    if quicker:
        later = median(column["chosen"].ttft_p99 - column["seqs"].ttft_p99 for column in quicker)
        less = median(1.0 - column["chosen"].itl_p99 / column["seqs"].itl_p99 for column in quicker)
        texts.append(
            f"""**`max_num_batched_tokens` matters for latency.** With `max_num_seqs` chosen as well, it lowers p99 of
            ITL by {100 * RELEVANT:.0f} % or more on {len(quicker)} of {len(columns["chosen"])} populations, by
            {100 * less:.0f} % in the median, and changes p99 of TTFT there by {later:+.1f} s."""
        )
    else:
        texts.append("**`max_num_batched_tokens`** lowers p99 of ITL noticeably on none of these populations.")
    saved = {said: _saved(columns["chosen"], columns[name]) for name, said in NOT_CHOSEN.items()}
    best = [f"{said.removeprefix('both, ')} ({gpus})" for said, gpus in saved.items() if gpus > 0]
    rest = f"save further GPUs: {', '.join(best)}" if best else "save no GPU"
    texts.append(
        f"**The settings that the planner does not choose** {rest}. Set them yourself under `server:` if needed."
    )
    return texts


def _on(
    columns: dict[str, list[Result]], holds: Callable[[dict[str, Result]], bool]
) -> tuple[list[dict[str, Result]], list[dict[str, Result]]]:
    """Return the populations, as results by column, on which a condition holds, and the others."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [row for row in rows if holds(row)], [row for row in rows if not holds(row)]


def _is_quicker(row: dict[str, Result]) -> bool:
    both, seqs = row["chosen"], row["seqs"]
    return both.gpus == seqs.gpus and both.itl_p99 <= (1.0 - RELEVANT) * seqs.itl_p99


def _rates(rows: list[dict[str, Result]]) -> str:
    return f"{_range(row['default'].rate / max(1, row['default'].gpus) for row in rows)} requests/s"


def _running(rows: list[dict[str, Result]]) -> str:
    return _range(row["seqs"].running for row in rows)


def _range(values: Iterable[float]) -> str:
    rounded = sorted(round(value) for value in values)
    return f"{rounded[0]}" if rounded[0] == rounded[-1] else f"{rounded[0]} to {rounded[-1]}"


def _saved(before: list[Result], after: list[Result]) -> int:
    return sum(b.gpus - a.gpus for b, a in _both_planned(before, after))
