"""play_mix: simulate a mix under its loads, one row of data per run."""

from typing import Any

import numpy as np

from adaptwin.dataset.closing_in import Bracket
from adaptwin.dataset.design import Design, Range
from adaptwin.dataset.mix import Mix
from adaptwin.twin.played import Played, play_scenario
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.verdict import MIN_REQUESTS, STARVED_BELOW, Judgement
from adaptwin.workload.demand.traffic import OCTAVES, sum_demands
from adaptwin.workload.drawing.seeds import stream_seed

OCTAVE_COLUMNS = [f"{what}_{number:02}" for number in range(OCTAVES) for what in ("adapters", "tokens")]

Row = dict[str, Any]


def play_mix(design: Design, mix: Mix) -> list[Row]:
    """Simulate a mix under its loads; the last loads close in on the boundary of what its server sustains."""
    if mix.values["utilisation"] is None:
        return [_played_row(design, mix, 0, 1.0, "given")]
    generator = np.random.default_rng(stream_seed(design.seed, "loads", str(mix.number)))
    drawn = design.loads - round(design.boundary * design.loads)
    rows: list[Row] = []
    bracket = Bracket()
    for run in range(design.loads):
        if run >= drawn:
            utilisation = bracket.at(generator.uniform(0.3, 0.7))
        else:
            utilisation = mix.values["utilisation"] if run == 0 else _drawn(design, generator)
        row = _played_row(design, mix, run, utilisation, "drawn" if run < drawn else "boundary")
        # Half of the mixes look for the load at which the server is starved, the others for the load at which it, or
        # the first adapter on it, is starved or backlogged.
        served = not row["starved"] if mix.number // len(design.profiles) % 2 else row["worst"] == "ok"
        bracket = bracket.with_run(row["utilisation"], served=served)
        rows.append(row)
    return rows


def _drawn(design: Design, generator: np.random.Generator) -> float:
    dimension = design.utilisation
    assert dimension is not None
    return dimension.at(generator.random()) if isinstance(dimension, Range) else float(generator.choice(dimension))


def _played_row(design: Design, mix: Mix, run: int, load: float, chosen: str) -> Row:
    """Simulate one run at `load` times the mix's rates, or at the highest load that the design allows."""
    expected = mix.workload.rate * mix.workload.duration
    allowed = design.most_requests / expected if expected > 0 else load
    factor = min(load, allowed)
    seed = mix.workload.seed + run
    workload = mix.workload.scaled(factor)
    scenario = make_scenario(mix.profile, mix.server, workload, seed=seed)
    played = play_scenario(mix.profile, workload, scenario)
    demand = sum_demands(mix.demands._replace(rate=mix.demands.rate * factor))
    values = mix.values
    return {
        "mix": mix.number,
        "run": run,
        "seed": seed,
        "profile": mix.profile.name,
        "chosen": chosen,
        "utilisation": factor,
        "capped": load > allowed,
        "popularity": values["popularity"],
        "ranks": ",".join(map(str, values["ranks"])),
        "lengths": values["lengths"],
        "arrivals": values["arrivals"],
        "duration": values["duration"],
        **_server_settings(mix, played),
        **demand.traffic._asdict(),
        **dict(zip(OCTAVE_COLUMNS, demand.by_octave.ravel().tolist(), strict=True)),
        **_figures(played),
    }


def _server_settings(mix: Mix, played: Played) -> Row:
    server, limits = mix.server, played.scenario.limits
    return {
        "max_loras": server.max_loras,
        "max_lora_rank": server.max_lora_rank,
        "max_num_seqs": limits.max_num_seqs,
        "max_num_batched_tokens": limits.token_budget,
        "max_model_len": limits.max_model_len,
        "async_scheduling": limits.async_scheduling,
        "kv_cache_tokens": played.kv_cache_tokens,
    }


def _figures(played: Played) -> Row:
    """Figures of a run: rates per second of the window, latencies in seconds."""
    sums, outcome, judgement = played.totals, played.outcome, played.judgement
    return {
        "arrived": sums.arrivals,
        "finished": sums.finished,
        "throughput": played.throughput,
        "offered_throughput": played.offered_throughput,
        "starved": sums.finished_tokens < STARVED_BELOW * sums.offered_tokens,
        "verdict": judgement.server,
        "worst": judgement.worst,
        "worst_share": _worst_share(judgement),
        "itl_mean": played.itl.mean,
        "itl_p99": played.itl.p99,
        "ttft_mean": played.ttft.mean,
        "ttft_p50": played.ttft.p50,
        "ttft_p99": played.ttft.p99,
        "e2e_mean": played.e2e.mean,
        "mean_running": played.mean_running,
        "mean_waiting": played.mean_waiting,
        "mean_adapters": played.mean_adapters,
        "kv_usage": played.kv_usage,
        "prefix_hit_rate": played.prefix_hit_rate,
        "preemptions": outcome.preemptions,
        "adapter_loads": outcome.gpu_loads,
        "steps": outcome.steps,
    }


def _worst_share(judgement: Judgement) -> float:
    """Share of its tokens that the worst-served adapter got, among adapters with enough requests; NaN without any."""
    sums = judgement.by_adapter
    tells = sums.counted >= MIN_REQUESTS
    if not tells.any():
        return float("nan")
    return float((1.0 - sums.unserved_tokens[tells] / sums.counted_tokens[tells]).min())
