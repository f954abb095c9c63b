"""Guard: what every request goes through - its size, its token - and what every answer carries."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/healthz",)  # need no token
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
)


class _TooLargeError(Exception):
    """The body of a request is longer than allowed."""


class Guard:
    """Refuses requests that are too large or lack the token, and adds the headers that keep a browser safe.

    A token is taken from the header ``Authorization: Bearer ...``, or from the cookie ``token`` of the page.
    """

    def __init__(self, app: App, *, token: str | None, most_bytes: int) -> None:
        self._app, self._token, self._most_bytes = app, token, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if self._token is not None and scope["path"] not in OPEN_PATHS and not self._is_allowed(headers):
            bearer = ((b"www-authenticate", b"Bearer"),)
            await _refuse(send, 401, "a token is needed: Authorization: Bearer ...", bearer)
        elif not length.isdigit() or int(length) > self._most_bytes:
            await _refuse(send, 413, self._too_large)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, as long as the body is short enough; the length that a client states need not be true."""
        read, has_answered = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most_bytes:
                raise _TooLargeError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                has_answered = True
                own = {name for name, _ in message["headers"]}
                added = (each for each in _HEADERS if each[0] not in own)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, counted, with_headers)
        except _TooLargeError:
            if not has_answered:
                await _refuse(send, 413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"a request may have {self._most_bytes:,} bytes at most"

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        assert self._token is not None
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
        cookies = dict(part.strip().partition(b"=")[::2] for part in headers.get(b"cookie", b"").split(b";"))
        wanted = self._token.encode()
        return any(hmac.compare_digest(each, wanted) for each in (given, cookies.get(b"token", b"")))


async def _refuse(send: Send, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    body = f'{{"detail": "{message}"}}'.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
