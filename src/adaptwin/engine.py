"""The engine that runs many simulations: the cores of this machine, or a Ray cluster."""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
from joblib.parallel import get_active_backend

from adaptwin.errors import SpecError

NO_RAY = "ray needs Ray: pip install 'adaptwin[ray]'"
Returned = TypeVar("Returned")


def require_engine(engine: str, address: str | None) -> None:
    """Raise `SpecError` if there is no such engine, or an address is given for another one than Ray."""
    if engine not in ("local", "ray"):
        raise SpecError(f"{engine!r} is not one of local, ray", "engine")
    if address is not None and engine != "ray":
        raise SpecError(f"{address!r} needs the engine ray", "address")


@contextmanager
def workers(engine: str, address: str | None = None) -> Iterator[None]:
    """Run simulations on this engine within the context; Ray is left as it was before, running or not.

    Args:
        engine: ``"local"``, the cores of this machine, or ``"ray"``.
        address: Address of a running Ray cluster, such as ``head:6379``; with None, Ray is started on this machine if
            it does not run.

    Raises:
        SpecError: Ray is not installed, no cluster answers at the address, or the engine is not known.
    """
    require_engine(engine, address)
    if engine == "local":
        yield
        return
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise SpecError(NO_RAY, "engine") from None
    was_running = ray.is_initialized()
    if not was_running:
        _require_answer(address)
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SpecError(f"{address or 'Ray on this machine'}: {error}", "address") from None
    try:
        register_ray()  # type: ignore[no-untyped-call]
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        if not was_running:
            ray.shutdown()


def in_order(calls: Iterable[tuple[Callable[..., Returned], Any, Any]], jobs: int) -> Iterator[Returned]:
    """Yield the results of calls, made by `joblib.delayed`, in their order: as soon as they are there, if possible.

    Local calls share the memory of this process. joblib cannot return results from Ray one by one.
    """
    backend, _ = get_active_backend()
    one_by_one = getattr(backend, "supports_return_generator", False)
    if one_by_one:
        yield from joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(calls)
    else:
        yield from joblib.Parallel(n_jobs=jobs, prefer="threads")(calls)


def _require_answer(address: str | None) -> None:
    """Raise `SpecError` if nothing answers at host:port; Ray itself would retry for a quarter of an hour."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10.0).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SpecError(f"{address}: no Ray cluster answers there ({error})", "address") from None
