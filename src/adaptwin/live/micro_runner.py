"""run_micro: send the requests of a micro-benchmark and read the time of a step off them."""

import asyncio
import statistics
from collections.abc import Iterator

from adaptwin.errors import ServerError
from adaptwin.live.answer import TakenAnswer
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.micro_benchmark import MicroBenchmark
from adaptwin.live.micro_result import MicroResult
from adaptwin.live.prompts import RandomPrompts
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.vllm_server import VllmServer
from adaptwin.workload.drawing.requests import NANOSECONDS

BLOCK = 8  # successive gaps that are averaged
ANOTHER = 500  # added to the number of a prompt for another one, which no prefix cache holds
ALONE_TRIES = 3  # of a prompt whose time must be that of one request


async def run_micro(
    server: VllmServer, measured: MeasuredServer, micro: MicroBenchmark, prompts: RandomPrompts, first: int
) -> MicroResult:
    """Run a micro-benchmark; its prompts have the numbers from `first` on. Raises `ServerError`."""
    runners = {"decode": _time_decodes, "prefill": _prefill, "swap": _swap}
    return await runners[micro.kind](server, measured, micro, prompts, first)


async def _time_decodes(
    server: VllmServer, measured: MeasuredServer, micro: MicroBenchmark, prompts: RandomPrompts, first: int
) -> MicroResult:
    names = [adapter.name for adapter in measured.adapters[: micro.adapters]] or [measured.base]
    answers = await asyncio.gather(
        *(
            server.complete(names[i % len(names)], prompts.prompt(first + i, micro.prompt), micro.answer)
            for i in range(micro.requests)
        )
    )
    return decoded(micro, answers)


def decoded(micro: MicroBenchmark, answers: list[TakenAnswer]) -> MicroResult:
    """Return the time between tokens while all requests of a micro-benchmark run, and what such a step holds.

    It is the median over blocks of `BLOCK` successive gaps: a client that reads several tokens at once sees gaps of
    nothing between them, and a server that stalls makes single long ones.
    """
    begins, ends = max(answer.first for answer in answers), min(answer.last for answer in answers)
    blocks, places = [], []
    for answer in answers:
        gaps = list(_gaps_between(answer, begins, ends))
        for first in range(0, len(gaps) - BLOCK + 1, BLOCK):
            block = gaps[first : first + BLOCK]
            blocks.append(statistics.fmean(gap for _, gap in block))
            places.append(statistics.fmean(place for place, _ in block))
    if len(blocks) < micro.requests:
        return MicroResult(micro.name, micro.kind, None, said=f"{micro.requests} requests never ran at the same time")
    return MicroResult(
        micro.name,
        micro.kind,
        statistics.median(blocks) / NANOSECONDS,
        tokens=micro.requests,
        context=micro.requests * (micro.prompt + statistics.fmean(places)),
        adapters=micro.adapters,
        running=micro.requests,
    )


def _gaps_between(answer: TakenAnswer, begins: int, ends: int) -> Iterator[tuple[int, int]]:
    """Yield the gaps of an answer inside a time, each after the place of its token in the answer."""
    now = answer.first
    for place, gap in enumerate(answer.gaps, start=1):
        if now >= begins and now + gap <= ends:
            yield place, gap
        now += gap


async def _prefill(
    server: VllmServer, measured: MeasuredServer, micro: MicroBenchmark, prompts: RandomPrompts, first: int
) -> MicroResult:
    name = measured.adapters[0].name if micro.adapters else measured.base
    if micro.adapters:
        await server.complete(name, prompts.prompt(first, 4), 1)  # loads the adapter
    seconds, ttft = await _prompt_seconds(server, name, prompts, first + 1, micro.prompt)
    return MicroResult(
        micro.name,
        micro.kind,
        seconds,
        tokens=micro.prompt,
        adapters=micro.adapters,
        running=1,
        ttft=ttft,
        said="" if seconds else "/metrics has no request_prefill_time_seconds",
    )


async def _prompt_seconds(
    server: VllmServer, name: str, prompts: RandomPrompts, first: int, tokens: int
) -> tuple[float | None, float]:
    """Return the seconds that the engine took for a prompt, by its metrics, and the TTFT of the client."""
    for _ in range(ALONE_TRIES):
        before = await server.metrics()
        answer = await server.complete(name, prompts.prompt(first, tokens), 1)
        after = await _metrics_after(server, before.sums.get("prefill", (0.0, 0.0))[1])
        counted = after.sums.get("prefill", (0.0, 0.0))[1] - before.sums.get("prefill", (0.0, 0.0))[1]
        if counted <= 1:
            return after.mean_since(before, "prefill"), (answer.first - answer.sent) / NANOSECONDS
    raise ServerError("other requests are there: a server is measured without any", server.url)


async def _metrics_after(server: VllmServer, count: float) -> ServerMetrics:
    """Return the metrics once they count one more request; they come a little after the answer."""
    found = await server.metrics()
    for _ in range(20):
        if found.sums.get("prefill", (0.0, 0.0))[1] > count:
            break
        await asyncio.sleep(0.05)
        found = await server.metrics()
    return found


async def _swap(
    server: VllmServer, measured: MeasuredServer, micro: MicroBenchmark, prompts: RandomPrompts, first: int
) -> MicroResult:
    """Ask as many other adapters as there are slots, then one of the rank twice: it is loaded, and then there.

    vLLM gives up the adapter that was used longest ago. The first load does not count, as it may come from disk.
    """
    target = next(adapter.name for adapter in measured.adapters if adapter.rank == micro.rank)
    others = [adapter.name for adapter in measured.adapters if adapter.name != target][: measured.server.max_loras]
    loaded, there = [], []
    for number in range(micro.requests + 1):
        for name in others:
            await server.complete(name, prompts.prompt(first + number, micro.prompt), 1)
        slow, _ = await _prompt_seconds(server, target, prompts, first + number, micro.prompt)
        quick, _ = await _prompt_seconds(server, target, prompts, first + ANOTHER + number, micro.prompt)
        if number and slow is not None and quick is not None:
            loaded.append(slow)
            there.append(quick)
    if not loaded:
        return MicroResult(micro.name, micro.kind, None, said="/metrics has no request_prefill_time_seconds")
    seconds = statistics.median(loaded) - statistics.median(there)
    if seconds <= 0:
        return MicroResult(micro.name, micro.kind, None, said="loads are too short to be told from the noise")
    return MicroResult(micro.name, micro.kind, seconds, adapters=1, running=1, rank=micro.rank)
