"""Tries: calls of servers that are made again after a pause, and errors that name the server of the plan."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from adaptwin.errors import ServerError

TRIES = 4  # of a call
FIRST_PAUSE = 1.0  # seconds before the second try; each further one waits twice as long

_Answer = TypeVar("_Answer")


async def tried(take: Callable[[], Awaitable[_Answer]], *, only_if_answered: bool = False) -> _Answer:
    """Return what a call returns, made again after a pause if the server fails but does not refuse.

    Args:
        take: The call.
        only_if_answered: Whether a server that gives no answer at all is not asked again.

    Raises:
        ServerError: The last try failed, or the server refused.
    """
    for pause in _pauses():
        try:
            return await take()
        except ServerError as error:
            was_refused = error.status is not None and error.status < 500
            if pause is None or was_refused or (only_if_answered and error.status is None):
                raise
            await asyncio.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _pauses() -> Iterator[float | None]:
    yield from (FIRST_PAUSE * 2**number for number in range(TRIES - 1))
    yield None


@contextmanager
def naming(server: str) -> Iterator[None]:
    """Let a `ServerError` name the server of the plan besides its address."""
    try:
        yield
    except ServerError as error:
        raise ServerError(f"{server}: {error.message}", error.url, error.status) from None
