"""Values as a notebook shows them: a line, and small tables in HTML."""

import time
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from adaptwin import (
    Adapter,
    Front,
    Plans,
    Profile,
    Workload,
    explain,
    fit_to_files,
    load_design,
    simulate,
    stress,
    surrogate_for,
    verify,
)
from adaptwin.calibration.fit import Fit
from adaptwin.calibration.residuals import Residual
from adaptwin.dataset.dataset import Dataset
from adaptwin.report.notebook.html_table import SHOWN_ROWS

SERVER_FILES = Path(__file__).resolve().parents[3] / "examples" / "server"

LONGEST_LINE = 300  # characters
ALLOWED_TAGS = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
HOSTILE_NAME = "<script>alert('x')</script>&\u202e"


class Tags(HTMLParser):
    """The tags, the attributes and the text of some HTML, whose tags must be closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], set(), [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def made(make_plan):
    return make_plan(gpus=2, adapters=10)


@pytest.fixture(scope="module")
def played(made):
    placed = made.servers[0]
    part = made.workload_of(placed).model_copy(update={"duration": 120.0})
    return simulate(made.profiles[0], placed.server, part)


@pytest.fixture(scope="module")
def fitted(made):
    return Fit(made.profiles[0], [Residual("memory", 12, 1.5, 3.0)], None, ["loads: <none> were measured"], [])


@pytest.fixture(scope="module")
def values(made, played, fitted, h100):
    return [
        *(made, Plans(plans=(made,)), played, made.profiles[0], made.workload, Front(plans=(made,)), fitted),
        fit_to_files([SERVER_FILES / "vllm.log", SERVER_FILES / "idle.json"], gpu="l40s"),
        *(verify(made), explain(made), stress(made, runs=2), surrogate_for(h100)),
    ]


def test_a_failed_verification_says_so_and_shows_the_failing_server_first(made):
    check = verify(made)
    starved = check.runs[1].model_copy(update={"verdict": "starved"})
    failed = check._replace(runs=[check.runs[0], starved])
    assert repr(check) == f"Check(holds, 2 servers, seed {check.seed})"
    assert repr(failed).startswith(f"Check(does not hold: {made.servers[1].name}")
    assert Tags(failed._repr_html_()).texts.index(made.servers[1].name) < Tags(failed._repr_html_()).texts.index(
        made.servers[0].name
    )


def test_the_line_of_a_fit_says_how_far_it_is_from_the_measurements(fitted):
    assert "memory 1.5 % off, 0 constants not determined, 1 warning)" in repr(fitted)
    assert "loads: <none> were measured" in Tags(fitted._repr_html_()).texts


def test_a_design_and_the_runs_of_a_sweep_are_a_line():
    design = load_design("planning")
    assert repr(design).startswith("Design(sampler sobol, 25,000 mixes, ")
    assert len(repr(design)) < LONGEST_LINE
    dataset = Dataset(design, pl.DataFrame({"mix": [0, 0, 1]}))
    assert repr(dataset).startswith("Dataset(3 runs, 2 mixes, ")


def test_the_table_and_the_figures_of_plans_are_those_of_each_plan(made):
    plans = Plans(plans=(made,))
    assert plans.to_polars().columns[0] == "base"
    assert plans.to_polars().drop("base").equals(made.to_polars())
    assert set(plans.to_polars()["base"]) == {made.base}
    assert list(plans.figures[made.base]) == list(made.figures)


def test_a_value_is_a_line(values):
    for value in values:
        assert repr(value).startswith(f"{type(value).__name__}(")
        assert len(repr(value)) < LONGEST_LINE
        assert "\n" not in repr(value)
        assert str(value) == repr(value)


def test_the_line_of_a_plan_says_what_matters(made):
    line = repr(made)
    for fact in ("2 GPUs", "10 adapters", "verified", "headroom ", "lower bound", made.profiles[0].name):
        assert fact in line
    assert "not verified" in repr(made.model_copy(update={"verified": False}))


def test_the_line_of_a_workload():
    assert repr(Workload([Adapter("a", 8, 0.5), Adapter("b", 16, 0.25)], duration=600.0, seed=3)) == (
        "Workload(2 adapters, ranks 8 to 16, 0.75 requests/s, poisson arrivals over 10 min, seed 3)"
    )
    assert (
        repr(Workload([], arrivals=(1.0, 2.0))) == "Workload(0 adapters, 0 requests/s, 2 timestamps over 1.0 h, seed 0)"
    )


def test_a_workload_whose_file_of_rates_is_gone_is_shown_all_the_same(tmp_path):
    rates = tmp_path / "day.csv"
    rates.write_text("start,factor\n0,1\n60,2\n", encoding="utf-8")
    workload = Workload([Adapter("a", 8, 1.0)], arrivals=f"rates:{rates}", duration=120.0)
    assert "1.50 requests/s" in repr(workload)
    rates.unlink()
    assert "– requests/s" in repr(workload)
    assert "a" in Tags(workload._repr_html_()).texts


def test_html_is_plain_tables(values):
    for value in values:
        page = Tags(value._repr_html_())
        assert set(page.tags) <= ALLOWED_TAGS
        assert page.attributes <= {"style"}
        assert "table" in page.tags
        assert "color:" not in value._repr_html_().replace("border-bottom-color:", "")


def test_html_escapes_names(made):
    servers = tuple(server.model_copy(update={"name": HOSTILE_NAME}) for server in made.servers)
    for value in (
        made.model_copy(update={"servers": servers}),
        Workload([Adapter("<b>bold</b>", 8, 1.0)]),
        made.profiles[0].model_copy(update={"name": HOSTILE_NAME, "source": HOSTILE_NAME}),
    ):
        html = value._repr_html_()
        assert set(Tags(html).tags) <= ALLOWED_TAGS
        assert "\u202e" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in Workload([Adapter("<b>bold</b>", 8, 1.0)])._repr_html_()


def test_a_long_table_says_what_it_leaves_out():
    html = Workload([Adapter(f"a{i}", 8, 1.0 + i) for i in range(1000)])._repr_html_()
    assert Tags(html).tags.count("tr") == 1 + SHOWN_ROWS
    assert "and 990 more adapters" in html
    assert ">a999<" in html  # the busiest one comes first
    short = Workload([Adapter(f"a{i}", 8, 1.0) for i in range(SHOWN_ROWS)])
    assert "more" not in short._repr_html_()
    assert "and 1 more adapter<" in Workload([*short.adapters, Adapter("b", 8, 0.1)])._repr_html_()


def test_a_thousand_adapters_are_shown_at_once(make_plan):
    plan = make_plan(gpus=20, adapters=1000)
    for value in (plan, plan.workload):
        value._repr_html_()
        start = time.perf_counter()
        repr(value), value._repr_html_()
        assert time.perf_counter() - start < 0.2


def test_standbys_and_servers_without_a_forecast_are_shown(made):
    idle = made.servers[1].model_copy(update={"adapters": {}, "forecast": None})
    bare = made.servers[0].model_copy(update={"forecast": None})
    html = made.model_copy(update={"servers": (bare, idle)})._repr_html_()
    assert "standby" in html
    assert "standby" in repr(idle)
    assert "headroom" not in repr(bare)


def test_a_derived_profile_says_that_its_memory_is_estimated(made):
    profile: Profile = made.profiles[0]
    memory = profile.memory.model_copy(update={"estimated": True})
    assert "about " in profile.model_copy(update={"memory": memory})._repr_html_()
