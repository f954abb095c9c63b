"""Section on predictors: the paper's models and adaptwin's surrogate on the rows of the same real runs."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Server, Surrogate, Workload, load_surrogate
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import features_of
from adaptwin.workload.demand.traffic import sum_demands
from h100_runs import MODELS, measured_runs
from measured_page import bullet, paragraph, section
from paper_claims import PREDICTORS, ROWS, SMALL_TREE_MS, PaperScore
from paper_fast import served_probability
from paper_measures import agreement, determination, half_smape, macro_f1

TIMES = 5  # calls of each timing, of which the fastest counts
BATCH = 20_000  # rows of a timed batch of features


class ModelRows(NamedTuple):
    """The rows of one model: what was measured, and what is predicted from the rates as planned."""

    table: pl.DataFrame  # of `played_runs`, with columns of the surrogate (s_) and of the paper's small tree (tree_)
    milliseconds: dict[str, float]


def predicted_rows(rows: pl.DataFrame) -> dict[str, ModelRows]:
    """Predict every run of the paper's test rows, by model, and measure the time."""
    return {model: _of_rows(model, rows.filter(model=model).drop_nulls("paper_throughput")) for model in MODELS}


def _of_rows(model: str, rows: pl.DataFrame) -> ModelRows:
    surrogate = load_surrogate(MODELS[model])
    runs = {run.name: run for run in measured_runs(model, "all")}
    cases = []
    for row in rows.iter_rows(named=True):
        run = runs[row["run_id"]]
        planned = run.workload.scaled(row["total_rate_rps"] / run.workload.rate)
        cases.append((planned, run.server.model_copy(update={"kv_cache_tokens": None})))
    predictions = surrogate.predict_many(cases)
    table = rows.with_columns(
        s_throughput=pl.Series([p.throughput for p in predictions]),
        s_itl=pl.Series([p.itl_mean for p in predictions]),
        s_ttft_p50=pl.Series([p.ttft_p50 for p in predictions]),
        s_starved=pl.Series([p.starvation > 0.5 for p in predictions]),
        s_inside=pl.Series([p.inside for p in predictions]),
        median_ttft=pl.Series([runs[name].ttft_p50 for name in rows["run_id"]]),
        tree_starved=pl.Series(
            [served_probability(model, [a.rate for a in w.adapters], s.max_loras) <= 0.5 for w, s in cases]
        ),
    )
    return ModelRows(table, _times(surrogate, cases))


def _times(surrogate: Surrogate, cases: list[tuple[Workload, Server]]) -> dict[str, float]:
    """Return milliseconds per row: of a whole call for all rows, of one for a single row, and of the models alone."""
    workload, server = cases[len(cases) // 2]
    demand = sum_demands(demands_on(surrogate.profile, server, workload))
    limits, costs = server.limits(surrogate.profile), costs_of(surrogate.profile, server)
    features, answers = features_of(demand, limits, costs, workload.duration)
    batch = np.tile(features, (BATCH, 1)), np.tile(answers, (BATCH, 1))
    return {
        "all rows": 1e3 * _fastest(lambda: surrogate.predict_many(cases)) / len(cases),
        "single row": 1e3 * _fastest(lambda: surrogate.predict(workload, server)),
        "batch": 1e3 * _fastest(lambda: surrogate.predict_features(*batch)) / BATCH,
    }


def _fastest(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


NOTE = """Errors in half-SMAPE. The paper's models saw seven figures of a server: the sum and the spread of the rates,
three figures of the ranks, slots and adapters. Its scores are those that the authors print for the rows of their real
runs, whose mixes of rates and ranks are in their training data. adaptwin's surrogate gets the same planned rates and
ranks, and the lengths of the requests; it does not get the measured KV cache, nor how many requests were sent. It was
trained on the twin alone, whose profile was fitted to the calibration runs. These are the shipped models; the large
ones, from which they are distilled, are [compared elsewhere](measured/surrogate.md#accuracy-on-real-servers)."""

WORSE = """**Where the paper is better.** The error of throughput on all rows is lower with the paper's forests
({models}). On servers that get a multiple of what they can serve, the surrogate is far off: it was trained on clients
without a limit on their connections, while the paper's real and training runs have one. The planner asks the surrogate
only inside the region of its training data, and needs to know there whether a server is overloaded, not by how much."""

DIFFERENT = (
    """TTFT is not compared: the paper's is the mean in which an unfinished request counts as the whole hour;
the surrogate predicts the median of finished requests, whose half-SMAPE outside starvation stands in its row.""",
    (
        """Of the {all} rows of the paper, {missing} were cut off before their end and have no measured figures here, so
    adaptwin has {ours}."""
    ),
    (
        """*Published tree*: the paper prints the splits of its small tree for starvation, of which the last row is a
    transcription, on the rows here. It serves [below](#gpus-needed) to repeat the paper's fast placement."""
    ),
)


def predictor_section(predicted: dict[str, ModelRows]) -> str:
    """Return the section with a row per model of the paper, and rows of the surrogate."""
    body = []
    for model, (table, milliseconds) in predicted.items():
        body += [[SHORT[model], *_paper_cells(score, ROWS[model])] for score in PREDICTORS[model]]
        for name, part in _parts(table).items():
            body.append([SHORT[model], *_our_cells(name, part, milliseconds if name == "adaptwin" else None)])
        right, f1 = tree_scores(table)
        tree = ["published tree", str(len(table)), *["-"] * 5, f"{right:.3f}", f"{f1:.3f}"]
        body.append([SHORT[model], *tree])
    header = ["model", "predictor", "rows", "R² of throughput", "throughput", "mean ITL", "TTFT", "ms per row"]
    header += ["starvation, accuracy", "starvation, F1"]
    ours = sum(len(table) for table, _ in predicted.values())
    first, second, third = DIFFERENT
    counts = second.format(all=sum(ROWS.values()), missing=sum(ROWS.values()) - ours, ours=ours)
    words = "\n".join(map(bullet, (first, counts, third)))
    return section(
        "Predictors",
        header,
        body,
        f"{paragraph(NOTE)}\n\n{words}\n\n{paragraph(_worse(predicted))}\n\n{paragraph(_speed(predicted))}",
    )


def _worse(predicted: dict[str, ModelRows]) -> str:
    """Say where the paper's best model is better than the surrogate on all rows; the reason only where it is."""
    better = [
        SHORT[model]
        for model, (table, _) in predicted.items()
        if min(score.throughput for score in PREDICTORS[model]) < surrogate_scores(table)["throughput"]
    ]
    return WORSE.format(models=" and ".join(better)) if better else "The surrogate is better on all rows."


def _parts(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {
        "adaptwin": table,
        "adaptwin, validation runs": table.filter(split="validation"),
        "adaptwin, inside its region": table.filter(pl.col("s_inside")),
        "adaptwin, not starved": table.filter(~pl.col("starved")),
    }


def _paper_cells(score: PaperScore, rows: int) -> list[str]:
    ttft = "-" if score.ttft is None else f"{score.ttft:.1f} % (counted)"
    cells = [f"paper: {score.model}", str(rows), f"{score.r2:.3f}", f"{score.throughput:.1f} %", f"{score.itl:.1f} %"]
    return [*cells, ttft, f"{score.throughput_ms:.4g}", f"{score.accuracy:.3f}", f"{score.f1:.3f}"]


def _our_cells(name: str, part: pl.DataFrame, milliseconds: dict[str, float] | None) -> list[str]:
    scores = surrogate_scores(part)
    calm = part.filter(~pl.col("starved"))
    cells = [name, str(len(part)), f"{scores['r2']:.3f}", f"{scores['throughput']:.1f} %", f"{scores['itl']:.1f} %"]
    cells.append(f"{half_smape(calm['s_ttft_p50'], calm['median_ttft']):.1f} % (median)")
    return [*cells, f"{milliseconds['all rows']:.3f}" if milliseconds else "", f"{scores['accuracy']:.3f}",
            f"{scores['f1']:.3f}" if part["starved"].n_unique() > 1 else "-"]  # fmt: skip


def surrogate_scores(part: pl.DataFrame) -> dict[str, float]:
    """Return the scores of the surrogate on some rows, by the paper's measures."""
    return {
        "r2": determination(part["s_throughput"], part["real_throughput"]),
        "throughput": half_smape(part["s_throughput"], part["real_throughput"]),
        "itl": half_smape(part["s_itl"], part["real_itl"]),
        "accuracy": agreement(part["s_starved"], part["starved"]),
        "f1": macro_f1(part["s_starved"], part["starved"]),
    }


def tree_scores(table: pl.DataFrame) -> tuple[float, float]:
    """Return accuracy and F1 of the transcription of the paper's small tree."""
    flags = table["tree_starved"], table["starved"]
    return agreement(*flags), macro_f1(*flags)


def _speed(predicted: dict[str, ModelRows]) -> str:
    times = [milliseconds for _, milliseconds in predicted.values()]
    mean = {name: float(np.mean([each[name] for each in times])) for name in times[0]}
    return f"""**Time per row.** The paper's times are those of one call for all rows, divided by their number, with
    the features given. A call of adaptwin's `predict_many` for all rows, which first works the features out
    from every adapter of a server, takes {mean["all rows"]:.2f} ms per row on one core of this machine; a
    call for a single row takes {mean["single row"]:.2f} ms. With the features given, a row of a large batch takes
    {mean["batch"]:.4f} ms for all ten figures and the region of the training data. The paper's small
    trees take {SMALL_TREE_MS} ms for one figure, its forests what the table says."""
