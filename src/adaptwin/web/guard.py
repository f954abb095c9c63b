"""Guard: what every request goes through - where it comes from, its size, its token - and what every answer carries."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SIGN_IN = "/sign-in"
OPEN_PATHS = ("/healthz", SIGN_IN, "/pages/app.css")  # need no token
COOKIE = "token"
LONG_PATH = "/v1/plans"  # whose requests hold a fleet
_MOST_SHORT_BYTES = 50_000  # of all others
_PATIENCE = 30.0  # seconds between two parts of a body
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # a form of ours then says where it is from
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
)


class _RefusedError(Exception):
    """The body of a request is longer than allowed, or comes too slowly."""


class Guard:
    """Refuses requests from other sites, too large ones and those without the token; keeps a browser safe.

    A token is taken from the header ``Authorization: Bearer ...``, or from the cookie ``token`` of the page, which
    leads to the page that asks for it.
    """

    def __init__(self, app: App, *, token: str | None, most_bytes: int, hosts: Collection[str] | None) -> None:
        self._app, self._token, self._most_bytes, self._hosts = app, token, most_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if (wrong := self._from_elsewhere(headers)) is not None:
            await _refuse(send, 403, wrong)
        elif scope["path"] not in OPEN_PATHS and not self._is_allowed(headers):
            if b"text/html" in headers.get(b"accept", b""):
                await _refuse(send, 303, "a token is needed", ((b"location", SIGN_IN.encode()),))
            else:
                bearer = ((b"www-authenticate", b"Bearer"),)
                await _refuse(send, 401, "a token is needed: Authorization: Bearer ...", bearer)
        elif not length.isdigit() or int(length) > self._limit(scope):
            await _refuse(send, 413, self._too_large(scope))
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, as long as the body is short and quick; the length that a client states need not be true.

        What the app says of a body that was refused, it says of another one: it is not sent.
        """
        read, is_whole, has_answered, refusal = 0, False, False, None

        async def counted() -> Message:
            nonlocal read, is_whole, refusal
            try:
                message = await asyncio.wait_for(receive(), None if is_whole else _PATIENCE)
            except TimeoutError:
                refusal = 408, f"the body of a request must not pause for over {_PATIENCE:.0f} s"
                raise _RefusedError from None
            read += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if read > self._limit(scope):
                refusal = 413, self._too_large(scope)
                raise _RefusedError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal has_answered
            if refusal is not None:
                return
            if message["type"] == "http.response.start":
                has_answered = True
                own = {name for name, _ in message["headers"]}
                added = (each for each in _HEADERS if each[0] not in own)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        with suppress(_RefusedError):
            await self._app(scope, counted, with_headers)
        if refusal is not None and not has_answered:
            await _refuse(send, *refusal)

    def _limit(self, scope: Scope) -> int:
        return self._most_bytes if scope["path"] == LONG_PATH else min(self._most_bytes, _MOST_SHORT_BYTES)

    def _too_large(self, scope: Scope) -> str:
        return f"this request may have {self._limit(scope):,} bytes at most"

    def _from_elsewhere(self, headers: dict[bytes, bytes]) -> str | None:
        """Return what is wrong with where a request comes from: a page of another site may not make a browser ask."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and name_of_host(host) not in self._hosts:
            return "this server is only for its own machine"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            return "a page of another site may not ask"
        return None

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        given = given.strip() if scheme.lower() == b"bearer" else b""
        cookies = dict(part.strip().partition(b"=")[::2] for part in headers.get(b"cookie", b"").split(b";"))
        return any(is_token(each, self._token) for each in (given, cookies.get(COOKIE.encode(), b"")))


def is_token(given: bytes, token: str) -> bool:
    """Whether what was given is the token; the time that this takes does not tell how much of it is right."""
    return hmac.compare_digest(given, token.encode())


def name_of_host(host: str) -> str:
    """Return the name in a header ``Host``, without its port: ``[::1]:80`` names ``::1``."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower()


async def _refuse(send: Send, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    body = f'{{"detail": "{message}"}}'.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *_HEADERS,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
