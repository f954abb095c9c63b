"""Section on the number of slots: what it changes on real servers, and whether the twins see it."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from h100_runs import MODELS, measured_runs
from measured_page import paragraph, section
from paper_claims import OPERATING_POINTS

SHOWN = 384  # adapters, of the fleet that the paper shows
SATURATING = 8_192  # requests that arrive at once
NOTHING_WAITS = 0.01  # tolerance, as a share, within which throughputs count as the highest


def slot_sections(rows: pl.DataFrame) -> list[str]:
    """Return the sections on throughput and ITL by slots, on the choice of slots, and on operating points."""
    shared = rows.filter(pl.col("paper_throughput").is_not_null())
    return [_by_number(shared), _choices(shared), _operating_points()]


def _by_number(shared: pl.DataFrame) -> str:
    body = []
    for model in MODELS:
        for rates in ("1.6,0.8,0.4", "0.1,0.05,0.025"):
            part = shared.filter(model=model, rates=rates, ranks="8,16", adapters=SHOWN).sort("max_loras")
            for row in part.iter_rows(named=True):
                cells = [f"{row[f'{who}_throughput']:,.0f}" for who in ("real", "paper", "twin")]
                cells += [f"{1e3 * row[f'{who}_itl']:.0f}" for who in ("real", "paper", "twin")]
                starved = "yes" if row["starved"] else "no"
                body.append(
                    [SHORT[model], rates.replace(",", " / "), str(row["max_loras"]), row["split"], *cells, starved]
                )
    header = ["model", "rates", "slots", "split"]
    header += [f"{what}: {who}" for what in ("tokens/s", "ITL, ms") for who in ("real", "paper", "adaptwin")]
    note = f"""The paper says: at a fixed load, the number of slots changes throughput up to threefold, and the number
    with the highest throughput doubles ITL. {_extent(shared)} The table has the real servers with {SHOWN} adapters of
    ranks 8 and 16, and both twins on the same runs."""
    return section("The number of slots matters", [*header, "starved"], body, paragraph(note))


def _extent(shared: pl.DataFrame) -> str:
    """Say how much the number of slots changes throughput, really and by the twins."""
    cases = list(slot_cases(shared))
    spread = {
        who: max(case[f"{who}_throughput"].max() / case[f"{who}_throughput"].min() for case in cases)
        for who in ("real", "twin", "paper")
    }
    doubled = [_itl_ratio(case, "real") for case in cases if not case["starved"].all()]
    ours = [_itl_ratio(case, "twin") for case in cases if not case["starved"].all()]
    return f"""Over all {len(cases)} cases - mixes of rates and ranks with one number of adapters, measured with several
    numbers of slots - the largest factor is {spread["real"]:.1f} on real servers, {spread["twin"]:.1f} by adaptwin's
    twin and {spread["paper"]:.1f} by the paper's. From the fewest slots with which a real server is not starved to
    those with its highest throughput, ITL rises {max(doubled):.1f} times at most on real servers and
    {max(ours):.1f} times by adaptwin's twin, {np.median(doubled):.2f} and {np.median(ours):.2f} times in the median."""


def slot_cases(shared: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the runs of each mix with one number of adapters, if they have several numbers of slots, by slots."""
    for _, case in shared.group_by("model", "ranks", "rates", "adapters", maintain_order=True):
        if case["max_loras"].n_unique() > 1:
            yield case.sort("max_loras")


def _itl_ratio(case: pl.DataFrame, who: str) -> float:
    """Return ITL with the slots of the highest real throughput over that with the fewest that do not starve."""
    served = case.filter(~pl.col("starved"))
    best = served["real_throughput"].arg_max()
    return float(served[f"{who}_itl"][best] / served[f"{who}_itl"][0])


def _choices(shared: pl.DataFrame) -> str:
    body = []
    for model in MODELS:
        cases = list(slot_cases(shared.filter(model=model)))
        for who, name in (("paper", "paper"), ("twin", "adaptwin")):
            regrets = np.array([regret(case, who) for case in cases])
            cells = [f"{(regrets == 0).sum()}", f"{(regrets <= NOTHING_WAITS).sum()}"]
            body.append([SHORT[model], name, str(len(cases)), *cells, f"{100 * regrets.mean():.2f} %",
                         f"{100 * regrets.max():.1f} %"])  # fmt: skip
    header = ["model", "twin", "cases", "best one chosen", "within 1 %", "mean regret", "largest regret"]
    note = """Each twin chooses the number of slots with its highest throughput; the regret is the share of the real
    throughput that this choice loses against the best measured one. Where several numbers serve all traffic, noise
    decides which is best, so the second count allows 1 %."""
    return section("Choice of the number of slots", header, body, paragraph(note))


def regret(case: pl.DataFrame, who: str) -> float:
    """Return the share of the best real throughput that a twin's choice of slots loses."""
    chosen = case["real_throughput"][case[f"{who}_throughput"].arg_max()]
    return float(1.0 - chosen / case["real_throughput"].max())


def _operating_points() -> str:
    body, errors = [], {True: [], False: []}  # by whether the base model is alone
    for model, points in OPERATING_POINTS.items():
        lengths = measured_runs(model, "calibration")[0].workload.lengths
        for rank, real in points.items():
            ours = saturated(model, rank, lengths)
            error = 100 * (ours / real - 1)
            errors[rank == 0].append(error)
            name = str(rank) if rank else "base model"
            body.append([SHORT[model], name, f"{real:,.0f}", f"{ours:,.0f}", f"{error:+.1f} %"])
    alone, adapted = (f"{min(errors[base]):+.0f} to {max(errors[base]):+.0f} %" for base in (True, False))
    note = f"""Tokens/s, prompts and answers, of {SATURATING:,} ShareGPT requests that arrive at once, for the base
    model or for a single adapter of a rank: measured by the authors on real servers, who use these figures as constants
    of their baselines, and simulated. They are not among the runs of the fit. The settings of these servers are not
    known; `max_num_seqs` 2,048 and one slot are simulated. With these, the twin is {adapted} off with an adapter, and
    {alone} with the base model alone; why is not known."""
    return section("Operating points", ["model", "rank", "real", "twin", "error"], body, paragraph(note))


def saturated(model: str, rank: int, lengths: Lengths) -> float:
    """Return the tokens/s of a server that works off requests which all arrive in the first second."""
    server = Server(max_loras=min(1, rank), max_lora_rank=max(8, rank), max_num_seqs=2048, max_num_batched_tokens=2048)
    requests = Workload([Adapter("a", rank, float(SATURATING))], lengths=lengths, duration=1.0)
    run = simulate(load_profile(MODELS[model]), server, requests, window="drain")
    return run.throughput
