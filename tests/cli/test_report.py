"""adaptwin report, and the reports that plan and replan write."""

import json

import pytest


def test_a_plan_becomes_a_page_beside_it(adaptwin, planned):
    outcome = adaptwin("report", "plan.yaml", "--more-traffic", "2", "--json")
    assert outcome.code == 0
    assert outcome.err.splitlines()[-1] == "report written to plan.html"
    page = (planned / "plan.html").read_text(encoding="utf-8")
    assert "If traffic grows" in page
    assert "× 2" in page
    (found,) = json.loads(outcome.out)["plans"]
    assert found["gpus"] == found["naive"]["gpus"] == 1
    assert found["safe"] == "yes"
    assert [each["factor"] for each in found["more_traffic"]] == [2.0]


def test_a_quick_page_searches_for_nothing(adaptwin, planned, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("looked for a plan")

    for module in ("naive", "more_traffic"):
        monkeypatch.setattr(f"adaptwin.briefing.{module}.find_plan", refuse)
    outcome = adaptwin("report", "plan.yaml", "--quick", "--out", "page.html")
    assert outcome.code == 0
    page = (planned / "page.html").read_text(encoding="utf-8")
    assert "If traffic grows" not in page
    assert "A naive plan" not in page
    assert "Over time" in page


@pytest.mark.parametrize("text", ["", "1", "0.5,2", "two", "2,,3", "11", "nan"])
def test_factors_that_are_none_are_refused(adaptwin, planned, text):
    outcome = adaptwin("report", "plan.yaml", "--more-traffic", text)
    assert outcome.code == 1
    assert "above 1 and up to 10" in " ".join(outcome.err.split())
    assert not (planned / "plan.html").exists()


def test_the_page_is_not_written_over_the_plan(adaptwin, planned):
    before = (planned / "plan.yaml").read_text(encoding="utf-8")
    assert adaptwin("report", "plan.yaml", "--out", "plan.yaml").code == 1
    assert (planned / "plan.yaml").read_text(encoding="utf-8") == before


def test_plan_writes_the_same_kind_of_page_with_price_and_currency(adaptwin, folder):
    price = "h100-64gb-llama-3.1-8b-instruct=2.5"
    outcome = adaptwin("plan", "fleet.yaml", "--report", "p.html", "--price", price, "--currency", "EUR")
    assert outcome.code == 0
    assert "at a price of 2.50 EUR per hour" in " ".join(outcome.out.split())
    page = (folder / "p.html").read_text(encoding="utf-8")
    for words in ("2.50 EUR", "1,825 EUR per month of 730 h", "A naive plan", "If traffic grows", "× 1.25"):
        assert words in page


def test_after_long_planning_the_page_leaves_out_what_needs_more_plans(adaptwin, folder, monkeypatch):
    monkeypatch.setattr("adaptwin.cli.plan_report._LONG_PLANNING", -1.0)
    outcome = adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", "--report", "p.html")
    assert "adaptwin report plan.yaml finds them" in outcome.err
    assert "If traffic grows" not in (folder / "p.html").read_text(encoding="utf-8")
