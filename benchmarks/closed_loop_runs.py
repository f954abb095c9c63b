"""Runs of vLLM with a given number of concurrent requests, on groups of GPUs and in FP8, that other people published.

They lie beside the project, in ../shared/data/public/closed-loop-tp (aiconfigurator's collection of InferenceMAX runs).
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from adaptwin import Adapter, Lengths, Profile, Server, Workload, simulate
from adaptwin.profile.profile import Regime
from public_runs import PUBLIC

CLOSED_LOOP = PUBLIC / "closed-loop-tp" / "runs.parquet"
GPUS = {"h100_sxm": "h100-sxm", "h200_sxm": "h200"}  # data sheets, by the names of the file
MODELS = {"Qwen/Qwen3-32B": "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3-70B-Instruct"}
ASSUMED_VERSION = "0.19.0"  # of runs of April 2026, which do not say their version
BUDGET = 8192  # tokens of a step: vLLM's default on these GPUs
ROUNDS = 4  # times that every seat is filled
FEWEST = 8  # requests


class ClosedLoopRun(NamedTuple):
    """A run in which a new request is sent whenever one is answered, all with the same lengths."""

    gpu: str  # name of its data sheet
    model: str  # name on the Hugging Face hub, as in `public_shapes.SHAPES`
    vllm_version: str
    tensor_parallel_size: int
    quantization: str | None
    prompt: int
    answer: int
    concurrency: int
    tpot: float  # seconds

    @property
    def server(self) -> Server:
        """The server, with a seat for each concurrent request."""
        return Server(
            max_loras=0,
            max_num_seqs=self.concurrency,
            max_num_batched_tokens=max(BUDGET, self.concurrency),
            max_model_len=self.prompt + self.answer,
        )

    @property
    def workload(self) -> Workload:
        """Requests that all wait at the beginning: as many run at once as there are seats."""
        requests = max(FEWEST, ROUNDS * self.concurrency)
        return Workload(
            adapters=[Adapter(name="base", rank=0, rate=1.0)],
            lengths=Lengths.empirical([(self.prompt, self.answer)]),
            arrivals=tuple(1e-3 * i / requests for i in range(requests)),
            duration=1.0,
        )


def closed_loop_runs(path: Path = CLOSED_LOOP) -> list[ClosedLoopRun]:
    """Read the runs of Llama-3.1-70B in FP8 and of Qwen3-32B, which has no precision stated and is taken for 16 bits.

    Left out are the 24 runs in FP8 with vLLM 0.12, of Llama-3.1-8B and Qwen3-32B. Some of them are faster than reading
    the weights and computing the prompts would be at the peak figures of their GPUs, so they seem to be of servers that
    compute prompts elsewhere.
    """
    table = pl.read_parquet(path).filter(pl.col("model_path").is_in(list(MODELS)))
    in_fp8 = pl.col("precision").fill_null("") == "fp8"
    table = table.filter(pl.col("precision").is_null() | (in_fp8 & pl.col("backend_version").is_null()))
    return [
        ClosedLoopRun(
            gpu=GPUS[row["system"]],
            model=MODELS[row["model_path"]],
            vllm_version=row["backend_version"] or ASSUMED_VERSION,
            tensor_parallel_size=int(row["tp_size"]),
            quantization=row["precision"],
            prompt=row["isl"],
            answer=row["osl"],
            concurrency=int(row["concurrency"]),
            tpot=row["tpot_ms"] / 1e3,
        )
        for row in table.sort("system", "model_path", "tp_size", "isl", "osl", "concurrency").iter_rows(named=True)
    ]


def compared_closed_loop(runs: list[tuple[ClosedLoopRun, Profile]]) -> pl.DataFrame:
    """Simulate runs; return a row for each that its KV cache can hold, with TPOT as measured and simulated.

    A server whose cache cannot hold all requests at once preempts some, or lets them wait: their published times per
    token include that, and cannot be compared with a server that never had so many.
    """
    rows = []
    for run, profile in runs:
        if run.server.kv_tokens_on(profile) < run.concurrency * (run.prompt + run.answer):
            continue
        tpot = simulate(profile, run.server, run.workload, window="drain").tpot.mean
        regime: Regime = "calm"
        rows.append(
            {
                **run._asdict(),
                "regime": regime,
                "deep_overload": False,
                "real_tpot_mean": run.tpot,
                "twin_tpot_mean": tpot,
                "real_itl_mean": run.tpot,
                "twin_itl_mean": tpot,
                **{f"{whose}_{figure}": None for whose in ("real", "twin") for figure in ("ttft_p50", "throughput")},
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=_UNKNOWN)


_UNKNOWN = {f"{whose}_{figure}": pl.Float64 for whose in ("real", "twin") for figure in ("ttft_p50", "throughput")}
