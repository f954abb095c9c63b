"""Export to CSV: a table of the servers with all settings, and a table of the adapters on each of them."""

from collections.abc import Iterator

from adaptwin.export.csv_text import csv_text
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import Destination, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.vllm_flags import Flag
from adaptwin.workload.artifacts import Artifact

SERVERS_FILE = "servers.csv"
ADAPTERS_FILE = "adapters.csv"
_SERVER_COLUMNS = (
    "server", "role", "profile", "hardware", "gpus", "vllm_version", "base_model", "served_model", "merged",
)  # fmt: skip
_ADAPTER_COLUMNS = ("adapter", "server", "kind", "share", "weight", "model", "artifact")


def csv_tables(serving: ServingPlan, options: ExportOptions) -> Written:  # noqa: ARG001 - as every exporter is called
    """Return both tables. Names are as in the plan, and so are those that a spreadsheet takes for formulas."""
    settings = dict.fromkeys(name for server in serving.all_servers for name in _settings_by_column(server))
    servers = ([*_row_of_server(server), *_setting_cells(server, settings)] for server in serving.all_servers)
    files = {
        SERVERS_FILE: csv_text((*_SERVER_COLUMNS, *settings), servers),
        ADAPTERS_FILE: csv_text(_ADAPTER_COLUMNS, _adapter_rows(serving)),
    }
    said = [
        "The tables are data for other programs: nothing starts or routes by them alone.",
        f"{SERVERS_FILE}: an empty setting has no flag on that server.",
        "CSV has no comments: what the plan assumes is not in the tables.",
        *said_of_standbys(serving, "Start a failed server again there"),
    ]
    if serving.base_routes:
        said.append(f"{ADAPTERS_FILE}: a base model's own rows sum the traffic to it under all names in the plan.")
    return Written(dict(files), said)


def _settings_by_column(server: ServedServer) -> dict[str, str]:
    """Return the settings of a server by name, such as ``max_loras``, with ``true`` or ``false`` for a switch."""
    return dict(map(_setting_cell, (*server.flags, *server.lora_flags)))


def _setting_cell(flag: Flag) -> tuple[str, str]:
    name = flag.name.replace("-", "_")
    if flag.values:
        return name, " ".join(flag.values)
    return name.removeprefix("no_"), "false" if name.startswith("no_") else "true"


def _setting_cells(server: ServedServer, settings: dict[str, None]) -> list[str]:
    own = _settings_by_column(server)
    return [own.get(name, "") for name in settings]


def _row_of_server(server: ServedServer) -> list[object]:
    profile = server.profile
    return [
        server.name,
        "standby" if server.is_standby else "running",
        profile.name,
        profile.hardware,
        server.gpus,
        profile.vllm_version,
        server.base_model,
        server.served_model,
        server.merged or "",
    ]


def _adapter_rows(serving: ServingPlan) -> Iterator[list[object]]:
    artifacts = {(server.name, lora.name): lora.artifact for server in serving.servers for lora in server.loras}
    for name, places in serving.all_routes.items():
        for place in places:
            artifact = artifacts.get((place.server.name, name))
            kind = _kind_of_row(place, has_weights=(place.server.name, name) in artifacts)
            yield [name, place.server.name, kind, place.share, place.weight, place.model, _cell_of(artifact)]


def _kind_of_row(place: Destination, *, has_weights: bool) -> str:
    if has_weights:
        return "lora"
    return "merged" if place.server.merged else "base"


def _cell_of(artifact: Artifact | None) -> str:
    return artifact.url if artifact else ""


CSV = Stack(
    title="CSV: two tables",
    version="RFC 4180",
    pins="one row of `adapters.csv` for each adapter and server",
    weights="exact: columns `share` and `weight`",
    merged="`merged` in `servers.csv` names the adapter; the server's kind in `adapters.csv` is `merged`",
    names="as they are, quoted as CSV; a spreadsheet may take a leading `=`, `+`, `-` or `@` for a formula",
    write=csv_tables,
)
