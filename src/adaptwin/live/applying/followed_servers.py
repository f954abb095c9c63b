"""FollowedServers: several servers behind the routes of a file, which is read again whenever it changes."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adaptwin.errors import ServerError
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.applying.running_fleet import states_of
from adaptwin.live.listed_models import ListedModels
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.vllm_server import VllmServer


class FollowedServers:
    """Servers of which each request is sent to one, by the routes that a file holds when the request is due.

    Args:
        path: The routes file.
        servers: Connections, by name of the server.
        seed: Seed of the choice among the servers of a split adapter.
    """

    def __init__(self, path: Path, servers: Mapping[str, VllmServer], seed: int) -> None:
        self.url, self._path, self._servers = str(path), path, servers
        self._random = np.random.default_rng(seed)
        self._read_at: tuple[int, int, int] | None = None
        self._routes: dict[str, dict[str, float]] = {}

    def server_for(self, adapter: str) -> VllmServer:
        """Return the server that takes the next request of an adapter; raises `ServerError` if it has none."""
        route = self._current().get(adapter)
        if not route:
            raise ServerError(f"the routes have no server for {adapter!r}", self.url)
        names = list(route)
        if unknown := [name for name in names if name not in self._servers]:
            raise ServerError(f"the routes name {unknown[0]!r}, which has no address", self.url)
        if len(names) == 1:
            return self._servers[names[0]]
        shares = np.array([route[name] for name in names])
        return self._servers[names[int(self._random.choice(len(names), p=shares / shares.sum()))]]

    async def models(self) -> ListedModels:
        """Return the models of all servers together; raises `ServerError` if one does not answer."""
        found = [state.models for state in (await states_of(self._servers)).values()]
        return ListedModels(found[0].base, tuple(adapter for each in found for adapter in each.adapters))

    async def version(self) -> str | None:
        """Return the version of vLLM of the first server."""
        return await next(iter(self._servers.values())).version()

    async def metrics(self) -> ServerMetrics:
        """Raise `ServerError`: several servers have no metrics in common."""
        raise ServerError("several servers have no metrics in common", self.url)

    def _current(self) -> dict[str, dict[str, float]]:
        """Return the routes that the file holds now."""
        found = os.stat(self._path)
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._read_at:
            self._routes, self._read_at = RoutesFile.read(self._path).routes, stamp
        return self._routes
