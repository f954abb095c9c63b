"""Requests: what they mean, and that no file of this machine is reached by one."""

import polars as pl
import pytest
from plotly.offline import get_plotlyjs

from adaptwin.briefing.make_briefing import make_briefing
from adaptwin.errors import SpecError
from adaptwin.web.job import WorkOrder
from adaptwin.web.make_result import make_result, whole_page
from adaptwin.web.plan_request import PlanRequest, asked

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
CSV = "name,rank,rate\na,8,0.5\nb,16,0.25\n"
MOST = 1000


def meant(**fields):
    return asked(PlanRequest.parse(fields), MOST)


def test_a_csv_and_a_fleet_mean_the_same():
    fleet = "adapters:\n- {name: a, rank: 8, rate: 0.5}\n- {name: b, rank: 16, rate: 0.25}\n"
    one, other = meant(fleet=CSV, format="csv", profile=PROFILE), meant(fleet=fleet, profile=PROFILE)
    assert one.fleet.adapters == other.fleet.adapters
    assert [profile.name for profile in one.profiles] == [PROFILE]


def test_options_go_before_those_of_the_fleet_and_the_price_is_of_every_profile():
    fleet = f"profile: {PROFILE}\nplanning: {{headroom: 10%, spare: 1}}\nadapters:\n- {{name: a, rank: 8, rate: 0.5}}\n"
    found = meant(fleet=fleet, planning={"headroom": 0.3}, price_per_hour=2.5, traffic=2.0, seed=4)
    assert found.overrides == {"headroom": 0.3, "prices": {PROFILE: 2.5}}
    assert found.fleet.planning.spare == 1
    assert found.fleet.adapters[0].rate == 1.0
    assert found.seed == 4


def test_a_log_means_its_busiest_hour():
    rows = [
        f"2026-11-28T10:{place // 60:02d}:{place % 60:02d}Z,{['a', 'b', 'base'][place % 3]},100,50"
        for place in range(600)
    ]
    log = "timestamp,model,prompt_tokens,completion_tokens\n" + "\n".join(rows) + "\n"
    found = meant(fleet=log, format="log", rank=16, base_model="base", profile=PROFILE)
    assert {adapter.name: adapter.rank for adapter in found.fleet.adapters} == {"a": 16, "b": 16, "base": 0}
    with pytest.raises(SpecError, match="rank: missing"):
        meant(fleet=log, format="log", profile=PROFILE)


@pytest.mark.parametrize(
    ("fleet", "field"),
    [
        ("adapters: [{name: a, rank: 8, rate: 1, arrivals: 'rates:/etc/passwd'}]", r"adapters\[0\].arrivals"),
        ("arrivals: 'rates:cv=2,/etc/passwd'\nadapters: [{name: a, rank: 8, rate: 1}]", "arrivals"),
        ("rates_over_time: /etc/passwd\nadapters: [{name: a, rank: 8, rate: 1}]", "rates_over_time"),
        ("profile: /etc/profile.yaml\nadapters: [{name: a, rank: 8, rate: 1}]", "profile"),
        ("profile: [{gpu: l40s, model: /etc/config.json}]\nadapters: [{name: a, rank: 8, rate: 1}]", "profile.model"),
        ("profile: [../x.yaml]\nadapters: [{name: a, rank: 8, rate: 1}]", "profile"),
    ],
)
def test_no_fleet_reaches_a_file(fleet, field):
    with pytest.raises(SpecError, match=rf"fleet: {field}: ('|names a file)"):
        meant(fleet=fleet, profile=None)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"fleet": "x"}, "expected a mapping"),
        ({"fleet": "adapters: []"}, "lists no adapter"),
        ({"fleet": CSV, "format": "csv", "profile": "/etc/passwd"}, "is not one of"),
        ({"fleet": CSV, "format": "csv", "gpu": "l40s", "model": "../config.json"}, "is not one of"),
        ({"fleet": CSV, "format": "csv", "gpu": "l40s"}, "needs model"),
        ({"fleet": CSV, "format": "csv", "profile": PROFILE, "gpu": "l40s", "model": "x"}, "together with gpu"),
        ({"fleet": "adapters: 5"}, "adapters"),
        ({"fleet": "adapters: [{name: a, rank: yes, rate: 1}]", "profile": PROFILE}, "can be read as true"),
        ({"fleet": "adapters: [{name: a, rank: 010, rate: 1}]", "profile": PROFILE}, "can be read as"),
        ({"fleet": "!!python/object/apply:os.system ['true']"}, "fleet"),
        ({"fleet": "a: &a [1]\nadapters: " + "[*a" + ", *a" * 50 + "]"}, "fleet"),
    ],
)
def test_wrong_requests_are_refused(fields, match):
    with pytest.raises(SpecError, match=match):
        meant(**fields)


def test_large_fleets_are_refused():
    rows = "".join(f"a{place},8,0.1\n" for place in range(MOST + 1))
    with pytest.raises(SpecError, match="this server plans up to 1,000"):
        meant(fleet=f"name,rank,rate\n{rows}", format="csv", profile=PROFILE)


def test_a_request_becomes_plans_their_page_and_figures():
    stages = []
    request = {
        "fleet": CSV,
        "format": "csv",
        "profile": PROFILE,
        "price_per_hour": 2.0,
        "planning": {"currency": "EUR"},
    }
    found = make_result(WorkOrder(request, MOST), lambda *stage: stages.append(stage))
    assert found.summary["gpus"] == 1
    assert found.summary["cost_per_hour"] == 2.0
    (plan,) = found.summary["plans"]
    assert plan["safe"] == "yes"
    assert plan["headroom_is_open"]
    assert "over 300 %" in found.report
    assert found.plan.startswith("options:")
    assert len(found.report) < 300_000
    assert get_plotlyjs() in whole_page(found.report)
    assert "2.00 EUR" in found.report
    assert stages


def test_the_figures_say_what_the_report_says_of_safety(monkeypatch):
    def with_long_waits(plan, progress):
        found = make_briefing(plan, compares=False, more_traffic=())
        runs = {
            name: run.model_copy(update={"adapters": run.adapters.with_columns(pl.lit(value=True).alias("sluggish"))})
            for name, run in found.runs.items()
        }
        return found._replace(runs=runs)

    monkeypatch.setattr("adaptwin.web.make_result.make_briefing", with_long_waits)
    found = make_result(WorkOrder({"fleet": CSV, "format": "csv", "profile": PROFILE}, MOST), lambda *_: None)
    (plan,) = found.summary["plans"]
    assert plan["safe"] == "with care"
    assert plan["reasons"] == ["2 adapters with over 1 % of waits above 2 s"]
    assert plan["reasons"][0] in found.report


def test_a_name_like_the_place_of_the_library_does_no_harm():
    fleet = 'name,rank,rate\n/* plotly */,8,0.5\n"<script type=""text/plain"" id=""plotly""></script>",8,0.5\n'
    found = make_result(WorkOrder({"fleet": fleet, "format": "csv", "profile": PROFILE}, MOST), lambda *_: None)
    page = whole_page(found.report)
    assert page.count(get_plotlyjs()) == 1
    assert f'<script type="text/plain" id="plotly">{get_plotlyjs()}</script>' in page
