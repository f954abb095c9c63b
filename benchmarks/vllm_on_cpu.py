"""Real vLLM servers on this machine's CPU, with a tiny random model: started and stopped by process id.

The environment with vLLM is the one that `make test-live` makes; `VLLM_PYTHON` names another interpreter.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
VLLM_PYTHON = os.environ.get("VLLM_PYTHON", str(HERE.parent / ".venv-live" / "bin" / "python"))
STARTS_WITHIN, STOPS_WITHIN = 300.0, 30.0  # seconds
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
}


class Settings(NamedTuple):
    """Settings of a server; the KV cache is large enough never to be full unless stated otherwise."""

    max_loras: int = 4
    max_lora_rank: int = 16
    max_cpu_loras: int = 64
    max_num_seqs: int = 32
    max_num_batched_tokens: int = 256
    max_model_len: int = 1024
    kv_bytes: int = 1 << 28
    core: str = "auto"  # of the processor, such as 0
    lora: bool = True


class RunningServer(NamedTuple):
    """A server that answers."""

    url: str
    pid: int
    log: Path


def make_tiny_model(folder: Path, *, adapters: int = 16, ranks: Sequence[int] = (8, 16)) -> None:
    """Make the model and its adapters in a folder, unless they are there."""
    if not (folder / "adapters" / f"a{adapters - 1:02}").is_dir():
        words = [str(HERE / "tiny_model.py"), str(folder), "--adapters", str(adapters)]
        subprocess.run([VLLM_PYTHON, *words, "--ranks", ",".join(map(str, ranks))], check=True)


@contextmanager
def vllm_server(
    folder: Path, settings: Settings, adapters: Sequence[str] = (), *, api_key: str | None = None
) -> Iterator[RunningServer]:
    """Start a server with these adapters, wait until it answers, and stop it at the end whatever happens."""
    port = _free_port()
    log = folder / f"vllm-{port}.log"
    environment = {**os.environ, **QUIET, "VLLM_CPU_OMP_THREADS_BIND": settings.core}
    environment.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    with log.open("wb") as written:
        running = subprocess.Popen(
            [
                VLLM_PYTHON,
                "-m",
                "vllm.entrypoints.openai.api_server",
                *_words(folder, port, settings, adapters, api_key),
            ],
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        _wait(running, port, log)
        yield RunningServer(f"http://127.0.0.1:{port}", running.pid, log)
    finally:
        stop(running)


def _words(folder: Path, port: int, settings: Settings, adapters: Sequence[str], api_key: str | None) -> Iterator[str]:
    yield from ("--model", str(folder / "model"), "--served-model-name", "tiny", "--host", "127.0.0.1")
    yield from ("--port", str(port), "--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching")
    yield from ("--block-size", "32", "--kv-cache-memory-bytes", str(settings.kv_bytes))
    for name in ("max_model_len", "max_num_seqs", "max_num_batched_tokens"):
        yield from (f"--{name.replace('_', '-')}", str(getattr(settings, name)))
    if api_key:
        yield from ("--api-key", api_key)
    if settings.lora:
        yield "--enable-lora"
        for name in ("max_loras", "max_lora_rank", "max_cpu_loras"):
            yield from (f"--{name.replace('_', '-')}", str(getattr(settings, name)))
    if adapters:
        yield "--lora-modules"
        yield from (f"{name}={folder / 'adapters' / name}" for name in adapters)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, in the child before it runs anything."""
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)


def _wait(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if running.poll() is not None:
            raise RuntimeError(f"vLLM ended with {running.returncode}: {log.read_text()[-2000:]}")
        address = f"http://127.0.0.1:{port}/health"
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=1.0):
            return
        time.sleep(0.25)
    raise RuntimeError(f"vLLM does not answer after {STARTS_WITHIN:g} s: {log.read_text()[-2000:]}")


def stop(running: subprocess.Popen[bytes]) -> None:
    """Stop a server by its process id: ask it to end, and kill all of its session if it does not."""
    if running.poll() is None:
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            running.wait(STOPS_WITHIN)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)  # workers that are left, if any
    running.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
