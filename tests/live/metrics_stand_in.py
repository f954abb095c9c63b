"""Small HTTP servers on free ports: pages of /metrics as vLLM gives them, and the API of Prometheus."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Any]


@contextmanager
def serving(handlers: Mapping[str, Handler], *, ssl_context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve pages by their paths in a thread, and yield the address."""
    loop, started, found = asyncio.new_event_loop(), threading.Event(), []

    async def start() -> web.AppRunner:
        app = web.Application()
        for path, handler in handlers.items():
            app.router.add_get(path, _answering(handler))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        found.append(runner.addresses[0][1])
        return runner

    def work() -> None:
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"http{'s' if ssl_context else ''}://127.0.0.1:{found[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _answering(handler: Handler) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        found = handler(request)
        return web.Response(text=found) if isinstance(found, str) else web.json_response(found)

    return answer


def vllm_handlers(page: Callable[[int], str], adapters: Mapping[str, str] | None = None) -> dict[str, Handler]:
    """Return the pages of a vLLM server, whose metrics depend on how often they were asked for."""
    asked = iter(range(10_000))
    models = [{"id": "llama", "root": "llama", "parent": None}]
    models += [{"id": name, "root": path, "parent": "llama"} for name, path in (adapters or {}).items()]
    return {"/metrics": lambda _: page(next(asked)), "/v1/models": lambda _: {"data": models}}


def prometheus_handlers(result: list[dict[str, Any]], queries: list[str]) -> dict[str, Handler]:
    """Return the API of a Prometheus server that has these series, and note what it is asked for."""

    def query(request: web.Request) -> dict[str, Any]:
        queries.append(request.query["query"])
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    return {
        "/api/v1/status/buildinfo": lambda _: {"status": "success", "data": {"version": "3.5.0"}},
        "/api/v1/query": query,
    }
