"""The first screen of a plan's page: price, a naive plan, assumptions, and what to do next."""

import pytest
from tests.report.plan.test_safety import with_forecast
from tests.report.reading import Page

from adaptwin.briefing.briefing import Briefing, MoreTraffic, NaivePlan
from adaptwin.explanation.explanation import Saving
from adaptwin.plan.migration import Migration
from adaptwin.report.plan.assumption_strip import assumption_strip
from adaptwin.report.plan.cards import plan_cards
from adaptwin.report.plan.more_traffic import traffic_rows
from adaptwin.report.plan.next_steps import next_steps
from adaptwin.report.plan.page import PageOrigin, plan_report
from adaptwin.twin.server import Server
from adaptwin.workload.templates import Template


def priced(plan, price=2.5, currency="USD"):
    (profile,) = plan.profiles
    options = plan.options.model_copy(update={"currency": currency})
    return plan.model_copy(
        update={"profiles": (profile.model_copy(update={"price_per_hour": price}),), "options": options}
    )


def card(plan, label, briefing=None):
    return next(each for each in plan_cards(plan, briefing) if each.label == label)


def test_the_price_is_per_hour_and_per_month_with_its_currency(plan):
    found = card(priced(plan), "Price per hour")
    assert found.value == "10.00 USD"
    assert found.note == "7,300 USD per month of 730 h"
    assert card(plan, "Price").value == "not known"


@pytest.mark.parametrize(
    ("naive", "value", "note"),
    [
        (NaivePlan(6, 15.0, verified=True), "6 GPUs", "50 % more; this plan saves 3,650 USD per month"),
        (NaivePlan(4, 10.0, verified=True), "4 GPUs", "a slot for each: as many"),
        (NaivePlan(9, 22.5, verified=False), "over 9 GPUs", "not even these hold"),
        (NaivePlan(None, None, verified=False, problem="no"), "is impossible", "no number of GPUs"),
    ],
)
def test_a_naive_plan_stands_beside_the_plan(plan, naive, value, note):
    found = card(priced(plan), "A naive plan", Briefing({}, 0, naive))
    assert found.value == value
    assert found.note.startswith("adapters dealt in turn, a slot for each")
    assert note in found.note


def test_the_strip_says_what_all_figures_rest_on(plan):
    said = {each.about: each.what for each in assumption_strip(plan)}
    assert said["Model"] == plan.base
    assert said["GPU"] == "NVIDIA H100 64 GB"
    assert said["Figures"].startswith("measured; throughput 2.1 %, ITL 4.3 % off")
    assert "250 in, 231 out" in said["Request lengths"]
    assert said["Prompts that begin alike"].startswith("none")
    alike = plan.workload.model_copy(update={"templates": (Template(tokens=100),)})
    unknown = tuple(each.model_copy(update={"forecast": None}) for each in plan.servers)
    unknown = assumption_strip(plan.model_copy(update={"workload": alike, "servers": unknown}))
    said = {each.about: each.what for each in unknown}["Prompts that begin alike"]
    assert said == "40 % of the prompt tokens in templates; how many of them are cached is not known without forecasts"
    given = plan.model_copy(
        update={
            "settings": Server(max_num_seqs=64),
            "servers": tuple(
                each.model_copy(update={"server": each.server.model_copy(update={"max_num_seqs": 64})})
                for each in plan.servers
            ),
        }
    )
    assert {each.about: each.what for each in assumption_strip(given)}["max_num_seqs"] == "64 (as given)"


def commands(plan, briefing=None):
    return [step.command for step in next_steps(plan, briefing, "my.yaml")]


def test_what_to_do_next_begins_with_what_is_wrong(plan):
    safe = priced(with_forecast(plan))
    assert commands(safe) == [
        "adaptwin export my.yaml --to vllm --out serve.sh",
        "adaptwin watch --plan my.yaml --servers servers.yaml",
    ]
    assert commands(with_forecast(safe, headroom=0.01))[0] == "--headroom 10%"
    assert commands(with_forecast(safe, ttft_p99=9.0))[0] == "--ttft-p99 2s"
    assert commands(safe.model_copy(update={"verified": False}))[0] == "--margin 10%"
    assert commands(with_forecast(plan))[0].startswith("--price h100-64gb-llama-3.1-8b-instruct=PRICE")


def test_a_setting_that_would_save_a_gpu_is_said_at_once(plan):
    savings = (Saving(change="max_num_seqs 512 instead of 128", gpus=3), Saving(change="5 % less traffic", gpus=3))
    steps = next_steps(priced(with_forecast(plan)), Briefing({}, 0, savings=savings), "plan.yaml")
    assert steps[0].text.startswith("max_num_seqs 512 instead of 128 may save 1 GPU")
    assert not any("less traffic" in step.text for step in steps)


def test_after_a_replan_the_next_step_is_to_apply_it(plan):
    again = priced(with_forecast(plan)).model_copy(
        update={"migration": Migration(gpus_before=3, moves=0, restarts=0, extra_gpus=0, added=0, departed=0, steps=())}
    )
    assert commands(again)[0].startswith("adaptwin apply my.yaml --servers servers.yaml")


def test_more_traffic_is_told_with_verdicts_gpus_and_price(plan):
    found = (
        MoreTraffic(1.25, {}, 4, 10.0, verified=True),
        MoreTraffic(1.5, {"gpu-1": "backlogged"}, 6, 15.0, verified=True),
        MoreTraffic(2.0, {f"gpu-{i}": "starved" for i in range(4)}, None, None, verified=False, problem="too hot"),
    )
    now, little, more, double = traffic_rows(priced(with_forecast(plan)), Briefing({}, 0, more_traffic=found))
    assert (now.holds, now.gpus, now.month) == ("holds", "4", "7,300 USD")
    assert (little.traffic, little.holds, little.tone, little.gpus) == ("× 1.25", "holds", "good", "4")
    assert (more.holds, more.why, more.gpus) == ("1 of 4 GPUs fails", "gpu-1 backlogged", "6 (+2)")
    assert (double.holds, double.why, double.gpus) == ("4 of 4 GPUs fail", "4 starved", "no plan")


def test_title_file_and_day_are_on_every_printed_sheet(plan):
    html = plan_report(plan, origin=PageOrigin('my "plan".yaml', "2026-11-28"))
    assert '@top-left { content: "Plan: 4 GPUs for 200 adapters"; }' in html
    assert '@top-right { content: "my \\22 plan\\22 .yaml"; }' in html
    assert "2026-11-28" in html
    assert "counter(page)" in html
    assert Page(html).words().startswith('Plan: 4 GPUs for 200 adapters 4 GPUs for 200 adapters my "plan".yaml')
