"""Values as a notebook shows them: a line, and small tables in HTML."""

import time
from html.parser import HTMLParser

import pytest

from adaptwin import Adapter, Plans, Profile, Workload, simulate
from adaptwin.report.notebook.html_table import SHOWN_ROWS

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
def values(made, played):
    return [made, Plans(plans=(made,)), played, made.profiles[0], made.workload]


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
