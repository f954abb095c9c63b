"""Reader of the CSV tables, as programs read them."""

import csv
import io

from tests.export.read_back import ReadBack

SETTINGS_FROM = "gpu_memory_utilization"  # columns before those of settings say what the server is


def rows_of(text):
    """Return the rows of a table, as mappings."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_csv(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read both tables."""
    loaded, flags, gpus = {}, {}, {}
    for row in rows_of(files["servers.csv"]):
        if row["role"] == "standby":
            continue
        columns = list(row)
        settings = columns[columns.index("merged") + 1 :]
        server = row["server"]
        gpus[server] = int(row["gpus"])
        flags[server] = {name.replace("_", "-"): row[name] for name in settings if row[name] not in ("", "false")}
        loaded[server] = {row["merged"]} - {""}
    routes = {}
    for row in rows_of(files["adapters.csv"]):
        if row["kind"] == "lora":
            loaded[row["server"]].add(row["adapter"])
        by_server = routes.setdefault(row["adapter"], {})
        assert row["server"] not in by_server
        by_server[row["server"]] = float(row["weight"])
    return ReadBack(loaded, routes, flags, gpus)
