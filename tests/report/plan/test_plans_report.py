"""Reports on the plans of several base models: the totals come first, then each plan."""

import pytest
from tests.report.reading import Page, assert_fits, assert_loads_nothing, drawn, rendered

from adaptwin import Plans
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.plans_page import plans_report
from adaptwin.report.plan.plans_table import base_heading, totals_table
from adaptwin.report.plan.totals import base_rows, total_sentences

NAMES = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct")


def of_base(plan, base, index, price):
    """Return a plan of another base model, with names of adapters and servers that no other plan has."""
    form = plan.file_form()
    (profile,) = form["profiles"]
    profile["model"]["name"], profile["price_per_hour"] = base, price
    for adapter in form["workload"]["adapters"]:
        adapter["name"] = f"{index}-{adapter['name']}"
    for server in form["servers"]:
        server["name"] = f"gpu-{index}{server['name'].removeprefix('gpu-')}"
        server["adapters"] = {f"{index}-{name}": share for name, share in server["adapters"].items()}
        if missed := (server["forecast"].get("brink") or {}).get("missed"):
            missed["adapter"] = f"{index}-{missed['adapter']}"
    return type(plan).parse({**form, "stress": None, "cost_bound": 3.0})


@pytest.fixture(scope="module")
def plans(make_plan):
    llama, qwen = make_plan(gpus=3, adapters=60), make_plan(gpus=2, adapters=40)
    return Plans(plans=(of_base(llama, NAMES[0], 1, 2.5), of_base(qwen, NAMES[1], 2, 2.0)))


def test_the_totals_fit_80_columns_with_a_row_for_each_base_model(plans):
    text = rendered(totals_table(plans))
    assert_fits(text)
    assert text.startswith("5 GPUs for 100 adapters of 2 base models with ")
    assert "at a price of 11.50 per hour" in " ".join(text.split())
    rows = [line.split()[:4] for line in text.splitlines() if line.startswith(NAMES)]
    assert rows == [[NAMES[0], "3", "7.50", "60"], [NAMES[1], "2", "4.00", "40"]]


def test_the_bounds_are_said_for_base_models_with_gpus_of_their_own(plans):
    said = " ".join(total_sentences(plans))
    bound = sum(plan.lower_bound for plan in plans.plans)
    assert f"in which every base model has GPUs of its own can use fewer than {bound} GPUs" in said
    assert "can cost less than 6.00 per hour. This plan costs 11.50, at most 5.50 above the optimum." in said


def test_a_base_model_that_is_not_verified_is_named(plans):
    failed = plans.plans[1].model_copy(update={"verified": False})
    some = Plans(plans=(plans.plans[0].model_copy(update={"verified": True}), failed))
    assert total_sentences(some)[-1] == f"Not verified: {NAMES[1]}."
    assert [row.verified for row in base_rows(some)] == ["yes", "no"]
    assert_fits(rendered(totals_table(some)))


def test_a_heading_stands_above_each_plan_only_if_there_are_several(plans):
    (heading,) = base_heading(plans, plans.plans[1])
    assert NAMES[1] in rendered(heading)
    alone = Plans(plans=plans.plans[:1])
    assert base_heading(alone, alone.plans[0]) == ()


def test_the_page_has_the_totals_and_then_every_plan(plans):
    html = plans_report(plans)
    assert_loads_nothing(html)
    text = Page(html).words()
    first, plan = text.index("Price per hour"), text.index("rank × count")
    assert "11.50" in text[first:plan]
    assert all(base in text[first:plan] for base in NAMES)
    assert all(server.name in text for plan in plans.plans for server in plan.servers)
    articles = [attributes["id"] for tag, attributes in Page(html).tags if tag == "article"]
    assert articles == ["base-0", "base-1"]


def test_no_figure_or_section_of_the_page_is_taken_for_that_of_another_base_model(plans):
    html = plans_report(plans)
    ids = Page(html).ids()
    assert len(ids) == len(set(ids))
    boxes = {attributes["id"] for _, attributes in Page(html).tags if attributes.get("class") == "plot"}
    assert boxes == set(drawn(html)["figures"])
    links = {attributes["href"] for tag, attributes in Page(html).tags if tag == "a"}
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_page_of_a_single_plan_is_that_of_the_plan(plans):
    alone = plans.plans[0]
    assert plans_report(Plans(plans=(alone,))) == plan_report(alone)
