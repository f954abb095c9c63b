"""MicroBenchmark: a few requests that are sent at once and tell the time of one kind of step; and the set of them."""

from collections.abc import Iterator
from typing import NamedTuple

from adaptwin.live.measured_server import MeasuredServer

BATCHES = (1, 4, 16, 64, 256, 2, 8, 32, 128)  # requests at once, the most telling ones first
ADAPTERS = (2, 4, 8, 16, 32, 64, 128)  # distinct ones in a batch
CHUNKS = (256, 1024, 64, 512, 2048, 4096)  # tokens of a prompt that is computed in one step
SHORT_PROMPT, LONG_PROMPT = 32, 1024
DECODED = 40  # tokens of an answer whose gaps are measured
LONG_CONTEXT_BATCHES = (1, 8)
SWAPS = 6


class MicroBenchmark(NamedTuple):
    """Requests that are sent at once; in a swap, one after the other. The kind says what is read off them.

    - decode: the gap between tokens while all requests run;
    - prefill: the time that the server took for the prompt of its only request;
    - swap: how much longer that took for adapters that were not on the GPU.
    """

    kind: str
    requests: int
    prompt: int  # tokens
    answer: int  # tokens
    adapters: int  # distinct ones; 0: the base model
    rank: int = 0  # of the adapters of a swap

    @property
    def name(self) -> str:
        """What tells it from others."""
        rank = f" rank {self.rank}" if self.rank else ""
        return f"{self.kind} {self.requests}x{self.prompt}+{self.answer} adapters {self.adapters}{rank}"


def micro_benchmarks(measured: MeasuredServer, most_seqs: int, most_tokens: int) -> list[MicroBenchmark]:
    """Return what is to be measured of a server, the most telling first, each once.

    Args:
        measured: The server.
        most_seqs: Requests that it may run at once.
        most_tokens: Tokens that it computes in one step at most.
    """
    longest = (measured.server.max_model_len or 2 * LONG_PROMPT) - DECODED - 1
    slots = min(measured.server.max_loras, len(measured.adapters))
    batches = [batch for batch in BATCHES if batch <= most_seqs]
    designed = [
        *_decodes(batches, slots, longest),
        *_prefills(min(most_tokens, longest), slots),
        *_decodes_with_adapters(max(batches), slots, longest),
        *(_long_context(batch, longest) for batch in LONG_CONTEXT_BATCHES if batch <= most_seqs),
        *_swaps(measured),
    ]
    return list(dict.fromkeys(designed))


def _decodes(batches: list[int], slots: int, longest: int) -> Iterator[MicroBenchmark]:
    """Yield decodes of the base model, of as many adapters as there is room for, and of one adapter."""
    for batch in batches:
        for adapters in (0, min(batch, slots), min(1, slots)):
            yield MicroBenchmark("decode", batch, min(SHORT_PROMPT, longest), DECODED, adapters)


def _prefills(chunk: int, slots: int) -> Iterator[MicroBenchmark]:
    """Yield prompts that fit into one step."""
    for tokens in CHUNKS:
        for adapters in (0, min(1, slots)):
            yield MicroBenchmark("prefill", 1, min(tokens, chunk), 1, adapters)


def _decodes_with_adapters(batch: int, slots: int, longest: int) -> Iterator[MicroBenchmark]:
    """Yield decodes of the largest batch with numbers of adapters between one and the slots."""
    for adapters in ADAPTERS:
        if adapters < min(slots, batch):
            yield MicroBenchmark("decode", batch, min(SHORT_PROMPT, longest), DECODED, adapters)


def _long_context(batch: int, longest: int) -> MicroBenchmark:
    return MicroBenchmark("decode", batch, min(LONG_PROMPT, longest), DECODED, 0)


def _swaps(measured: MeasuredServer) -> Iterator[MicroBenchmark]:
    """Yield loads of an adapter of each rank, where there are more adapters than slots."""
    if len(measured.adapters) > measured.server.max_loras > 0:
        for rank in sorted({adapter.rank for adapter in measured.adapters}):
            yield MicroBenchmark("swap", SWAPS, 16, 1, 1, rank)
