"""vLLM's Scheduler and AsyncScheduler in virtual time: no model runs and no clock is read.

The drivers are the loops of `EngineCore.step` and `EngineCore.step_with_batch_queue` (vllm/v1/engine/core.py) with
the forward pass replaced by the scenario's costs: every request with all known tokens computed gets one token.
"""

import json
from collections import Counter, deque
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from tests.vllm.decisions import Decision, Played
from vllm.config import CacheConfig, DeviceConfig, LoRAConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.lora.request import LoRARequest
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import (
    BlockHash,
    KVCacheBlock,
    get_block_hash,
    get_request_block_hasher,
    init_none_hash,
)
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from adaptwin.profile.scheduler_cost import scheduler_seconds
from adaptwin.profile.step_cost import pairs_of_chunk, step_seconds
from adaptwin.twin.reference.kv_cache import Key
from adaptwin.twin.scenario import Scenario
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.requests import NANOSECONDS
from vllm import SamplingParams

LONGEST_MODEL_LEN = 4096
MOST_TOKENS = 1 << 20  # of a request; the id of each token contains the request that had it first


class Planned(NamedTuple):
    """A batch that the model is computing."""

    output: SchedulerOutput
    sampled: set[str]  # scheduled requests that get a token
    end: int


class VllmScheduler:
    """An engine without a model: the scheduler, the clock, and the token times that clients see."""

    def __init__(self, scenario: Scenario, *, watermark: float = 0.0) -> None:
        self.scenario, self.limits = scenario, scenario.limits
        self.scheduler = _scheduler(scenario.limits, watermark)
        init_none_hash(sha256)
        self._block_hasher = (
            get_request_block_hasher(scenario.limits.block_size, sha256) if scenario.limits.prefix_caching else None
        )
        self.clock = self.model_free = 0
        self.arrivals = deque(range(len(scenario.requests.arrival)))
        self.adapters = [LoRARequest(f"adapter-{a}", a + 1, "nowhere") for a in range(len(scenario.adapters.position))]
        self.numbers = self._numbers()
        self.contents = self._contents() if scenario.limits.prefix_caching else {}
        self.decisions: list[Decision] = []
        self.token_times: dict[int, list[int]] = {}
        self.queried_tokens = self.hit_tokens = 0

    def play(self) -> Played:
        """Run until all requests have finished; return every decision and the time of every token."""
        batches: deque[Planned] = deque()
        while self.arrivals or batches or self.scheduler.has_requests():
            if not batches and not self.scheduler.has_requests():
                self.clock = max(self.clock, self._arrival(self.arrivals[0]))
            self._receive()
            if self.scheduler.has_requests():
                batches.append(self._plan())
                if len(batches) < 1 + self.limits.async_scheduling:
                    continue
            if batches:
                self._take_output(batches.popleft())
        return Played(self.decisions, self.token_times, self.queried_tokens, self.hit_tokens)

    def _arrival(self, index: int) -> int:
        return int(self.scenario.requests.arrival[index])

    def _receive(self) -> None:
        requests, limits = self.scenario.requests, self.limits
        columns = requests.input, requests.output, requests.asked
        while self.arrivals and self._arrival(self.arrivals[0]) <= self.clock:
            index = self.arrivals.popleft()
            prompt, answer, asked = (int(column[index]) for column in columns)
            if prompt + asked > limits.max_model_len:
                continue  # the API server of 0.8.5 rejects it (that of 0.32.0 shortens the answer)
            if -(-(prompt + answer - 1) // limits.block_size) > limits.kv_blocks:
                continue  # with so small a cache, vLLM would not have started
            self.scheduler.add_request(self._request(index, prompt))
            self.token_times[index] = []

    def _request(self, index: int, prompt: int) -> Request:
        """Return a request to vLLM whose prompt has this many tokens, and which stops at the last of its answer."""
        requests = self.scenario.requests
        last = self._token_at(index, int(requests.input[index] + requests.output[index]) - 1)
        return Request(
            request_id=str(index),
            prompt_token_ids=[self._token_at(index, place) for place in range(prompt)],
            sampling_params=SamplingParams(
                max_tokens=int(requests.asked[index]), stop_token_ids=[last], ignore_eos=True, temperature=0
            ),
            pooling_params=None,
            arrival_time=float(index),
            lora_request=self.adapters[requests.adapter[index]] if self._needs_slot(index) else None,
            block_hasher=self._block_hasher,
        )

    def _needs_slot(self, index: int) -> bool:
        return bool(self.scenario.adapters.needs_slot[self.scenario.requests.adapter[index]])

    def _numbers(self) -> list[int]:
        """Number the requests of each adapter, and those of the base model, so that adapters get the same tokens.

        Only the adapter in vLLM's hashes keeps their blocks apart.
        """
        numbered: Counter[int | None] = Counter()
        numbers = []
        for index, adapter in enumerate(self.scenario.requests.adapter.tolist()):
            lora = adapter if self._needs_slot(index) else None
            numbers.append(numbered[lora])
            numbered[lora] += 1
        return numbers

    def _contents(self) -> dict[BlockHash, Key]:
        """Return what vLLM's hashes of blocks stand for: the first request with these tokens, and the block's place."""
        requests, contents = self.scenario.requests, dict[BlockHash, Key]()
        for index, tokens in enumerate((requests.input + requests.output).tolist()):
            for place, block_hash in enumerate(self._request(index, tokens).block_hashes):
                contents.setdefault(block_hash, (index, place))
        return contents

    def _content(self, block: KVCacheBlock) -> Key | None:
        return None if block.block_hash is None else self.contents[get_block_hash(block.block_hash)]

    def _plan(self) -> Planned:
        scheduler = self.scheduler
        start, unfinished = self.clock, scheduler.has_unfinished_requests()
        before = {request.request_id for request in scheduler.running}
        output = scheduler.schedule()
        tokens = {int(i): n for i, n in output.num_scheduled_tokens.items()}
        started = [
            (i, scheduler.requests[str(i)].num_computed_tokens - n) for i, n in tokens.items() if str(i) not in before
        ]
        self._count_hits()
        pool = scheduler.kv_cache_manager.block_pool
        cached = sorted(content for block in pool.blocks if (content := self._content(block)))
        assert len(pool.cached_block_hash_to_block) == len(set(cached))
        preempted = {int(i) for i in output.preempted_req_ids or ()}
        skipped = getattr(scheduler, "skipped_waiting", ())  # a queue of its own, looked at first, before 0.32
        queues = [[int(request.request_id) for request in queue] for queue in (skipped, scheduler.waiting)]
        waiting, last_first = (*queues[0], *queues[1]), queues[1][: len(preempted)]
        assert preempted == set(last_first)
        if unfinished:
            self.decisions.append(
                Decision(
                    clock=start,
                    tokens=tuple(tokens.items()),
                    preempted=tuple(reversed(last_first)),
                    running=tuple(int(request.request_id) for request in scheduler.running),
                    waiting=waiting,
                    free_blocks=pool.get_num_free_blocks(),
                    hits=tuple((index, hit) for index, hit in started if hit),
                    cached=tuple(cached),
                    queue=tuple(map(self._content, pool.free_block_queue.get_all_free_blocks())),
                )
            )
        planning, forward = self._costs(output) if unfinished else (0.0, 0.0)
        sampled = {i for i in output.num_scheduled_tokens if not scheduler.requests[i].is_prefill_chunk}
        both, planning = _nanoseconds(planning + forward), _nanoseconds(planning)
        self.clock += planning
        self.model_free = max(self.model_free, self.clock) + (both - planning if tokens else 0)
        return Planned(output, sampled, self.model_free if tokens else self.clock)

    def _take_output(self, planned: Planned) -> None:
        """Wait for the oldest batch and pass its tokens to the scheduler."""
        self.clock = max(self.clock, planned.end)
        ids = list(planned.output.num_scheduled_tokens)
        rows = [[self._token(int(request_id))] if request_id in planned.sampled else [] for request_id in ids]
        self.scheduler.update_from_output(
            planned.output,
            ModelRunnerOutput(
                req_ids=ids,
                req_id_to_index={request_id: i for i, request_id in enumerate(ids)},
                sampled_token_ids=rows,
            ),
        )

    def _count_hits(self) -> None:
        """Take what vLLM has counted since the last step; it counts requests that were preempted apart."""
        stats = self.scheduler.kv_cache_manager.make_prefix_cache_stats()
        if stats and self.limits.prefix_caching:
            self.queried_tokens += stats.queries
            self.hit_tokens += stats.hits

    def _token(self, index: int) -> int:
        """Return the request's next token and record the time at which the client sees it."""
        self.token_times[index].append(self.clock)
        return self._token_at(index, int(self.scenario.requests.input[index]) + len(self.token_times[index]) - 1)

    def _token_at(self, index: int, place: int) -> int:
        """Return a token of the prompt or the answer of a request: the same as another's where both begin alike."""
        source, tokens = self.scenario.requests.prefixes
        while len(source) and place < tokens[index]:
            index = int(source[index])
        return self.numbers[index] * MOST_TOKENS + place

    def _costs(self, output: SchedulerOutput) -> tuple[float, float]:
        """Return the seconds of planning and of the forward pass for the batch that vLLM planned."""
        scheduler, context, pairs, adapters = self.scheduler, 0, 0, set()
        for request_id, tokens in output.num_scheduled_tokens.items():
            request = scheduler.requests[request_id]
            computed = request.num_computed_tokens - tokens  # schedule() has already added them
            promised = request.num_output_placeholders - (self.limits.async_scheduling and not request.is_prefill_chunk)
            known = request.num_tokens + promised
            if known - computed == 1 and known > request.num_prompt_tokens:
                context += computed
            else:
                pairs += pairs_of_chunk(tokens, computed)
            if request.lora_request:
                adapters.add(request.lora_request.lora_int_id)
        _, waiting = scheduler.get_request_counts()
        planning = scheduler_seconds(self.scenario.scheduler_cost, len(output.num_scheduled_tokens), waiting)
        total = output.total_num_scheduled_tokens
        return planning, step_seconds(
            self.scenario.step_cost,
            tokens=total,
            sequences=len(output.num_scheduled_tokens),
            adapters=len(adapters),
            context=context,
            pairs=pairs,
        )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS + 0.5)


def _scheduler(limits: Limits, watermark: float) -> Scheduler:
    config = VllmConfig(
        model_config=_model(),
        scheduler_config=SchedulerConfig(
            max_num_seqs=limits.max_num_seqs,
            max_num_batched_tokens=limits.token_budget,
            max_model_len=LONGEST_MODEL_LEN,
            enable_chunked_prefill=True,
            is_encoder_decoder=False,
            scheduler_reserve_full_isl=limits.reserve_whole_prompt,
            **({"watermark": watermark} if watermark else {}),  # not before 0.24
        ),
        cache_config=CacheConfig(block_size=limits.block_size, enable_prefix_caching=limits.prefix_caching),
        lora_config=LoRAConfig(max_loras=limits.max_loras, max_cpu_loras=limits.max_cpu_loras, max_lora_rank=8)
        if limits.max_loras
        else None,
        device_config=DeviceConfig("cpu"),
    )
    config.scheduler_config.async_scheduling = limits.async_scheduling  # the CPU platform switches it off
    blocks = limits.kv_blocks + 1  # one is the null block
    config.cache_config.num_gpu_blocks = blocks
    spec = FullAttentionSpec(block_size=limits.block_size, num_kv_heads=2, head_size=32, dtype=torch.float32)
    return (AsyncScheduler if limits.async_scheduling else Scheduler)(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
        ),
        structured_output_manager=StructuredOutputManager(config),
        block_size=limits.block_size,
        log_stats=True,
    )


@cache
def _model() -> ModelConfig:
    """Return the smallest Llama that vLLM accepts, without weights and tokenizer."""
    shape = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "max_position_embeddings": LONGEST_MODEL_LEN,
        "torch_dtype": "float32",
    }
    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(shape))
        return ModelConfig(model=folder, dtype="float32", max_model_len=LONGEST_MODEL_LEN, skip_tokenizer_init=True)
