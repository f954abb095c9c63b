"""CSV: two tables that programs read back exactly."""

import csv
import io

from tests.export.hard_plans import BASE_ONLY, LLAMA, MERGED, ODD, SETTINGS, everyday_plan, hard_plan
from tests.export.read_csv import rows_of

from adaptwin import Adapter, Plan, Workload
from adaptwin.export import export
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


def table(plan, name):
    return rows_of(export(plan, "csv")[name])


def test_every_row_has_the_columns_of_the_header_and_no_line_is_a_comment():
    for text in export(hard_plan(), "csv").values():
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        assert len(set(header)) == len(header)
        assert {len(row) for row in rows} == {len(header)}
        assert not text.startswith("#")
        assert "\r" not in text


def test_names_are_as_in_the_plan_even_those_that_a_spreadsheet_takes_for_formulas():
    rows = table(hard_plan(), "adapters.csv")
    assert [row["adapter"] for row in rows if row["adapter"] in ODD] == list(ODD)
    assert "\n=1+2," in export(hard_plan(), "csv")["adapters.csv"]
    assert '\n"a,b",' in export(hard_plan(), "csv")["adapters.csv"]
    assert '\n"say ""hi""",' in export(hard_plan(), "csv")["adapters.csv"]


def test_a_row_of_an_adapter_says_what_to_ask_for_and_where_its_weights_are():
    rows = table(everyday_plan(), "adapters.csv")
    assert rows[1] == {
        "adapter": "tenant-b", "server": "gpu-1", "kind": "lora", "share": "1.0", "weight": "1", "model": "tenant-b",
        "artifact": "s3://bucket/tenant-b",
    }  # fmt: skip
    assert [(row["server"], row["share"], row["weight"]) for row in rows if row["adapter"] == "hot"] == [
        ("gpu-0", "0.25", "25"),
        ("gpu-1", "0.75", "75"),
    ]


def test_shares_are_exact_where_weights_are_rounded():
    shares = {
        row["server"]: float(row["share"]) for row in table(hard_plan(), "adapters.csv") if row["adapter"] == "thirds"
    }
    assert shares == {"gpu-0": 1 / 3, "Rack 1/GPU 1": 2 / 3}


def test_merged_and_base_traffic_have_their_kind_and_the_name_to_ask_for():
    rows = table(hard_plan(), "adapters.csv")
    kinds = {(row["adapter"], row["kind"], row["model"]) for row in rows if row["kind"] != "lora"}
    assert kinds == {
        ("merged one", "merged", "merged one"),
        ("base", "base", LLAMA.model.name),
        ("more base", "base", LLAMA.model.name),
        (LLAMA.model.name, "base", LLAMA.model.name),
    }


def test_a_server_has_every_setting_and_an_empty_cell_where_it_has_no_flag():
    adapters = [Adapter("a", 8, 1.0), Adapter("b", 0, 1.0), Adapter("c", 8, 1.0)]
    newer = LLAMA.model_copy(update={"vllm_version": "0.32.0"})
    servers = [
        PlacedServer("gpu-0", newer.name, SETTINGS.model_copy(update={"async_scheduling": False}), {"a": 1.0}),
        PlacedServer("gpu-1", newer.name, BASE_ONLY.model_copy(update={"async_scheduling": True}), {"b": 1.0}),
        PlacedServer("gpu-2", newer.name, MERGED.model_copy(update={"watermark": 0.01}), {"c": 1.0}),
    ]
    workload = Workload(adapters, duration=300.0)
    plan = Plan(PlanOptions(), 0, lower_bound=1, servers=servers, profiles=[newer], workload=workload)
    first, second, third = table(plan, "servers.csv")
    assert [row["async_scheduling"] for row in (first, second)] == ["false", "true"]
    assert [row["max_loras"] for row in (first, second, third)] == ["4", "", ""]
    assert [row["merged"] for row in (first, second, third)] == ["", "", "c"]
    assert [row["served_model"] for row in (first, second, third)] == [LLAMA.model.name, LLAMA.model.name, "c"]
    assert third["watermark"] == "0.01"


def test_a_standby_has_a_row():
    roles = {row["server"]: row["role"] for row in table(hard_plan(), "servers.csv")}
    assert roles.pop("gpu-6") == "standby"
    assert set(roles.values()) == {"running"}
