"""Runs of vLLM with dense models that other people published, read into adaptwin's own types.

They lie beside the project, in ../shared/data/public. Those with a given concurrency are in `closed_loop_runs.py`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from adaptwin import Adapter, Lengths, Server, Workload
from adaptwin.calibration.file_fit.replay import sharegpt_with_means
from h100_runs import PROJECT
from public_shapes import SHAPES

PUBLIC = PROJECT.parent / "shared" / "data" / "public"
OPEN_LOOP = PUBLIC / "open-loop-h100-pcie" / "runs.parquet"
REPLAYS = PUBLIC / "llmservingsim" / "bench" / "examples" / "RTXPRO6000"
REPLAY, REPLAY_OF_GROUP = REPLAYS / "Llama-3.1-8B" / "vllm", REPLAYS / "Qwen3-32B" / "vllm"

CLIENT_SEED = 42  # of the open-loop client, from the authors' run_benchmark.sh
FIRST_RATE = 32.0  # requests/s of the first run on each server
USABLE = 0.87 * 79.2 * 2**30  # bytes of each H100 PCIe for weights and KV cache
LONGEST = 4096  # tokens; above every request. A server with the whole context of a 32B model would not start
BLOCK = 16  # tokens of a KV block
OPEN_LOOP_GPU, REPLAY_GPU = "h100-pcie", "rtx-pro-6000"  # by the names of their data sheets


class PublicRun(NamedTuple):
    """A run: what was served, and what was measured, in tokens/s and seconds; None: not published."""

    source: str
    gpu: str  # name of its data sheet
    model: str  # name on the Hugging Face hub
    vllm_version: str
    tensor_parallel_size: int
    quantization: str | None
    rate: float  # requests/s that the client sent
    server: Server
    workload: Workload
    cached_tokens: float  # of a running request: prompt tokens from the prefix cache, which are read and not computed
    throughput: float  # answer tokens/s, from the first arrival to the last token
    tpot_mean: float
    itl_mean: float | None
    ttft_p50: float
    ttft_mean: float

    @property
    def answer_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(answer for _, answer in self.workload.lengths.pairs)


def public_runs() -> list[PublicRun]:
    """Return the runs on one GPU that lie beside the project; says which of the data sets are missing."""
    return _all_of([(OPEN_LOOP, open_loop), (REPLAY, replay)])


def public_runs_of_groups() -> list[PublicRun]:
    """Return the runs on two GPUs that lie beside the project; says which of the data sets are missing."""
    return _all_of([(OPEN_LOOP, lambda path: open_loop(path, gpus=2)), (REPLAY_OF_GROUP, replay)])


def _all_of(sets: Sequence[tuple[Path, Callable[[Path], list[PublicRun]]]]) -> list[PublicRun]:
    runs = []
    for path, read in sets:
        if path.exists():
            runs += read(path)
        else:
            print(f"left out: {path} does not exist")
    return runs


def open_loop(path: Path, gpus: int = 1, *, cached: bool = True) -> list[PublicRun]:
    """Read the runs of 200 ShareGPT prompts on one or two H100 PCIe with vLLM 0.8.5, at 1 to 32 requests/s.

    **Arrivals** are those of the client: vLLM's `benchmark_serving.py` draws the gaps with a seed, which the authors
    give. It waits for a gap after the last request, too: no run ends before, and the shortest runs at 1 request/s end
    1 ms per request later.

    **Lengths** are not published but for their sums. They are 200 evenly spaced entries of ShareGPT's table, scaled to
    the sums of the run, in an order of our own. So TPOT and TTFT can be compared, but the time at which the last
    answer ends, and with it the throughput of 200 requests, depends on which request is the longest.

    **Prefix cache.** The authors sent the same prompts at 32, 16, 8, 4 and 1 requests/s to one server. vLLM evicts what
    was not used for longest, so from the second run on every prompt is in the prefix cache if the cache holds all
    tokens of a run, and none is if it does not. vLLM computes the last 1 to 16 tokens of a cached prompt. Such runs
    have prompts of this length, and `cached_tokens` says how many more the decodes of a running request read. Without
    `cached`, all runs have whole prompts.
    """
    table = pl.read_parquet(path).filter((pl.col("gpu_count") == gpus) & pl.col("model_id").is_in(list(SHAPES)))
    return [_open_loop_run(row, may_be_cached=cached) for row in table.sort("model_id", "date").iter_rows(named=True)]


def _open_loop_run(row: dict[str, Any], *, may_be_cached: bool) -> PublicRun:
    requests, rate, model = row["num_prompts"], row["request_rate"], row["model_id"]
    gaps = np.random.RandomState(CLIENT_SEED).gamma(1.0, 1.0 / rate, requests)
    arrivals = np.concatenate([[0.0], np.cumsum(gaps[:-1])])
    means = (row[f"total_{side}_tokens"] / requests for side in ("input", "output"))
    prompts, answers = sharegpt_with_means(requests, *means)
    cached = np.zeros(requests)
    tokens, gpus = row["total_input_tokens"] + row["total_output_tokens"], int(row["gpu_count"])
    taken = SHAPES[model].weights_bytes + tokens * SHAPES[model].kv_bytes_per_token
    if may_be_cached and rate != FIRST_RATE and taken < gpus * USABLE:
        cached = (prompts - 1) // BLOCK * BLOCK
    return PublicRun(
        source="open loop",
        gpu=OPEN_LOOP_GPU,
        model=model,
        vllm_version="0.8.5",
        tensor_parallel_size=gpus,
        quantization="fp8" if SHAPES[model].bytes_per_weight == 1 else None,
        rate=rate,
        server=Server(max_loras=0, max_model_len=LONGEST),
        workload=base_only(arrivals, prompts - cached, answers, duration=float(gaps.sum())),
        cached_tokens=float((cached * answers).sum() / answers.sum()),
        throughput=row["output_throughput"],
        tpot_mean=row["mean_tpot_ms"] / 1e3,
        itl_mean=row["mean_itl_ms"] / 1e3,
        ttft_p50=row["median_ttft_ms"] / 1e3,
        ttft_mean=row["mean_ttft_ms"] / 1e3,
    )


def replay(folder: Path) -> list[PublicRun]:
    """Read a run of 300 requests on one or two RTX PRO 6000, whose lengths and times are known one by one.

    The server's own clock gives the times; those of the API server and the client are not in them.
    """
    settings = json.loads((folder / "meta.json").read_text())
    engine = settings["engine_kwargs"]
    assert engine["data_parallel_size"] == 1
    lines = (folder / "requests.jsonl").read_text().splitlines()
    rows = pl.DataFrame([json.loads(line) for line in lines]).sort("queued_ts")
    queued, first, last = (rows[name].to_numpy() for name in ("queued_ts", "first_token_ts", "last_token_ts"))
    answers = rows["output_toks"].to_numpy()
    prompts, sent = rows["input_toks"].to_numpy(), queued - queued[0]
    run = PublicRun(
        source="replay",
        gpu=REPLAY_GPU,
        model=settings["model"],
        vllm_version=settings["vllm_version"],
        tensor_parallel_size=engine["tensor_parallel_size"],
        quantization=None,
        rate=len(rows) / float(sent[-1]),
        server=Server(
            max_loras=0,
            max_num_seqs=engine["max_num_seqs"],
            max_num_batched_tokens=engine["max_num_batched_tokens"],
        ),
        workload=base_only(sent, prompts, answers, duration=float(sent[-1]) + 1e-3),
        cached_tokens=0.0,
        throughput=float(answers.sum() / (last.max() - queued[0])),
        tpot_mean=float(np.mean((last - first) / (answers - 1))),
        itl_mean=float((last - first).sum() / (answers - 1).sum()),
        ttft_p50=float(np.median(first - queued)),
        ttft_mean=float(np.mean(first - queued)),
    )
    return [run]


def base_only(arrivals: np.ndarray, prompts: np.ndarray, answers: np.ndarray, *, duration: float) -> Workload:
    """Return the traffic of requests to the base model, with an arrival (seconds) and lengths of each."""
    pairs = [(int(prompt), int(answer)) for prompt, answer in zip(prompts, answers, strict=True)]
    return Workload(
        adapters=[Adapter(name="base", rank=0, rate=1.0)],
        lengths=Lengths.empirical(pairs),
        arrivals=tuple(arrivals.tolist()),
        duration=duration,
    )
