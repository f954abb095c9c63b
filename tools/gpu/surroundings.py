"""surroundings: what must hold in a process before vLLM is imported."""

import ctypes
import os
import signal
from pathlib import Path

from options import Options

PARENT = "GPUKIT_PARENT"  # process id of who started a stage
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine runs in process, and is stepped by hand
    "VLLM_USE_FLASHINFER_SAMPLER": "0",  # not carried, as the next ones
    "VLLM_USE_DEEP_GEMM": "0",
    "VLLM_ALLREDUCE_USE_SYMM_MEM": "0",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "INFO",
    "PYTHONUNBUFFERED": "1",
}
CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "HF_HOME": "hf",
}


def surroundings(state: Path) -> dict[str, str]:
    """Environment variables of a stage: what is set already stays, caches are in the state folder."""
    caches = {name: str(state / "cache" / folder) for name, folder in CACHES.items()}
    return {**SETTINGS, **caches, **os.environ, PARENT: str(os.getpid())}


def prepare(options: Options) -> None:
    """Make this process ready for vLLM, and let it end with the one that started it: it would hold the GPU's memory."""
    parent = os.environ.get(PARENT)
    if parent:
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != int(parent):
            raise SystemExit("the process that started this stage is gone")
    for name, value in surroundings(options.state).items():
        os.environ.setdefault(name, value)
    if options.rehearse:
        from rehearse import pretend

        pretend()
