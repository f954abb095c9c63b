"""adaptwin serve: the web page, and the API behind it."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show_json, tell
from adaptwin.errors import SpecError

TOKEN_VARIABLE = "ADAPTWIN_TOKEN"  # noqa: S105 (the name of a variable)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]{8,}")  # what a cookie can hold (RFC 6265)


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
    most_kept: Annotated[
        int, typer.Option(min=1, metavar="N", help="Plans that are kept once they have ended, the newest ones.")
    ] = 1000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name that a proxy passes on in the header Host; repeat for several. Needs a token. "
            + default_note("none"),
        ),
    ] = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Listen beyond this machine although no token is set.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a web page for planning, and the same as a JSON API, until Ctrl-C.

    Only this machine can reach it unless --host says otherwise. Beyond this machine, set the environment variable
    ADAPTWIN_TOKEN: every request must then carry it, as "Authorization: Bearer ...", and the page asks for it.
    """
    try:
        from adaptwin.web.serve import serve_app
    except ModuleNotFoundError as error:
        raise SpecError(f"the web page needs {error.name}: pip install 'adaptwin[web]'") from None
    from adaptwin.interruption import keeping
    from adaptwin.web.settings import WebSettings

    token = os.environ.get(TOKEN_VARIABLE) or None
    is_local = host in _LOOPBACK and not allowed_host
    if not is_local and token is None and not without_token:
        place, reached = ("--allowed-host", "the page") if allowed_host else ("--host", host)
        raise SpecError(
            f"{reached} can be reached from elsewhere: set {TOKEN_VARIABLE}, or give --without-token", place
        )
    if token is not None and not _TOKEN.fullmatch(token):
        raise SpecError(
            f"{TOKEN_VARIABLE} must have at least 8 characters: letters, digits and signs, "
            "but no spaces, quotes, commas, semicolons or backslashes"
        )
    settings = WebSettings(
        database,
        workers=workers,
        token=token,
        most_adapters=most_adapters,
        most_seconds=most_seconds,
        most_queued=most_queued,
        most_kept=most_kept,
        hosts=(*_LOOPBACK, *(allowed_host or ())) if host in _LOOPBACK or allowed_host else None,
    )

    def say(url: str) -> None:
        if as_json:
            show_json({"url": url, "database": str(settings.database)}, indent=None)
            sys.stdout.flush()  # whoever reads the address waits for it
        tell(f"serving at {url} (plans are kept in {settings.database}); Ctrl-C ends it")

    with keeping(lambda: "plans that waited or were being made go on when it is started again"):
        serve_app(settings, host, port, say)
