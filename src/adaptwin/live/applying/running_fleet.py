"""What runs: the adapters and settings of running servers, as they say themselves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from adaptwin.errors import ServerError
from adaptwin.live.applying.server_access import ServerAccess
from adaptwin.live.applying.tries import naming, tried
from adaptwin.live.connection import session_with
from adaptwin.live.listed_models import ListedModels
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.vllm_server import VllmServer


class ServerState(NamedTuple):
    """A running server, as it was asked last."""

    models: ListedModels
    metrics: ServerMetrics | None  # None if it has none
    version: str | None

    @property
    def loaded(self) -> dict[str, str]:
        """Path of each adapter that the server has loaded, by name."""
        return {adapter.name: adapter.root for adapter in self.models.adapters}


@asynccontextmanager
async def connected(access: Mapping[str, ServerAccess], api_key: str | None) -> AsyncIterator[dict[str, VllmServer]]:
    """Open a connection to each server, by name; `api_key` is for those that have no key of their own."""
    keys = {name: each.api_key(api_key, name) for name, each in access.items()}
    async with AsyncExitStack() as stack:
        sessions = {key: await stack.enter_async_context(session_with(key)) for key in set(keys.values())}
        yield {name: VllmServer(each.url, sessions[keys[name]]) for name, each in access.items()}


async def states_of(servers: Mapping[str, VllmServer]) -> dict[str, ServerState]:
    """Return the state of each server; raises `ServerError` for the first one that does not answer."""

    async def state(name: str, server: VllmServer) -> ServerState:
        with naming(name):
            return await state_of_server(server)

    found = await asyncio.gather(*(state(name, server) for name, server in servers.items()))
    return dict(zip(servers, found, strict=True))


async def state_of_server(server: VllmServer) -> ServerState:
    """Return the state of a server; raises `ServerError`."""
    models = await tried(server.models, only_if_answered=True)
    version = await server.version()
    try:
        metrics = await tried(server.metrics, only_if_answered=True)
    except ServerError:
        metrics = None
    return ServerState(models, metrics, version)
