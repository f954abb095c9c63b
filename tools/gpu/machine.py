"""machine: the card and the versions, as they are found."""

import platform
import subprocess
from contextlib import suppress
from typing import Any

from options import Options

QUERY = "driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw"
NO_GPU = "none (CPU)"
PATIENCE = 8  # seconds for nvidia-smi


def machine(options: Options) -> dict[str, Any]:
    """Versions of vLLM, PyTorch and Python, name and memory of the GPU, and its clocks and temperature now."""
    import torch

    import vllm

    told = {"vllm": vllm.__version__, "torch": torch.__version__, "python": platform.python_version()}
    if options.cpu:
        return {**told, "gpu": NO_GPU, "gpu_gib": 64.0}
    name = torch.cuda.get_device_name(0) + (" (pretend)" if options.rehearse else "")
    told.update(gpu=name, gpu_gib=torch.cuda.get_device_properties(0).total_memory / 2**30)
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        told["card"] = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()
    return told
