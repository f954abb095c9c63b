"""serve_app: run the web app until it is told to end."""

import socket
from collections.abc import Callable

import uvicorn

from adaptwin.errors import SpecError
from adaptwin.web.app import web_app
from adaptwin.web.settings import WebSettings

_WAITING = 256  # connections that may wait


def serve_app(settings: WebSettings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the app; `say` is told its address once it listens.

    Raises:
        SpecError: The address or the port cannot be taken, or the database cannot be opened.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(_WAITING)  # from here on, connections wait for the app
        except OSError as error:
            raise SpecError(f"cannot listen on {host}, port {port}: {error.strerror}", "--port") from None
        app = web_app(settings)
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{listening.getsockname()[1]}")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listening])
