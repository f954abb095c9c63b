"""compile_twin: machine code for the twin, made once per installation."""

import numpy as np

from adaptwin.allocator import keep_freed_memory
from adaptwin.compilation import Job, compile_missing
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.progress import Progress, silent
from adaptwin.twin.kernel.notes import Sizes
from adaptwin.twin.kernel.play import play
from adaptwin.twin.kernel.presence import rehashed
from adaptwin.twin.reference.engine import ReferenceTwin
from adaptwin.twin.scenario import Scenario, make_scenario
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import judge
from adaptwin.workload.drawing.requests import Requests
from adaptwin.workload.workload import Adapter, Workload

TINY = Workload(adapters=(Adapter(name="a", rank=8, rate=1.0),), duration=1.0)
SERVER = Server(max_num_seqs=1, max_model_len=4096, kv_cache_tokens=8192)

_KERNEL = Job(
    call="adaptwin.twin.compilation:compile_kernel",
    entries=(
        "adaptwin.twin.kernel.play:_play_chapter",
        "adaptwin.twin.kernel.interruptions:_condense",
        "adaptwin.twin.kernel.interruptions:_forget",
        "adaptwin.twin.kernel.unfinished:_stop",
    ),
    functions=98,
    seconds=10.2,
)
_DRAWING = Job(
    call="adaptwin.twin.compilation:compile_drawing",
    entries=("adaptwin.workload.drawing.requests:_draw", "adaptwin.workload.drawing.early_stops:_answers_cut_short"),
    functions=21,
    seconds=3.5,
)
_STATISTICS = Job(
    call="adaptwin.twin.compilation:compile_statistics",
    entries=("adaptwin.twin.statistics:_sum_up", "adaptwin.twin.kernel.presence:_add_all"),
    functions=11,
    seconds=1.5,
)
TWIN = (_KERNEL, _DRAWING, _STATISTICS)


def compile_twin(progress: Progress = silent) -> None:
    """Compile what a simulation needs, where that has not been done."""
    keep_freed_memory()
    compile_missing(TWIN, progress)


def compile_client(progress: Progress = silent) -> None:
    """Compile what draws requests and sums up what became of them, where that has not been done."""
    compile_missing((_DRAWING, _STATISTICS), progress)


def compile_kernel() -> None:
    """Compile the kernel, and what follows a chapter: two requests share three blocks, so one is preempted."""
    two, prompt, answer = np.zeros(2, np.int64), np.full(2, 16, np.int32), np.full(2, 30, np.int32)
    scenario = _scenario(Requests(two, two.astype(np.int32), prompt, answer, answer))
    limits = scenario.limits._replace(kv_blocks=3, max_num_seqs=2)
    outcome = play(scenario._replace(limits=limits), Sizes(steps=16))
    assert outcome.preemptions > 0


def compile_drawing() -> None:
    """Compile the drawing of requests, and of answers that end before max_tokens."""
    make_scenario(load_profile(shipped_profiles()[0]), SERVER, TINY, seed=0)


def compile_statistics() -> None:
    """Compile what sums up a run, and what only long runs need; the reference stands in for the kernel."""
    one = np.ones(1, np.int32)
    scenario = _scenario(Requests(np.zeros(1, np.int64), np.zeros(1, np.int32), one, one, one))
    ends = ReferenceTwin(scenario).run().ends
    judge(TINY, scenario.requests, scenario.window, ends, request_latency=0.0)
    rehashed(np.zeros(1, np.uint64))


def _scenario(requests: Requests) -> Scenario:
    """A scenario with these requests, which are not drawn: drawing is another job."""
    return make_scenario(load_profile(shipped_profiles()[0]), SERVER, TINY, seed=0, requests=requests)
