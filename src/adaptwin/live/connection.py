"""Connections to running servers: their addresses, the API key, and what goes wrong on the way, in words."""

import asyncio
import errno
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adaptwin.errors import ServerError, SpecError
from adaptwin.visible import quoted, visible

if TYPE_CHECKING:
    import aiohttp

API_KEY_VARIABLES = ("VLLM_API_KEY", "OPENAI_API_KEY")
USUAL_TIMEOUT = 10.0  # seconds for an answer that does not generate text
_KEPT_ALIVE = 2.0  # seconds that an idle connection is kept: servers close theirs after 5
_LONGEST_MESSAGE = 300  # characters of a server's message that are shown
_LEAST_HIDDEN = 4  # characters of a key that is hidden where a server repeats it
_KEYS_IN_USE: ContextVar[tuple[str, ...]] = ContextVar("keys of the open sessions", default=())
_LARGEST_BODY = 1 << 26  # bytes of an answer that is no stream; metrics of many sets of adapters have some 10 MB


def server_url(text: str) -> str:
    """Return the address of a server without a path, which is ``http://HOST:PORT``; raises `SpecError`.

    The address of its API, ``http://HOST:PORT/v1``, is that of the server.
    """
    wrong = SpecError(f"{quoted(text)} is no address of a server, such as http://localhost:8000", "url")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        has_port = parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        raise wrong from None
    if parts.username is not None:
        raise SpecError(f"{quoted(parts.hostname)} needs no user in its address: give a key with --api-key", "url")
    is_plain = bool(parts.hostname) and "=" not in parts.netloc and not re.search(r"[\s\x00-\x1f\x7f-\x9f?#]", text)
    if parts.scheme not in ("http", "https") or not has_port or not is_plain:
        raise wrong
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

    Its requests go to no other address than those they are for: a redirect to another server is an error. While it is
    open, `without_keys` hides its key.

    Raises:
        SpecError: aiohttp is not installed, or the API key cannot be sent.
    """
    if api_key:
        require_sendable(api_key, "api_key")
    try:
        import aiohttp
    except ModuleNotFoundError:
        raise SpecError("talking to a server needs aiohttp: pip install 'adaptwin[live]'") from None
    _allow_many_connections()
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEPT_ALIVE)
    redirects = aiohttp.TraceConfig()
    redirects.on_request_redirect.append(_require_same_server)
    hidden = _KEYS_IN_USE.set((*_KEYS_IN_USE.get(), *([api_key] if api_key and len(api_key) >= _LEAST_HIDDEN else [])))
    try:
        async with aiohttp.ClientSession(headers=headers, connector=connector, trace_configs=[redirects]) as session:
            yield session
    finally:
        with suppress(ValueError):  # the session was opened in another task
            _KEYS_IN_USE.reset(hidden)


def require_sendable(api_key: str, field: str) -> None:
    """Raise `SpecError`, which does not repeat it, for an API key that HTTP cannot send."""
    if not (api_key.isascii() and api_key.isprintable()):
        raise SpecError("the API key has a line break, or a character that HTTP cannot send", field)


async def _require_same_server(
    _session: "aiohttp.ClientSession", _context: Any, asked: "aiohttp.TraceRequestRedirectParams"
) -> None:
    """Raise `ServerError` for a redirect to another server, or for one that would turn a POST into a GET."""
    from yarl import URL

    response = asked.response
    place = response.headers.get("Location", "")
    try:
        is_same = response.url.join(URL(place)).origin() == response.url.origin()
    except ValueError:
        is_same = False
    if is_same and (asked.method == "GET" or response.status in (307, 308)):
        return
    response.close()
    where = _in_one_line(place.partition("?")[0]) or "nowhere"
    what = f"{asked.method} {response.url.path}: the server answered {response.status}"
    raise ServerError(
        f"{what} and points to {where}, which is not followed", str(response.url.origin()), response.status
    )


def without_keys(text: str) -> str:
    """Return a text with stars in place of the API keys of the open sessions, which servers may repeat."""
    for key in _KEYS_IN_USE.get():
        text = text.replace(key, "***")
    return text


def _allow_many_connections() -> None:
    """Let this process have as many files open as the system allows; each open request is one."""
    with suppress(ModuleNotFoundError, ValueError, OSError):  # Windows has no such limit
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def said_as_server_error(url: str, seconds: float | None = None) -> Iterator[None]:
    """Turn what goes wrong with a connection into a `ServerError`; `seconds` is the time that was given to it."""
    import aiohttp

    try:
        yield
    except (TimeoutError, UnicodeError, ConnectionError, aiohttp.ClientError) as error:
        raise ServerError(_in_words(error, seconds), url) from None


def _in_words(error: Exception, seconds: float | None) -> str:
    """Return what an error of a connection means."""
    import aiohttp

    known: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (TimeoutError, f"no answer within {seconds:g} s" if seconds else "no answer in time"),
        ((aiohttp.InvalidURL, UnicodeError), "no such host"),  # a name with an empty part, or one that is too long
        (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
        (aiohttp.ClientPayloadError, "the connection broke in the middle of the answer"),
    )
    if words := next((words for kind, words in known if isinstance(error, kind)), ""):
        return words
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no secure connection: {_why_not_secure(error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _why_not_reached(error.os_error)
    is_of_connection = isinstance(error, (aiohttp.ClientConnectionError, ConnectionError))
    return f"{'the connection broke' if is_of_connection else 'the answer is no HTTP'}: {_in_one_line(str(error))}"


def _why_not_secure(error: "aiohttp.ClientSSLError") -> str:
    """Return what is wrong with the certificate of a server, or with the protocol."""
    cause = getattr(error, "certificate_error", None) or error.os_error
    return _in_one_line(str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or cause))


def _why_not_reached(error: OSError) -> str:
    """Return why no connection was made, without the address that asyncio puts into the error."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    text = str(error)
    number = error.errno or next((int(found) for found in re.findall(r"\[Errno (\d+)\]", text)), None)
    if number in (errno.EMFILE, errno.ENFILE):
        return "this client cannot open more connections: raise its limit of open files (ulimit -n)"
    return f"cannot be reached: {os.strerror(number).lower() if number else _in_one_line(text)}"


def _in_one_line(text: str) -> str:
    """Return the beginning of a text of a server, in one line and without characters that a terminal would obey."""
    return visible(" ".join(without_keys(text).split())[:_LONGEST_MESSAGE])


async def text_of(response: "aiohttp.ClientResponse", url: str) -> str:
    """Return the body of an answer; raises `ServerError` if it is larger than any that vLLM sends."""
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > _LARGEST_BODY:
            raise ServerError(f"the answer is larger than {_LARGEST_BODY >> 20} MiB", url)
    return body.decode(errors="replace")


def require_answered(status: int, text: str, url: str, what: str) -> None:
    """Raise `ServerError` unless the status is one of success."""
    if status in (401, 403):
        names = " or ".join(API_KEY_VARIABLES)
        raise ServerError(f"{what}: the server asks for an API key: give --api-key, or set {names}", url, status)
    if not 200 <= status < 300:
        raise ServerError(f"{what}: the server answered {status}: {message_of(text)}", url, status)


async def get_text(
    session: "aiohttp.ClientSession", url: str, path: str, timeout: float, query: dict[str, str] | None = None
) -> str:
    """Return the text of a page of a server; raises `ServerError` if there is none within `timeout` seconds."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=timeout)
    with said_as_server_error(url, timeout):
        async with session.get(f"{url}{path}", timeout=limit, params=query) as response:
            text = await text_of(response, url)
    require_answered(response.status, text, url, f"GET {path}")
    return text


def message_of(text: str) -> str:
    """Return what an error of vLLM says, in one line."""
    import json

    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return _in_one_line(text) or "nothing"
    error = data.get("error", data) if isinstance(data, dict) else data
    said = error.get("message", error) if isinstance(error, dict) else error
    return _in_one_line(str(said))


def in_event_loop(work: Callable[[], Any]) -> Any:
    """Run an asynchronous function to its end and return what it returns."""
    return asyncio.run(work())
