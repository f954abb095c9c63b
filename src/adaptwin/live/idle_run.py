"""The idle run: a minute of the base model at one request per second, which tells the time of the host."""

import json
from pathlib import Path

from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.measure import Measuring, whole_run
from adaptwin.live.replayed import ReplayedRun
from adaptwin.live.vllm_server import VllmServer
from adaptwin.progress import Progress, silent
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.workload import Adapter, Workload
from adaptwin.writing import write_atomically

IDLE_FILE = "idle.json"
IDLE_RATE, IDLE_SECONDS = 1.0, 60.0


def names_of(url: str, api_key: str | None) -> tuple[str, str | None]:
    """Return the model that a server serves, as its path or repository, and its version of vLLM."""

    async def ask() -> tuple[str, str | None]:
        async with session_with(api_key) as session:
            server = VllmServer(url, session)
            return (await server.models()).base.root, await server.version()

    root, version = in_event_loop(ask)
    return root, version


def measure_idle(asked: Measuring, folder: Path, *, progress: Progress = silent) -> Path:
    """Make the idle run and write it in the form of a result of ``vllm bench serve``; return the file."""
    base = Workload(
        adapters=[Adapter(name="base", rank=0, rate=IDLE_RATE)],
        duration=min(IDLE_SECONDS, asked.budget),
        lengths=asked.lengths,
        seed=asked.seed,
    )
    run = whole_run(asked, base, window="drain", progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / IDLE_FILE
    write_atomically(path, json.dumps(_bench_result(run), indent=1) + "\n")
    return path


def _bench_result(run: ReplayedRun) -> dict[str, object]:
    """Return the fields of a result of ``vllm bench serve``, which has milliseconds."""
    requests = draw_requests(run.workload, run.seed)
    seconds = run.finished / run.request_rate if run.request_rate else run.duration
    return {
        "date": "",
        "model_id": run.base_model,
        "request_rate": run.workload.rate,
        "completed": run.finished,
        "failed": run.failed,
        "duration": seconds,
        "request_throughput": run.request_rate,
        "total_input_tokens": int(requests.input.sum()),
        "total_output_tokens": int(requests.output.sum()),
        "output_throughput": float(requests.output.sum()) / seconds,
        "mean_ttft_ms": 1000 * run.ttft.mean,
        "median_ttft_ms": 1000 * run.ttft.p50,
        "p99_ttft_ms": 1000 * run.ttft.p99,
        "mean_tpot_ms": 1000 * run.tpot.mean,
        "median_tpot_ms": 1000 * run.tpot.p50,
        "p99_tpot_ms": 1000 * run.tpot.p99,
        "mean_itl_ms": 1000 * run.itl.mean,
        "median_itl_ms": 1000 * run.itl.p50,
        "p99_itl_ms": 1000 * run.itl.p99,
    }
