"""The web app, served in a thread on a port of its own, with pretended planning."""

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from tests.web.pretended import pretend

from adaptwin.web.app import web_app
from adaptwin.web.settings import WebSettings


class Reply(NamedTuple):
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Served:
    """A server that runs in a thread."""

    def __init__(self, settings: WebSettings) -> None:
        app = web_app(settings, pretend)
        self.services = app.state.services
        config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def call(
        self,
        path: str,
        body: Any = None,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> Reply:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.url}{path}", data, given, method=method)
        opener = urllib.request.build_opener(*([] if follow else [_NoRedirects]))
        try:
            with opener.open(request, timeout=60) as reply:
                return Reply(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Let processes that are started import these tests."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.fixture
def serve(tmp_path):
    """Serve the app with some settings changed."""
    running = []

    def start(**settings) -> Served:
        running.append(Served(WebSettings(tmp_path / "jobs.db", **settings)))
        return running[-1]

    yield start
    for each in running:
        each.stop()
