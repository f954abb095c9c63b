"""Options of the commands that talk to running servers."""

from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note

ServerUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Address of a running vLLM server, such as http://localhost:8000; repeat it for several servers.",
        show_default=False,
    ),
]
ServersFile = Annotated[
    Path,
    typer.Option(
        "--servers",
        metavar="FILE",
        help="YAML file with the address of each server of the plan: NAME: {url: ..., api_key_env: ...}, or NAME: URL.",
        show_default=False,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help=f"API key that the server asks for. {default_note('VLLM_API_KEY or OPENAI_API_KEY of the environment')}",
    ),
]
