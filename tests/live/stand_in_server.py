"""StandInServer: a small server with the HTTP interface of vLLM 0.32 and an engine of its own, which can be faulty.

Its engine takes steps of a fixed time. Each step gives every running request one token, at most `max_loras` adapters
run at once, and at most `max_num_seqs` requests. The server runs in a thread, on a free port of 127.0.0.1.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

BASE = "base-model"
BLOCK_SIZE, BLOCKS = 16, 1000
MAX_LORA_RANK, MAX_MODEL_LEN = 64, 4096
HISTOGRAMS = (
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
    "request_prefill_time_seconds",
    "iteration_tokens_total",
)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with a server; requests for completions count from 1."""

    fails_from: int | None = None  # request from which it answers 500
    fails_with: str = "EngineCore encountered an issue. See stack trace (above) for the root cause."
    dies_at: int | None = None  # request at which it closes its port and all connections
    hangs: frozenset[str] = frozenset()  # of "completions", "metrics", "models", "load", "unload": never answered
    fails_first: Mapping[str, int] = field(default_factory=dict)  # of the same: how often each answers 500 at first
    refuses_loads: str | None = None  # message of its refusal
    repeats_key: bool = False  # whether errors have the header with the key in them
    hangs_from: int = 1  # request from which completions are not answered
    breaks_after: int | None = None  # tokens after which each stream ends in the middle
    tokens_per_chunk: int = 1
    counts_in_chunks: bool = True  # whether each chunk has usage
    odd_event: bytes | None = None  # sent instead of each second token
    pings: bool = False  # sends comments, and never a token
    loses: str | None = None  # adapter that is unknown...
    loses_from: int = 1  # ...from this request on
    api_key: str | None = None  # that it asks for
    has_lora: bool = True
    metrics_are_missing: bool = False
    page: str | None = None  # answer to every request, as of another program; with the status
    status: int = 200


class Received(NamedTuple):
    """A request for a completion, and when it came on the clock of `time.perf_counter`."""

    time: float
    fields: dict[str, Any]


@dataclass(eq=False)
class _Sequence:
    """A request in the engine."""

    model: str
    prompt_tokens: int
    answer_tokens: int
    arrived: float
    tokens: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    generated: int = 0
    latest: float = 0.0  # token


class _Engine:
    """Waiting and running requests, and what the metrics count."""

    def __init__(self, step: float, max_loras: int, max_num_seqs: int) -> None:
        self.step, self.max_loras, self.max_num_seqs = step, max_loras, max_num_seqs
        self.waiting: list[_Sequence] = []
        self.running: list[_Sequence] = []
        self.counts: Counter[str] = Counter()
        self.sums = {name: [0.0, 0.0] for name in HISTOGRAMS}  # sum and count
        self.label_sets: dict[tuple[str, str], float] = {}
        self.most_adapters = self.most_running = 0
        self._has_work = asyncio.Event()

    def add(self, sequence: _Sequence) -> None:
        self.waiting.append(sequence)
        self._has_work.set()

    def drop(self, sequence: _Sequence) -> None:
        for queue in (self.waiting, self.running):
            if sequence in queue:
                queue.remove(sequence)

    async def run(self) -> None:
        while True:
            if not self.waiting and not self.running:
                self._has_work.clear()
                await self._has_work.wait()
            self._admit()
            await asyncio.sleep(self.step)
            self._yield_tokens()

    def _admit(self) -> None:
        for sequence in list(self.waiting):
            adapters = {each.model for each in self.running} - {BASE}
            has_slot = sequence.model in {*adapters, BASE} or len(adapters) < self.max_loras
            if has_slot and len(self.running) < self.max_num_seqs:
                self.waiting.remove(sequence)
                self.running.append(sequence)
        adapters = {each.model for each in self.running} - {BASE}
        self.most_adapters = max(self.most_adapters, len(adapters))
        self.most_running = max(self.most_running, len(self.running))
        self.label_sets[self.adapters_of(self.running), self.adapters_of(self.waiting)] = time.time()

    def _yield_tokens(self) -> None:
        now = time.perf_counter()
        self._observe("iteration_tokens_total", len(self.running))
        for sequence in list(self.running):
            if sequence.generated:
                self._observe("inter_token_latency_seconds", now - sequence.latest)
            else:
                self._observe("time_to_first_token_seconds", now - sequence.arrived)
                self._observe("request_prefill_time_seconds", self.step)
                self.counts["prompt_tokens"] += sequence.prompt_tokens
            sequence.generated, sequence.latest = sequence.generated + 1, now
            self.counts["generation_tokens"] += 1
            sequence.tokens.put_nowait(sequence.generated)
            if sequence.generated == sequence.answer_tokens:
                self.running.remove(sequence)
                self.counts["request_success"] += 1
        if not self.running and not self.waiting:
            self.label_sets["", ""] = time.time()

    def _observe(self, histogram: str, value: float) -> None:
        self.sums[histogram][0] += value
        self.sums[histogram][1] += 1

    @staticmethod
    def adapters_of(sequences: Sequence[_Sequence]) -> str:
        return ",".join(dict.fromkeys(each.model for each in sequences if each.model != BASE))


class StandInServer:
    """A server that runs from `start` to `stop`; `received` has its requests for completions."""

    def __init__(
        self,
        adapters: Sequence[str] = (),
        *,
        step: float = 0.01,
        max_loras: int = 8,
        max_num_seqs: int = 256,
        faults: Faults | None = None,
    ) -> None:
        self.adapters = {name: f"/adapters/{name}" for name in adapters}
        self.faults = faults or Faults()
        self.received: list[Received] = []
        self.loads: list[str] = []  # names of adapters, in the order in which they were loaded
        self.unloads: list[str] = []
        self.when: dict[str, Callable[[], object]] = {}  # called before a request for "models", "load" ... is answered
        self.keys: set[str | None] = set()  # headers with keys that came
        self.redirects_loads = False
        self._met: Counter[str] = Counter()
        self.url = ""
        self.is_dead = False
        self.engine: _Engine
        self._settings = (step, max_loras, max_num_seqs)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._is_up = threading.Event()

    def start(self) -> "StandInServer":
        """Start the server and return it once it has an address."""
        self._thread.start()
        assert self._is_up.wait(60)
        return self

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        self._loop.call_soon_threadsafe(self._must_stop.set)
        self._thread.join(60)

    def add_stuck(self, model: str) -> None:
        """Let a request run that never ends, as far as the metrics say."""
        sequence = _Sequence(model, 1, 1 << 30, time.perf_counter())
        self._loop.call_soon_threadsafe(self.engine.add, sequence)

    async def _serve(self) -> None:
        self._loop, self._must_stop = asyncio.get_running_loop(), asyncio.Event()
        self.engine = _Engine(*self._settings)
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.get("/version", self._version),
                web.get("/metrics", self._metrics),
                web.post("/v1/completions", self._completions),
                web.post("/v1/load_lora_adapter", self._load),
                web.post("/v1/unload_lora_adapter", self._unload),
            ]
        )
        if self.faults.page is not None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._page)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        engine = asyncio.create_task(self.engine.run())
        self._is_up.set()
        await self._must_stop.wait()
        engine.cancel()
        await asyncio.gather(engine, return_exceptions=True)
        await self._runner.cleanup()

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.faults.page, content_type="text/html", status=self.faults.status)

    async def _models(self, request: web.Request) -> web.Response:
        if not self._is_allowed(request):
            return _unauthorized()
        if fault := await self._fault("models", request):
            return fault
        cards = [
            {"id": BASE, "object": "model", "root": f"/models/{BASE}", "parent": None, "max_model_len": MAX_MODEL_LEN}
        ]
        if self.faults.has_lora:
            cards += [
                {"id": name, "object": "model", "root": path, "parent": BASE, "max_model_len": None}
                for name, path in self.adapters.items()
            ]
        return web.json_response({"object": "list", "data": cards})

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"})

    async def _metrics(self, request: web.Request) -> web.Response:
        if fault := await self._fault("metrics", request):
            return fault
        if self.faults.metrics_are_missing:
            return _error(404, "Not Found", "NotFoundError")
        return web.Response(text="\n".join(self._page_of_metrics()) + "\n")

    def _page_of_metrics(self) -> Iterator[str]:
        engine, labels = self.engine, f'engine="0",model_name="{BASE}"'
        yield "# HELP vllm:num_requests_running Number of requests in model execution batches."
        yield "# TYPE vllm:num_requests_running gauge"
        yield f"vllm:num_requests_running{{{labels}}} {float(len(engine.running))}"
        yield f"vllm:num_requests_waiting{{{labels}}} {float(len(engine.waiting))}"
        for reason, number in (("capacity", 0), ("deferred", len(engine.waiting))):
            yield f'vllm:num_requests_waiting_by_reason{{{labels},reason="{reason}"}} {float(number)}'
        used = sum(-(-(each.prompt_tokens + each.generated) // BLOCK_SIZE) for each in engine.running)
        yield f"vllm:kv_cache_usage_perc{{{labels}}} {used / BLOCKS}"
        yield f"vllm:num_preemptions_total{{{labels}}} 0.0"
        for name in ("prompt_tokens", "generation_tokens"):
            yield f"vllm:{name}_total{{{labels}}} {float(engine.counts[name])}"
        finished = float(engine.counts["request_success"])
        yield f'vllm:request_success_total{{{labels},finished_reason="length"}} {finished}'
        for name, (total, count) in engine.sums.items():
            yield f'vllm:{name}_bucket{{{labels},le="+Inf"}} {count}'
            yield f"vllm:{name}_count{{{labels}}} {count}"
            yield f"vllm:{name}_sum{{{labels}}} {total}"
        if self.faults.has_lora:
            for (running, waiting), when in engine.label_sets.items():
                names = f'running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
                yield f'vllm:lora_requests_info{{max_lora="{engine.max_loras}",{names}}} {when}'
        config = f'block_size="{BLOCK_SIZE}",engine="0",gpu_memory_utilization="0.92",num_gpu_blocks="{BLOCKS}"'
        yield f"vllm:cache_config_info{{{config}}} 1.0"

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        fields = await request.json()
        self.received.append(Received(time.perf_counter(), fields))
        number, faults = len(self.received), self.faults
        if not self._is_allowed(request):
            return _unauthorized()
        if faults.dies_at is not None and number >= faults.dies_at:
            await self._die()
        if faults.fails_from is not None and number >= faults.fails_from:
            return _error(500, faults.fails_with, "InternalServerError")
        if not self._serves(fields["model"], number):
            return _error(404, f"The model `{fields['model']}` does not exist.", "NotFoundError", "model")
        if number >= faults.hangs_from:
            await self._hang_if("completions")
        prompt = fields["prompt"]
        prompt_tokens = len(prompt.split()) if isinstance(prompt, str) else len(prompt)
        if prompt_tokens + fields["max_tokens"] > MAX_MODEL_LEN:
            asked = f"you requested {fields['max_tokens']} output tokens and your prompt contains {prompt_tokens}"
            what = f"This model's maximum context length is {MAX_MODEL_LEN} tokens. However, {asked} input tokens."
            return _error(400, what, "BadRequestError")
        return await self._stream(
            request, _Sequence(fields["model"], prompt_tokens, fields["max_tokens"], time.perf_counter())
        )

    def _serves(self, model: str, number: int) -> bool:
        is_lost = model == self.faults.loses and number >= self.faults.loses_from
        return model == BASE or (model in self.adapters and not is_lost)

    async def _stream(self, request: web.Request, sequence: _Sequence) -> web.StreamResponse:
        """Stream an answer as vLLM does: usage in each chunk and once more at the end, then [DONE]."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        while self.faults.pings:
            await response.write(b": ping\n\n")
            await asyncio.sleep(0.05)
        self.engine.add(sequence)
        try:
            await self._send_tokens(request, response, sequence)
        except ConnectionError:  # the client has gone
            pass
        finally:
            self.engine.drop(sequence)
        return response

    async def _send_tokens(self, request: web.Request, response: web.StreamResponse, sequence: _Sequence) -> None:
        unsent, faults = 0, self.faults
        while True:
            generated = await sequence.tokens.get()
            unsent += 1
            is_last = generated == sequence.answer_tokens
            if faults.breaks_after is not None and generated > faults.breaks_after:
                assert request.transport is not None
                request.transport.abort()
                return
            if faults.odd_event is not None and generated == 2:
                await response.write(faults.odd_event)
            if unsent == faults.tokens_per_chunk or is_last:
                reason = "length" if is_last else None
                choice = {"index": 0, "text": " word" * unsent, "logprobs": None, "finish_reason": reason}
                usage = _usage(sequence, generated) if faults.counts_in_chunks else {}
                await response.write(_event({"id": "cmpl-1", "choices": [choice], **usage}))
                unsent = 0
            if is_last:
                break
        await response.write(_event({"id": "cmpl-1", "choices": [], **_usage(sequence, sequence.answer_tokens)}))
        await response.write(b"data: [DONE]\n\n")

    async def _load(self, request: web.Request) -> web.Response:
        """Load an adapter; a path such as ``/adapters/NAME/RANK`` says its rank, and one elsewhere does not exist."""
        if fault := await self._fault("load", request):
            return fault
        if self.redirects_loads:
            raise web.HTTPFound("/version")
        fields = await request.json()
        name, path = fields["lora_name"], fields["lora_path"]
        if self.faults.refuses_loads is not None:
            return _error(400, self.faults.refuses_loads, "BadRequestError")
        if name in self.adapters and not fields.get("load_inplace"):
            what = f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set"
            return _error(400, f"{what} 'load_inplace' to True.", "InvalidUserInput")
        if not path.startswith("/adapters/"):
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        rank = path.rpartition("/")[2]
        if rank.isdigit() and int(rank) > MAX_LORA_RANK:
            what = f"LoRA rank {rank} is greater than max_lora_rank {MAX_LORA_RANK}."
            return _error(400, what, "BadRequestError")
        self.loads.append(name)
        self.adapters[name] = path
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        if fault := await self._fault("unload", request):
            return fault
        name = (await request.json())["lora_name"]
        if name not in self.adapters:
            return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.adapters[name]
        self.unloads.append(name)
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    def _is_allowed(self, request: web.Request) -> bool:
        key = self.faults.api_key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"

    async def _fault(self, what: str, request: web.Request) -> web.Response | None:
        """Return an error if this request is to fail, or never return if it is to hang."""
        self._met[what] += 1
        self.keys.add(request.headers.get("Authorization"))
        self.when.get(what, lambda: None)()
        await self._hang_if(what)
        if self._met[what] <= self.faults.fails_first.get(what, 0):
            key = f" (headers: {request.headers.get('Authorization')})" if self.faults.repeats_key else ""
            return _error(500, f"engine is busy{key}", "InternalServerError")
        return None

    async def _hang_if(self, what: str) -> None:
        if what in self.faults.hangs:
            await asyncio.Event().wait()

    async def _die(self) -> None:
        """Close the port and all connections, as the end of a process does."""
        if not self.is_dead:
            self.is_dead = True
            await self._site.stop()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.Event().wait()  # until this handler, whose connection is gone, is cancelled


def _usage(sequence: _Sequence, tokens: int) -> dict[str, Any]:
    total = sequence.prompt_tokens + tokens
    return {"usage": {"prompt_tokens": sequence.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _error(status: int, message: str, kind: str, param: str | None = None) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": status}
    return web.json_response({"error": error}, status=status)


def _unauthorized() -> web.Response:
    return web.json_response({"error": "Unauthorized"}, status=401)
