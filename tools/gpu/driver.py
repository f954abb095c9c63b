"""Driver: a vLLM engine in this process that takes one step at a time."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters import adapter_file, adapter_folder
from engine_arguments import engine_arguments
from engine_spec import EngineSpec
from models import MODELS
from options import Options
from points import Limits
from step_contents import TimedStep, contents
from stopwatches import LoadStopwatch, SchedulerStopwatch

IDS_PER_RANK = 1000  # the id of an adapter is its rank times this, and its index
MOST_TURNS_TO_DRAIN = 10_000
WEIGHTS = 0.02  # standard deviation of random weights


class Driver:
    """An engine that is stepped by hand, with what was in every step, and its time.

    Requests are added with the first tokens of their prompt counted as computed, so that a batch of 256 requests at
    4,000 tokens each stands at once, without a prefill.
    """

    def __init__(self, model: str, spec: EngineSpec, options: Options) -> None:
        self.model, self.spec, self.options = model, spec, options
        import torch
        from vllm.lora.request import LoRARequest
        from vllm.usage.usage_lib import UsageContext

        from vllm import EngineArgs, LLMEngine, SamplingParams

        self._torch, self._sampling, self._lora_request = torch, SamplingParams, LoRARequest
        arguments = engine_arguments(model, spec, options)
        began = time.perf_counter()
        self.engine = LLMEngine.from_engine_args(EngineArgs(**arguments), usage_context=UsageContext.OPENAI_API_SERVER)
        self.start_seconds = time.perf_counter() - began
        self._client = self.engine.engine_core
        self.core = self._client.engine_core
        self.scheduler = self.core.scheduler
        self.worker = self.core.model_executor.driver_worker.worker
        self.runner = self.worker.model_runner
        self.limits = self._limits(arguments["max_model_len"])
        self.alive: set[str] = set()  # requests that are not finished
        self._adapter_of: dict[str, int] = {}
        self._requests = 0
        self._last = 0.0  # when the last step ended
        self._words = [(7 * k) % (MODELS[model].vocabulary - 100) + 50 for k in range(self.limits.max_model_len)]
        self._stopwatch = SchedulerStopwatch(self.scheduler)
        self._loads: LoadStopwatch | None = None
        if spec.max_loras:
            manager = self.runner.lora_manager
            self._loads = LoadStopwatch(manager, self.synchronize, rank_of=lambda adapter: adapter // IDS_PER_RANK)

    def _limits(self, max_model_len: int) -> Limits:
        config = self.scheduler.scheduler_config
        return Limits(config.max_num_seqs, config.max_num_batched_tokens, max_model_len, self.kv_cache_tokens)

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        config = self.core.vllm_config.cache_config
        return int((config.num_gpu_blocks or 0) * config.block_size)

    def synchronize(self) -> None:
        """Wait until the GPU has done all that was asked of it."""
        if not self.options.cpu:
            self._torch.cuda.synchronize()

    def fill(self, *, weights: bool = False) -> str:
        """Random numbers for the KV cache, norms of 1, and weights if asked; an error's words where that fails.

        Kernels run faster on zeros than on data, so that times are a little too good then, and nothing else.
        """
        try:
            with self._torch.inference_mode():
                for name, tensor in self.runner.model.named_parameters():
                    if "norm" in name:
                        tensor.fill_(1.0)
                    elif weights and "lora" not in name:
                        tensor.normal_(0.0, WEIGHTS)
                for cache in self.runner.kv_caches:
                    for tensor in cache if isinstance(cache, list | tuple) else [cache]:
                        tensor.normal_()
                self.synchronize()
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        return ""

    # -- adapters

    def adapter(self, rank: int, index: int) -> Any:
        """An adapter of a rank as vLLM takes it, whose files are made if they are not there."""
        folder = adapter_folder(self.options.state, self.model, rank, index, self.options.dtype)
        return self._lora_request(f"a{rank}-{index}", IDS_PER_RANK * rank + index, str(folder))

    def adapters(self, rank: int, count: int) -> list[Any]:
        """The first adapters of a rank, on the GPU."""
        found = [self.adapter(rank, index) for index in range(count)]
        self.load(found)
        return found

    def load(self, adapters: list[Any]) -> None:
        """Bring adapters to the GPU, as a step would."""
        with self._torch.inference_mode():
            for adapter in adapters:
                self.runner.lora_manager.add_adapter(adapter)

    def load_from_device(self, adapter: Any, rank: int) -> None:
        """Load an adapter whose file is out of the page cache."""
        assert self._loads, "the server has no adapters"
        path = adapter_file(self.options.state, self.model, rank, self.options.dtype)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        self._loads.cold = True
        self.load([adapter])
        self._loads.cold = False

    @contextmanager
    def unobserved_loads(self) -> Iterator[None]:
        """Let adapters be loaded as on a server, without waiting for the GPU to time them."""
        if self._loads:
            self._loads.paused = True
        try:
            yield
        finally:
            if self._loads:
                self._loads.paused = False

    def loads(self) -> list[dict[str, Any]]:
        """The loads of adapters since the last call."""
        return self._loads.taken() if self._loads else []

    # -- requests and steps

    def add(self, prompt: int, answer: int, *, computed: int = 0, adapter: Any = None) -> str:
        """Send a request of which some tokens count as computed; returns its id."""
        self._requests += 1
        params = self._sampling(max_tokens=answer, ignore_eos=True, temperature=0.0, detokenize=False)
        name, words = f"r{self._requests}", {"prompt_token_ids": self._words[:prompt]}
        request = self.engine.add_request(name, words, params, lora_request=adapter) or name
        if computed:
            self._stopwatch.computed[request] = computed
        self._adapter_of[request] = adapter.lora_int_id if adapter else 0
        self.alive.add(request)
        return request

    def step(self) -> tuple[list[Any], TimedStep | None]:
        """One turn of the engine: what came out, and the step that it came from, if any did."""
        self._stopwatch.finished = None
        outputs = self._client.get_output()
        now = time.perf_counter()
        done = [output for output in outputs.outputs if output.finished]
        if done:
            self.engine.output_processor.process_outputs(done, engine_core_timestamp=outputs.timestamp)
            self.alive.difference_update(output.request_id for output in done)
        planned = self._stopwatch.finished
        if not planned or not planned.output.total_num_scheduled_tokens:
            return outputs.outputs, None
        seconds = now - max(planned.begun, self._last)
        self._last = now
        return outputs.outputs, TimedStep(planned.output, seconds, planned.planning, planned.waiting, planned.update)

    def contents(self, step: TimedStep) -> dict[str, float]:
        """What was in a step, before `drain` forgets its requests."""
        return contents(step, self._adapter_of)

    def drain(self) -> None:
        """End all requests, whatever was running."""
        if self.alive:
            self._client.abort_requests(self.engine.output_processor.abort_requests(list(self.alive), internal=True))
        for _ in range(MOST_TURNS_TO_DRAIN):
            if not (self.scheduler.has_requests() or getattr(self.core, "batch_queue", None)):
                break
            self.step()
        self.alive.clear()
        self._stopwatch.computed.clear()
        self._adapter_of.clear()
