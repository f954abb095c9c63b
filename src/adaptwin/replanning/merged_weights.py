"""Merged weights in a running fleet: which adapter a server has merged, and where its weights have changed since.

A server with merged weights can neither load nor unload an adapter. When its adapter leaves, or gets other weights, the
server stops or restarts.
"""

from collections.abc import Iterable, Mapping

from adaptwin.plan.plan import PlacedServer
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Adapter


def merged_adapter(settings: Server, adapters: Iterable[str]) -> str | None:
    """Return the adapter whose weights a server has merged, its only one; None for a server without merged weights."""
    return next(iter(adapters), None) if settings.merged else None


def loaded_weights(adapter: Adapter) -> tuple[object, ...]:
    """What identifies the weights of an adapter: where it changes, the adapter must be loaded or merged again."""
    return adapter.rank, adapter.artifact, adapter.target_modules


def with_old_weights(
    servers: Iterable[PlacedServer], before: Mapping[str, Adapter], after: Mapping[str, Adapter]
) -> frozenset[str]:
    """Return the servers with merged weights whose adapter has left or has other weights now.

    `before` and `after` have the adapters of the running and of the new fleet by name.
    """
    merged = ((server.name, merged_adapter(server.server, server.adapters)) for server in servers)
    return frozenset(
        server
        for server, name in merged
        if name is not None and (name not in after or loaded_weights(after[name]) != loaded_weights(before[name]))
    )
