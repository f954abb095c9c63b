"""What is timed on one engine, most telling first: the contents of single steps."""

from collections.abc import Iterator
from typing import NamedTuple

from engine_spec import FEW_GRAPHS, EngineSpec

ANSWER = 150  # tokens that a request of a timed step may still generate
ROOM = 0.95  # share of the KV cache that a step may hold
PADDED = 127  # a size between two CUDA graphs, to see what padding costs


class Step(NamedTuple):
    """A step to be timed: `decodes` requests at `context` tokens each, and prompts of `chunk` tokens at `behind`."""

    decodes: int = 0
    context: int = 512
    adapters: int = 0  # distinct ones, dealt round; 0: base model only
    chunk: int = 0  # tokens of each prompt in the step
    prompts: int = 0
    behind: int = 0  # tokens of the prompt that were computed in earlier steps
    rank: int = 0  # of the adapters; 0: the server's
    base_too: bool = False  # every second decode is for the base model
    waiting: int = 0  # further requests that wait
    deferred: bool = False  # they wait for an adapter slot, not for room in the batch

    @property
    def tokens(self) -> int:
        """Tokens in the step."""
        return self.decodes + self.chunk * self.prompts

    @property
    def longest(self) -> int:
        """Tokens of the longest request, its answer included."""
        prompt = self.behind + self.chunk if self.prompts else 0
        return max(self.context if self.decodes else 0, prompt) + ANSWER + 10

    @property
    def held(self) -> int:
        """Tokens in the KV cache: prompts queue, so that several are there at a time."""
        return self.decodes * (self.context + ANSWER) + 4 * self.prompts * (self.behind + self.chunk)

    @property
    def name(self) -> str:
        """What it is in words, which tells it from all others."""
        return " ".join(["step", *(f"{key}={value}" for key, value in self._asdict().items() if value)])


class Limits(NamedTuple):
    """What an engine can take."""

    max_num_seqs: int
    token_budget: int
    max_model_len: int
    kv_tokens: int


def steps(spec: EngineSpec, limits: Limits) -> list[Step]:
    """All steps for an engine that fit its limits, most telling first, each once."""
    return [step for step in dict.fromkeys(_wanted(spec)) if fits(step, spec, limits)]


def fits(step: Step, spec: EngineSpec, limits: Limits) -> bool:
    """Whether an engine can have such a step, and runs it as one with all CUDA graphs would."""
    alike = "few" not in spec.flags or step.tokens > FEW_GRAPHS[-1] or step.tokens in (*FEW_GRAPHS, PADDED)
    return (
        alike
        and step.decodes + step.prompts <= limits.max_num_seqs
        and 0 < step.tokens <= limits.token_budget
        and step.longest <= limits.max_model_len
        and step.held <= ROOM * limits.kv_tokens
        and step.adapters <= min(spec.max_loras, step.decodes + step.prompts)
        and (not step.deferred or step.adapters == spec.max_loras)
    )


def _wanted(spec: EngineSpec) -> Iterator[Step]:
    slots = spec.max_loras
    one, some = min(1, slots), min(8, slots)
    for decodes in (1, 8, 32, 64, 128, 256):
        yield from (Step(decodes, adapters=count) for count in sorted({0, one, min(decodes, slots)}))
    yield from (Step(chunk=chunk, prompts=1, adapters=one) for chunk in (256, 512, 1024, 2048, 4096, 8192))
    if slots:
        yield from (Step(64, adapters=count) for count in (2, 4, 8, 16, 32) if count < slots)
        yield from (Step(256, adapters=count) for count in (8, 32) if count < slots)
    yield from (Step(64, 4096), Step(8, 16384), Step(256, 1024), Step(16, 16384))
    for chunk, behind in ((2048, 8192), (2048, 24576), (512, 8192), (512, 28672)):
        yield Step(chunk=chunk, prompts=1, behind=behind)
    for decodes, chunk in ((64, 512), (64, 2048), (256, 512), (256, 2048), (16, 512)):
        yield Step(decodes, chunk=chunk, prompts=1, adapters=some)
    if slots:
        yield from _of_lora(spec)
    yield from (Step(decodes, adapters=one) for decodes in (2, 4, 16, 96, 512, 513, 1024))
    if slots:
        yield from (Step(decodes, adapters=min(slots, 16)) for decodes in (PADDED, 129, 512, 640))
    yield from (Step(chunk=128, prompts=1), Step(1, 30000), Step(128, 2048), Step(32, 8192), Step(1, 8192))
    yield from (Step(chunk=2048, prompts=1, behind=behind) for behind in (2048, 16384))
    yield Step(256, chunk=1024, prompts=4, adapters=some)
    yield from (Step(64, waiting=waiting) for waiting in (1000, 4000))


def _of_lora(spec: EngineSpec) -> Iterator[Step]:
    """Steps that tell LoRA's costs apart: several prompts, the base model, a lower rank, requests without a slot."""
    slots = spec.max_loras
    yield from (Step(chunk=256, prompts=8, adapters=count) for count in (1, 8))
    yield from (Step(chunk=chunk, prompts=1, adapters=0) for chunk in (512, 2048, 8192))
    yield Step(32, adapters=16, base_too=True)
    if spec.max_lora_rank > 8:
        yield Step(64, adapters=8, rank=8)
    for waiting in (100, 1000):
        yield Step(max(64, slots), adapters=slots, waiting=waiting, deferred=True)
