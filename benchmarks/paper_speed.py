"""Section on the speed of the twin, and on what the training data cost: the paper's twin and adaptwin's."""

import statistics
import time
from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Adapter, Server, Workload, load_profile, load_surrogate, simulate
from h100_runs import DATA, MODELS
from measured_page import cores, paragraph, section
from paper_claims import TIMES_FASTER, TRAINING_HOURS, TRAINING_ROWS

HOUR_SECONDS = 3600.0
COUNTS = (8, 16, 32, 64, 96, 128, 160, 192, 256, 320, 384)  # adapters, and slots, of the paper's training grid
GRID_RATES = (3.2, 1.6, 0.8, 0.4, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125)  # requests/s, three of which are mixed
LARGEST = {"llama-3.1-8b-instruct": (128, 96), "qwen-2.5-7b-instruct": (384, 192)}  # slots, up to rank 16 and at 32
CONNECTIONS = 25_500  # requests of a training run that may be open at once
CELLS = 300  # training runs of each model that are simulated


class Cost(NamedTuple):
    """The cost of training runs, in seconds of one core."""

    cells: int  # of the grid
    drawn: int
    seconds: float  # of all drawn runs


def training_costs(cells: int = CELLS) -> dict[str, Cost]:
    """Simulate training runs drawn at random from the paper's grid; return their cost by model."""
    return {model: _cost(model, cells) for model in MODELS}


def _cost(model: str, drawn: int) -> Cost:
    profile, grid = load_profile(MODELS[model]), list(training_grid(model))
    chosen = np.random.default_rng(0).choice(len(grid), size=drawn, replace=False)
    simulate(profile, *_case(grid[0]), max_in_flight=CONNECTIONS)
    seconds = 0.0
    for place in chosen:
        server, workload = _case(grid[place])
        started = time.process_time()
        simulate(profile, server, workload, max_in_flight=CONNECTIONS)
        seconds += time.process_time() - started
    return Cost(len(grid), drawn, seconds)


class Cell(NamedTuple):
    """A run of the training grid."""

    adapters: int
    slots: int
    rates: tuple[float, ...]
    ranks: tuple[int, ...]


def training_grid(model: str) -> Iterator[Cell]:
    """Yield the runs of the paper's training grid: adapters, slots, and mixes of three rates and three ranks.

    Mixes with exactly two adapters of rank 32 in three are left out, as in the paper, and so are servers with eight
    slots for adapters of rank 32 only.
    """
    low, high = LARGEST[model]
    for ranks in combinations_with_replacement((8, 16, 32), 3):
        most = high if 32 in ranks else low
        if ranks.count(32) == 2:
            continue
        for adapters in COUNTS:
            for slots in COUNTS:
                if slots <= min(adapters, most) and not (ranks == (32, 32, 32) and slots == 8):
                    yield from (Cell(adapters, slots, rates, ranks) for rates in combinations(GRID_RATES, 3))


def _case(cell: Cell) -> tuple[Server, Workload]:
    server = Server(
        max_loras=cell.slots,
        max_lora_rank=max(cell.ranks),
        max_cpu_loras=cell.adapters,
        max_num_seqs=2048,
        max_num_batched_tokens=2048,
        max_model_len=8192,  # the authors' servers start with their tables of KV cache
    )
    adapters = [Adapter(f"a{i:03}", cell.ranks[i % 3], cell.rates[i % 3]) for i in range(cell.adapters)]
    return server, Workload(adapters)


def speed_section(rows: list[dict[str, Any]]) -> str:
    """Return the section about the same runs by both twins; `rows` are those of `speed.against_the_paper`."""
    memory = pl.read_parquet(DATA / "paper_twin_predictions.parquet")["dt_avg_mem_mb"].median()
    body = []
    for name, column in (("paper", "paper_s"), ("adaptwin", "ours_s")):
        seconds = sorted(row[column] for row in rows)
        mean, median = statistics.mean(seconds), statistics.median(seconds)
        cells = [f"{sum(seconds):,.1f}", f"{mean:,.3g}", f"{median:,.3g}", f"{seconds[-1]:,.3g}"]
        body.append([name, str(len(rows)), *cells, f"{HOUR_SECONDS / mean:,.0f}", f"{HOUR_SECONDS / median:,.0f}"])
    ratios = sorted(row["paper_s"] / row["ours_s"] for row in rows)
    note = f"""The paper says: "up to {TIMES_FASTER} times faster" than benchmarking a real server. Its authors publish
    the seconds that their twin took for each of these hours, on a machine of theirs. adaptwin's are the fastest of
    three calls on one core of this machine, with {cores()}. Run by run, the paper's twin takes
    {statistics.median(ratios):,.0f} times as long in the median, and {ratios[0]:,.0f} to {ratios[-1]:,.0f} times.
    Process start and compilation are in neither ([adaptwin's](measured/speed.md#start-of-the-command-line)). The
    paper's process takes {memory:,.0f} MB in the median, less than
    [adaptwin's](measured/speed.md#one-simulated-hour)."""
    header = ["twin", "runs", "seconds in all", "mean", "median", "longest", "times real time, mean", "median"]
    return section("Speed of the twin", header, body, paragraph(note))


def training_section(costs: dict[str, Cost]) -> str:
    """Return the section about the cost of the paper's training data, with either twin."""
    body = []
    for model, cost in costs.items():
        hours = cost_hours(cost)
        body.append([SHORT[model], f"{TRAINING_ROWS[model]:,}", f"{cost.cells:,}", f"{TRAINING_HOURS[model]:,.0f}",
                     str(cost.drawn), f"{1e3 * cost.seconds / cost.drawn:.1f}", f"{hours:.2f}"])  # fmt: skip
    surrogate = load_surrogate(MODELS["llama-3.1-8b-instruct"])
    note = f"""The paper trains on one run of its twin for each cell of a grid of rates, ranks, slots and adapters. What
    its runs cost is not published. The workshop version's logs have 299 core-hours for 31,440 runs of Llama and 468 for
    44,040 of Qwen, and the table has these in proportion to the number of rows. adaptwin's twin simulated cells of the
    same grid, drawn at random; its hours are those of the whole grid in proportion. Its own surrogates are not trained
    on this grid, but on: {surrogate.source.rstrip(".")} ([cost](measured/surrogate.md#cost-of-the-training-data))."""
    header = ["model", "rows of the paper", "cells here", "paper, core-hours", "cells simulated", "ms per cell"]
    return section("Cost of the training data", [*header, "adaptwin, core-hours"], body, paragraph(note))


def cost_hours(cost: Cost) -> float:
    """Return the core-hours of the whole grid, in proportion to those drawn."""
    return cost.seconds / cost.drawn * cost.cells / HOUR_SECONDS
