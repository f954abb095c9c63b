"""PretendExecutor: vLLM's executor with a GPU that runs no model, and takes for a step what `law.py` says."""

import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import torch
from vllm.v1.executor.abstract import Executor
from vllm.v1.kv_cache_interface import FullAttentionSpec
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput

from law import ADAPTER, BASE, CONTEXT, LAUNCH, PAIR, SLOT, TOKEN
from rehearse import BYTES

MEMORY, WEIGHTS, ACTIVATIONS = 0.9, 16.06e9, 4.9e9  # share of the GPU, bytes
SLOT_BYTES, SLOT_BYTES_PER_RANK = 6.3e6, 5.76e6
HOST_LOAD, HOST_LOAD_PER_RANK, DISK_LOAD, DISK_LOAD_PER_RANK = 6e-3, 1e-4, 2e-2, 1e-3  # seconds
IDS_PER_RANK = 1000  # as in driver.py
WORD = 7  # the answer to everything
SHORT = 5e-4  # seconds that a sleep may last too long


class PretendAdapters:
    """Slots and host memory as sets, with the time that loads take: vLLM's two adapter managers in one."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.known: set[int] = set()
        self._active_adapters: dict[int, None] = {}  # the least recently used first
        self._adapter_manager = self

    def list_adapters(self) -> set[int]:
        """Adapters in host memory."""
        return set(self.known)

    def activate_adapter(self, adapter: int) -> bool:
        """Put an adapter into a slot; false where it is in one."""
        if adapter in self._active_adapters:
            self._active_adapters[adapter] = self._active_adapters.pop(adapter)
            return False
        while len(self._active_adapters) >= self.slots:
            self._active_adapters.pop(next(iter(self._active_adapters)))
        self._active_adapters[adapter] = None
        time.sleep(HOST_LOAD + HOST_LOAD_PER_RANK * (adapter // IDS_PER_RANK))
        return True

    def add_adapter(self, request: Any) -> bool:
        """Load an adapter from disk, unless it is known, and put it into a slot."""
        if request.lora_int_id not in self.known:
            time.sleep(DISK_LOAD + DISK_LOAD_PER_RANK * (request.lora_int_id // IDS_PER_RANK))
            self.known.add(request.lora_int_id)
        return self._adapter_manager.activate_adapter(request.lora_int_id)


class Result(Future):
    """What the GPU gives, known when it has come to it."""

    def __init__(self, value: Any, moment: float) -> None:
        super().__init__()
        self.value, self.moment = value, moment

    def done(self) -> bool:
        """Whether the GPU has come to it."""
        return time.perf_counter() >= self.moment

    def result(self, timeout: float | None = None) -> Any:
        """The value, after waiting for it."""
        _wait_until(self.moment)
        return self.value


class PretendExecutor(Executor):
    """One worker that runs no model, and keeps the GPU busy for as long as the law says."""

    def _init_executor(self) -> None:
        lora = self.vllm_config.lora_config
        self.slots: int = lora.max_loras if lora else 0
        self.rank: int = lora.max_lora_rank if lora else 0
        self.adapters = PretendAdapters(self.slots)
        self.prompts: dict[str, int] = {}
        self.computed: dict[str, int] = {}
        self.loras: dict[str, Any] = {}
        self.busy = 0.0  # until when the GPU is
        self.pending: Result | None = None
        model = SimpleNamespace(named_parameters=list)
        runner = SimpleNamespace(kv_caches=[], model=model, lora_manager=self.adapters)
        self.driver_worker = SimpleNamespace(worker=SimpleNamespace(model_runner=runner))

    def initialize_from_config(self, kv_cache_configs: Any) -> None:
        """Nothing to allocate."""

    def check_health(self) -> None:
        """Always well."""

    @classmethod
    def supports_async_scheduling(cls) -> bool:
        """The host may plan a step while the GPU runs the one before."""
        return True

    def determine_available_memory(self) -> list[int]:
        """Bytes for the KV cache."""
        slots = self.slots * (SLOT_BYTES + SLOT_BYTES_PER_RANK * self.rank)
        return [int(BYTES * MEMORY - WEIGHTS - ACTIVATIONS - slots)]

    def get_kv_cache_specs(self) -> list[dict[str, FullAttentionSpec]]:
        """What the layers of the model need."""
        config = self.vllm_config.model_config.hf_config
        spec = FullAttentionSpec(
            block_size=16, num_kv_heads=config.num_key_value_heads, head_size=128, dtype=torch.bfloat16
        )
        return [{f"model.layers.{layer}.self_attn.attn": spec for layer in range(config.num_hidden_layers)}]

    def collective_rpc(self, method: str, *_: Any, single_value: bool = False, **__: Any) -> Any:
        """The one answer that the engine needs."""
        told = {"get_supported_tasks": ("generate",)}.get(method)
        return told if single_value else [told]

    def execute_model(self, output: Any, non_block: bool = False) -> Any:
        """Launch a step; `sample_tokens` has its result."""
        if not output.total_num_scheduled_tokens:
            return Result(EMPTY_MODEL_RUNNER_OUTPUT, 0.0) if non_block else EMPTY_MODEL_RUNNER_OUTPUT
        for new in output.scheduled_new_reqs:
            self.prompts[new.req_id] = len(new.prompt_token_ids)
            self.computed[new.req_id] = new.num_computed_tokens
            self.loras[new.req_id] = new.lora_request
        seconds, rows = self._take(output.num_scheduled_tokens)
        _wait_until(time.perf_counter() + LAUNCH)
        self.busy = max(self.busy, time.perf_counter()) + seconds
        names = list(output.num_scheduled_tokens)
        positions = {name: index for index, name in enumerate(names)}
        told = ModelRunnerOutput(req_ids=names, req_id_to_index=positions, sampled_token_ids=rows)
        self.pending = Result(told, self.busy)
        return Result(None, 0.0) if non_block else None

    def sample_tokens(self, grammar_output: Any, non_block: bool = False) -> Any:
        """The result of the step that was launched."""
        assert self.pending, "no step was launched"
        return self.pending if non_block else self.pending.result()

    def _take(self, scheduled: dict[str, int]) -> tuple[float, list[list[int]]]:
        """Seconds of the step on the GPU, and the tokens that it gives."""
        seconds, used, rows = BASE + SLOT * self.slots, set(), []
        for request, tokens in scheduled.items():
            behind = self.computed[request]
            pairs = tokens * behind + tokens * (tokens + 1) // 2
            seconds += TOKEN * tokens + (CONTEXT * behind if tokens == 1 else PAIR * pairs)
            if self.loras[request]:
                used.add(self.loras[request].lora_int_id)
                self.adapters.add_adapter(self.loras[request])
            self.computed[request] = behind + tokens
            rows.append([WORD] if behind + tokens >= self.prompts[request] else [])
        return seconds + ADAPTER * len(used), rows


def _wait_until(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        if left > 2 * SHORT:
            time.sleep(left - SHORT)
