"""A stand-in for vLLM: its engine's surface, over a scheduler that is simple and a GPU that only takes time.

STAND_IN_NEEDS names arguments without which no engine starts; STAND_IN_BUSY a folder in which the first engine to start
leaves a file, and finds the GPU's memory taken; STAND_IN_HANGS a folder in which an engine leaves its process id, and
never starts; STAND_IN_FAILS a number of tokens at which steps raise an error.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace

from vllm.scheduler import Scheduler

__version__ = "0.26.0"
BLOCK = 16
SECONDS = 2e-4  # of a step


class EngineArgs(SimpleNamespace):
    enable_lora = False
    max_loras = 0
    max_cpu_loras = 0
    max_num_seqs = 1024
    max_num_batched_tokens = 8192


class SamplingParams(SimpleNamespace):
    pass


class Adapters:
    """Both of vLLM's adapter managers."""

    def __init__(self, slots):
        self.slots, self.known, self._active_adapters, self._adapter_manager = slots, set(), {}, self
        self.loads = 0  # from host memory

    def list_adapters(self):
        return self.known

    def activate_adapter(self, adapter):
        if adapter in self._active_adapters:
            return
        self.loads += 1
        self._active_adapters[adapter] = None
        if len(self._active_adapters) > self.slots:
            self._active_adapters.pop(next(iter(self._active_adapters)))

    def add_adapter(self, request):
        self.known.add(request.lora_int_id)
        self._adapter_manager.activate_adapter(request.lora_int_id)


class LLMEngine:
    """The engine, and by other names its client and its core."""

    def __init__(self, args):
        _fail_as_asked(args)
        self.engine_core = self
        self.scheduler = Scheduler(args.max_num_seqs, args.max_num_batched_tokens, args.max_loras)
        self.vllm_config = SimpleNamespace(
            cache_config=SimpleNamespace(num_gpu_blocks=40_000, block_size=BLOCK, gpu_memory_utilization=0.9),
            scheduler_config=self.scheduler.scheduler_config,
            lora_config=SimpleNamespace(max_cpu_loras=args.max_cpu_loras) if args.enable_lora else None,
            compilation_config=SimpleNamespace(
                compilation_time=0.0, cudagraph_mode="NONE", cudagraph_capture_sizes=[], static_forward_context={}
            ),
        )
        runner = SimpleNamespace(model=self, kv_caches=[], lora_manager=Adapters(args.max_loras))
        self.model_executor = SimpleNamespace(
            driver_worker=SimpleNamespace(worker=SimpleNamespace(model_runner=runner))
        )
        self.output_processor = SimpleNamespace(
            process_outputs=lambda *_, **__: None, abort_requests=lambda names, **_: names
        )

    @classmethod
    def from_engine_args(cls, args, usage_context):
        assert usage_context == "the API server"
        return cls(args)

    def named_parameters(self):
        return []

    def add_request(self, name, prompt, params, lora_request=None):
        self.scheduler.add(name, len(prompt["prompt_token_ids"]), params.max_tokens, lora_request)

    def abort_requests(self, names):
        self.scheduler.drop(names)

    def get_output(self):
        output = self.scheduler.schedule()
        if output.total_num_scheduled_tokens == int(os.environ.get("STAND_IN_FAILS", "-1")):
            raise RuntimeError("the stand-in fails as asked")
        for adapter in output.adapters:
            self.model_executor.driver_worker.worker.model_runner.lora_manager.add_adapter(adapter)
        time.sleep(SECONDS)
        return SimpleNamespace(outputs=self.scheduler.update_from_output(output), timestamp=0.0)


def _fail_as_asked(args):
    for name in os.environ.get("STAND_IN_NEEDS", "").split():
        if not hasattr(args, name):
            raise RuntimeError(f"this stand-in needs {name}")
    if folder := os.environ.get("STAND_IN_BUSY"):
        before = Path(folder) / "before"
        if not before.exists():
            before.write_text("")
            raise ValueError("Free memory on device (1/80 GiB) on startup is less than desired GPU memory utilization")
    if folder := os.environ.get("STAND_IN_HANGS"):
        (Path(folder) / str(os.getpid())).write_text("")
        time.sleep(600)
