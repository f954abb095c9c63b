"""A plan as a table."""

import re

import pytest

from adaptwin import Plan
from adaptwin.plan.plan_rows import ROW_COLUMNS


@pytest.fixture(scope="module")
def made(make_plan):
    return make_plan(gpus=2, adapters=10)


def test_there_is_a_row_for_every_adapter_on_every_server(made):
    table = made.to_polars()
    placed = [(server.name, name) for server in made.servers for name in server.adapters]
    assert sorted(table.select("server", "adapter").iter_rows()) == sorted(placed)
    assert table.schema == ROW_COLUMNS
    whole = table.group_by("adapter").agg("share").with_columns(total="share")
    assert all(sum(shares) == pytest.approx(1.0) for shares in whole["share"])


def test_rates_and_figures_are_those_of_the_plan(made):
    table = made.to_polars()
    assert table["rate"].sum() == pytest.approx(made.workload.rate)
    for server in made.servers:
        rows = table.filter(server=server.name)
        assert set(rows["verdict"]) == {server.forecast.verdict}
        assert set(rows["headroom"]) == {server.forecast.headroom}
        assert set(rows["max_loras"]) == {server.server.max_loras}


def test_a_server_without_a_forecast_has_no_figures_and_a_standby_no_row(made):
    bare = made.servers[0].model_copy(update={"forecast": None})
    idle = made.servers[1].model_copy(update={"adapters": {}, "forecast": None})
    table = made.model_copy(update={"servers": (bare, idle)}).to_polars()
    assert set(table["server"]) == {bare.name}
    assert table["verdict"].null_count() == len(table)


def test_every_column_is_described():
    assert set(re.findall(r"`(\w+)`", Plan.to_polars.__doc__)) == set(ROW_COLUMNS)
