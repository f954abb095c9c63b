"""adaptwin serve: the web page, and the API behind it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show_json, tell
from adaptwin.errors import SpecError

TOKEN_VARIABLE = "ADAPTWIN_TOKEN"  # noqa: S105 (the name of a variable)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve_command(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="Port to listen on; 0 takes a free one.")
    ] = 8765,
    database: Annotated[Path, typer.Option(metavar="FILE", help="SQLite file of plans and their results.")] = Path(
        "adaptwin-web.db"
    ),
    workers: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Plans that are made at once.")] = 1,
    most_adapters: Annotated[int, typer.Option(min=1, metavar="N", help="Adapters of a fleet, at most.")] = 20_000,
    most_seconds: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Seconds of planning, at most.")
    ] = 900.0,
    most_queued: Annotated[int, typer.Option(min=1, metavar="N", help="Plans that may wait, at most.")] = 200,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Listen beyond this machine although no token is set.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a web page for planning, and the same as a JSON API, until Ctrl-C.

    Only this machine can reach it unless --host says otherwise. Beyond this machine, set the environment variable
    ADAPTWIN_TOKEN: every request must then carry it, as "Authorization: Bearer ...", or as the cookie "token".
    """
    from adaptwin.web.serve import serve
    from adaptwin.web.settings import WebSettings

    token = os.environ.get(TOKEN_VARIABLE) or None
    if host not in _LOOPBACK and token is None and not without_token:
        raise SpecError(
            f"{host} can be reached from elsewhere: set {TOKEN_VARIABLE}, or give --without-token", "--host"
        )
    settings = WebSettings(
        database,
        workers=workers,
        token=token,
        most_adapters=most_adapters,
        most_seconds=most_seconds,
        most_queued=most_queued,
    )

    def say(url: str) -> None:
        if as_json:
            show_json({"url": url, "database": str(settings.database)}, indent=None)
        tell(f"adaptwin is at {url} (plans are kept in {settings.database}); Ctrl-C ends it")

    serve(settings, host, port, say)
