"""compile_twin: compile the twin to machine code, once per installation.

Compiling the kernel takes most of the time. Meanwhile a second process compiles what runs before and after it: drawing
requests and computing statistics. Both processes leave their machine code in the cache on disk, where the other finds
it.
"""

import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from adaptwin.allocator import keep_freed_memory
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.twin.kernel.play import is_compiled, play
from adaptwin.twin.kernel.presence import rehashed
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.scenario import Scenario, make_scenario
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import judge
from adaptwin.workload.drawing.requests import Requests
from adaptwin.workload.workload import Adapter, Workload

_TINY = Workload(adapters=(Adapter(name="a", rank=8, rate=1.0),), duration=1.0)
_SERVER = Server(max_num_seqs=1, max_model_len=4096, kv_cache_tokens=8192)
_MEANWHILE = "from adaptwin.twin.compilation import compile_all_but_the_kernel as run; run()"


def compile_twin() -> None:
    """Compile the twin unless its machine code is there already, and say so on stderr."""
    keep_freed_memory()
    if is_compiled():
        return
    print("adaptwin: compiling the twin for this machine (once, about 15 s) ...", file=sys.stderr, flush=True)
    with _second_process():
        one = np.ones(1, np.int32)
        play(_scenario(Requests(np.zeros(1, np.int64), np.zeros(1, np.int32), one, one, one)))
    compile_all_but_the_kernel()  # loads what the second process has compiled


def _second_process() -> AbstractContextManager[object]:
    """Start a process that compiles everything but the kernel, as a context that waits for it to end.

    If the process cannot be started or fails, this process compiles afterwards what is missing.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return nullcontext()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", "-c", _MEANWHILE]
    try:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    except OSError:
        return nullcontext()


def compile_all_but_the_kernel() -> None:
    """Compile what draws requests, sums up a run or is rarely needed; the reference twin stands in for the kernel."""
    scenario = _scenario()
    profile = load_profile(shipped_profiles()[0])
    judge(profile, _TINY, scenario, ReferenceTwin(scenario).run())
    rehashed(np.zeros(1, np.uint64))


def _scenario(requests: Requests | None = None) -> Scenario:
    return make_scenario(load_profile(shipped_profiles()[0]), _SERVER, _TINY, seed=0, requests=requests)
