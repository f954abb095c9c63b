"""Connections to running servers: their addresses, the API key, and what goes wrong on the way, in words."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adaptwin.errors import ServerError, SpecError
from adaptwin.visible import quoted

if TYPE_CHECKING:
    import aiohttp

API_KEY_VARIABLES = ("VLLM_API_KEY", "OPENAI_API_KEY")
USUAL_TIMEOUT = 10.0  # seconds for an answer that does not generate text
_KEPT_ALIVE = 2.0  # seconds that an idle connection is kept: servers close theirs after 5
_LONGEST_ANSWER = 300  # characters of a server's message that are shown


def server_url(text: str) -> str:
    """Return the address of a server without a path, which is ``http://HOST:PORT``; raises `SpecError`.

    The address of its API, ``http://HOST:PORT/v1``, is that of the server.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address or parts.query or parts.fragment:
        raise SpecError(f"{quoted(text)} is no address of a server, such as http://localhost:8000", "url")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def server_urls(texts: Sequence[str]) -> list[str]:
    """Return the addresses of different servers; raises `SpecError` for one that is given twice."""
    urls = [server_url(text) for text in texts]
    for place, url in enumerate(urls):
        if url in urls[:place]:
            raise SpecError(f"{url} is given twice", "url")
    return urls


def api_key_of_environment() -> str | None:
    """Return the API key that the environment names, if any."""
    return next((os.environ[name] for name in API_KEY_VARIABLES if os.environ.get(name)), None)


@asynccontextmanager
async def session_with(api_key: str | None, connections: int = 0) -> AsyncIterator["aiohttp.ClientSession"]:
    """Open a session with at most this many connections; 0: any number.

    Raises:
        SpecError: aiohttp is not installed.
    """
    try:
        import aiohttp
    except ModuleNotFoundError:
        raise SpecError("talking to a server needs aiohttp: pip install 'adaptwin[live]'") from None
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEPT_ALIVE)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield session


@contextmanager
def said_as_server_error(url: str, seconds: float | None = None) -> Iterator[None]:
    """Turn what goes wrong with a connection into a `ServerError`; `seconds` is the time that was given to it."""
    import aiohttp

    try:
        yield
    except TimeoutError:
        raise ServerError(f"no answer within {seconds:g} s" if seconds else "no answer in time", url) from None
    except aiohttp.ClientConnectorDNSError:
        raise ServerError("no such host", url) from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or str(error.os_error)
        raise ServerError(f"cannot be reached: {_of_error_number(reason)}", url) from None
    except aiohttp.ServerDisconnectedError:
        raise ServerError("closed the connection without an answer", url) from None
    except (aiohttp.ClientPayloadError, aiohttp.ClientOSError, ConnectionError) as error:
        raise ServerError(f"the connection broke: {_of_error_number(str(error))}", url) from None
    except aiohttp.ClientError as error:
        raise ServerError(f"the answer is no HTTP: {str(error)[:_LONGEST_ANSWER]}", url) from None


def _of_error_number(reason: str) -> str:
    """Return the words of an error of the operating system, which asyncio puts behind a number and an address."""
    return "connection refused" if "Connect call failed" in reason else reason[:_LONGEST_ANSWER]


def require_answered(status: int, text: str, url: str, what: str) -> None:
    """Raise `ServerError` unless the status is one of success."""
    if status in (401, 403):
        names = " or ".join(API_KEY_VARIABLES)
        raise ServerError(f"{what}: the server asks for an API key: give --api-key, or set {names}", url)
    if not 200 <= status < 300:
        raise ServerError(f"{what}: the server answered {status}: {message_of(text)}", url)


async def get_text(
    session: "aiohttp.ClientSession", url: str, path: str, timeout: float, query: dict[str, str] | None = None
) -> str:
    """Return the text of a page of a server; raises `ServerError` if there is none within `timeout` seconds."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=timeout)
    with said_as_server_error(url, timeout):
        async with session.get(f"{url}{path}", timeout=limit, params=query) as response:
            text = await response.text(errors="replace")
    require_answered(response.status, text, url, f"GET {path}")
    return text


def message_of(text: str) -> str:
    """Return what an error of vLLM says, in one line."""
    import json

    try:
        data = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:_LONGEST_ANSWER] or "nothing"
    error = data.get("error", data) if isinstance(data, dict) else data
    said = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(said).split())[:_LONGEST_ANSWER]


def in_event_loop(work: Callable[[], Any]) -> Any:
    """Run an asynchronous function to its end and return what it returns."""
    return asyncio.run(work())
