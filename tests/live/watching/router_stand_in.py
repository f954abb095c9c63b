"""A stand-in for a router: a page of /metrics whose counters grow as time passes."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.live.router_pages import litellm_page


class _Counting(BaseHTTPRequestHandler):
    """Answers with counters that have grown at constant rates since the server started."""

    rates: Mapping[str, float]
    tokens: tuple[int, int]
    began: float
    is_gone = False

    def do_GET(self) -> None:
        """Answer every path with the page."""
        if type(self).is_gone:
            self.send_error(503)
            return
        seconds = time.monotonic() - self.began
        prompt, answer = self.tokens
        asked = {name: rate * seconds for name, rate in self.rates.items()}
        counts = {name: (number, prompt * number, answer * number) for name, number in asked.items()}
        body = litellm_page(counts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def counting_router(
    rates: Mapping[str, float], tokens: tuple[int, int] = (200, 150)
) -> Iterator[tuple[str, type[_Counting]]]:
    """Serve a page with these requests per second; yield its address, and the class whose `is_gone` ends it."""
    fields = {"rates": rates, "tokens": tokens, "began": time.monotonic() - 100.0}
    handler = type("Counting", (_Counting,), fields)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
