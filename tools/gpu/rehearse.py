"""pretend: make vLLM believe in a Hopper GPU, so that everything but the model can be rehearsed without one.

vLLM's own scheduler, engine and configuration run; `pretend_executor.py` keeps the time of a GPU. Needs PyTorch for
CUDA, which loads without a GPU, the unpacked vLLM, and a C compiler.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
import types
from ctypes.util import find_library
from pathlib import Path

NAME, CAPABILITY, BYTES, MULTIPROCESSORS = "NVIDIA H100 80GB HBM3", (9, 0), 85_029_158_912, 132


def pretend() -> None:
    """Put a GPU where PyTorch, Triton and vLLM look for one, before anything of vLLM is imported."""
    _provide_driver()
    import torch

    properties = types.SimpleNamespace(
        name=NAME, total_memory=BYTES, multi_processor_count=MULTIPROCESSORS, major=9, minor=0, warp_size=32
    )
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_capability = lambda *_: CAPABILITY
    torch.cuda.get_device_name = lambda *_: NAME
    torch.cuda.synchronize = lambda *_: None
    torch.cuda.get_device_properties = lambda *_: properties
    from triton.backends import backends

    for kind, backend in backends.items():
        backend.driver.is_active = staticmethod(lambda kind=kind: kind == "nvidia")
    _pretend_to_vllm()


def _provide_driver() -> None:
    """Load an empty libcuda.so.1 where there is no driver: vLLM's libraries are linked to it, and loaded lazily."""
    if find_library("cuda"):
        return
    sys.setdlopenflags(os.RTLD_LAZY)
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "empty.c", Path(folder) / "libcuda.so.1"
        source.write_text("")
        subprocess.run(["cc", "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(library), str(source)], check=True)
        ctypes.CDLL(str(library), os.RTLD_GLOBAL)


def _pretend_to_vllm() -> None:
    import vllm.platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    class PretendPlatform(NonNvmlCudaPlatform):
        """One Hopper GPU."""

        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> DeviceCapability:
            return DeviceCapability(*CAPABILITY)

        @classmethod
        def get_device_name(cls, device_id: int = 0) -> str:
            return NAME

        @classmethod
        def get_device_total_memory(cls, device_id: int = 0) -> int:
            return BYTES

    vllm.platforms._current_platform = PretendPlatform()
