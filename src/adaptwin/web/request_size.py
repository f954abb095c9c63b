"""The size of requests: only the text of a fleet may be long, because all else is checked while others wait."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

MOST_BYTES_BESIDE_FLEET = 100_000  # of a request without its fleet


class SmallButForTheFleet(APIRoute):
    """A route whose requests are small but for the field `fleet`, which is text."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def checked(request: Request) -> Response:
            body = await request.body()
            if len(body) > MOST_BYTES_BESIDE_FLEET and (wrong := await asyncio.to_thread(_what_is_too_large, body)):
                return JSONResponse({"detail": wrong}, 413)
            return await answer(request)

        return checked


def _what_is_too_large(body: bytes) -> str | None:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return "a body that is no JSON is too large to be looked at"
    fleet = fields.pop("fleet", "") if isinstance(fields, dict) else ""
    if not isinstance(fleet, str) or len(json.dumps(fields)) > MOST_BYTES_BESIDE_FLEET:
        return f"a request without the text of its fleet may have {MOST_BYTES_BESIDE_FLEET:,} bytes at most"
    return None
