"""adaptwin plan with rates over time: the busiest period, the schedule, its folder, and what is refused."""

import json

import pytest

from adaptwin import Plan, Plans, load_profile
from adaptwin.plan.schedule import Schedule

RATES = """\
name,00:00,00:10,00:20,00:30
a0,0.5,50,50,0.5
a1,0.3,0.3,8,0.3
base,0.2,0.2,0.2,0.2
"""


SCHEDULE = ("plan", "fleet.yaml", "--rates-over-time", "rates.csv", "--schedule")


@pytest.fixture
def rates(folder):
    (folder / "rates.csv").write_text(RATES, encoding="utf-8")
    return folder


@pytest.fixture
def scheduled(adaptwin, rates):
    done = adaptwin(*SCHEDULE, "--lead", "5m", "--out", "day")
    assert done.code == 0, done
    return done


def test_one_plan_is_made_for_the_busiest_period_and_simulated_in_all(adaptwin, rates):
    done = adaptwin("plan", "fleet.yaml", "--rates-over-time", "rates.csv", "--out", "plan.yaml")
    assert done.code == 0
    assert "Planned for 00:20-00:30, which of 4 periods of 10 min has the most tokens." in done.out
    assert "All 4 periods were simulated, and the plan holds in each of them." in done.out
    plan = Plan.read(rates / "plan.yaml")
    assert plan.workload.rate == pytest.approx(58.2)
    assert plan.workload.duration == 600.0
    assert "rates of 00:20-00:30, the busiest of 4 periods" in plan.assumptions


def test_the_fleet_may_name_the_file(adaptwin, rates):
    text = (rates / "fleet.yaml").read_text(encoding="utf-8")
    (rates / "sub").mkdir()
    (rates / "sub" / "fleet.yaml").write_text(f"rates_over_time: ../rates.csv\n{text}", encoding="utf-8")
    done = adaptwin("plan", "sub/fleet.yaml", "--json")
    assert json.loads(done.out)["workload"]["duration"] == 600.0
    assert "Planned for 00:20-00:30" in done.err
    refused = adaptwin("plan", "sub/fleet.yaml", "--out", "rates.csv.yaml", "--front")
    assert refused.code == 1
    assert "--front" in refused.err
    overwriting = adaptwin("plan", "sub/fleet.yaml", "--out", "sub/../rates.csv")
    assert overwriting.code == 1


def test_a_schedule_is_a_folder_of_verified_plans_that_follow_each_other(rates, scheduled):
    found = Schedule.read(rates / "day" / "schedule.yaml")
    static = Plan.read(rates / "day" / found.static_plan)
    assert found.verified
    assert static.gpus == found.static_gpus == 2
    assert [(entry.at, entry.until, entry.gpus) for entry in found.entries] == [
        ("00:10", "00:30", 2),
        ("00:30", "00:10", 1),
    ]
    assert found.gpu_hours == pytest.approx(2 * 2 / 6 + 1 * 2 / 6 + 1 * 5 / 60, abs=2e-3)  # one server starts early
    assert found.static_gpu_hours == pytest.approx(2 * 4 / 6, abs=1e-3)
    assert found.saved_gpu_hours == pytest.approx(found.static_gpu_hours - found.gpu_hours, abs=2e-3)
    plans = [Plan.read(rates / "day" / entry.plan) for entry in found.entries]
    for before, plan, entry in zip([plans[-1], *plans], plans, found.entries, strict=False):
        assert plan.verified
        assert plan.migration.gpus_before == before.gpus
        assert plan.migration.moves == entry.moves
        assert all(server.forecast for server in plan.servers)
    assert {step.action for step in plans[0].migration.steps} >= {"start"}
    assert {step.action for step in plans[1].migration.steps} >= {"stop"}


def test_the_table_fits_80_columns_and_says_what_is_saved(adaptwin, rates, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = adaptwin(*SCHEDULE, "--lead", "0")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    text = " ".join(done.out.split())
    assert "2 plans on 1 to 2 GPUs: 1.00 GPU-hours in 40 min, instead of 1.33 with 2 GPUs." in text
    assert "The schedule saves 0.33 GPU-hours in 40 min (25 %)." in text
    assert "Every plan held in simulations of each of its periods (4 in total)." in text
    assert "plan-0010.yaml" in text


def test_a_schedule_as_json_is_nothing_else(adaptwin, rates):
    done = adaptwin(*SCHEDULE, "--json", "--lead", "1m")
    assert Schedule.parse(json.loads(done.out)).periods == 4


def test_plans_of_an_earlier_schedule_are_named(adaptwin, rates, scheduled):
    (rates / "day" / "plan-2300.yaml").write_text("", encoding="utf-8")
    done = adaptwin(*SCHEDULE, "--lead", "5m", "--out", "day")
    assert "left in day: plan-2300.yaml" in done.err


def test_a_window_of_several_periods_needs_no_file(adaptwin, rates):
    (rates / "factors.csv").write_text("start,factor\n0,1\n600,60\n1200,1\n", encoding="utf-8")
    text = (rates / "fleet.yaml").read_text(encoding="utf-8").replace("duration: 300", "duration: 1800")
    (rates / "fleet.yaml").write_text(f"arrivals: rates:factors.csv\n{text}", encoding="utf-8")
    done = adaptwin("plan", "fleet.yaml", "--period", "10m", "--schedule", "--json", "--lead", "0")
    assert done.code == 0, done.err
    assert "requests arrive independently of each other" in done.err
    found = Schedule.parse(json.loads(done.out))
    assert [(entry.at, entry.gpus) for entry in found.entries] == [("00:10", 2), ("00:20", 1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lead", "5m"), "--lead: needs --schedule"),
        (("--move-cost", "0"), "--move-cost: needs --schedule"),
        (("--schedule", "--front"), "--front: cannot be used with --schedule"),
        (("--schedule", "--report", "day.html"), "--report: cannot be used with --schedule"),
        (("--schedule", "--out", "day.yaml"), "would be a folder of plans"),
        (("--schedule", "--out", "fleet.yaml/day"), "cannot be made a folder"),
        (("--schedule", "--lead", "1h"), "lead: 3600 s must be at most the period"),
        (("--period", "10m"), "the file of rates gives the periods"),
        (("--schedule", "--objective", "min-latency", "--gpus", "2"), "uses a given number of GPUs"),
    ],
)
def test_options_that_do_not_fit_are_refused(adaptwin, rates, words, message):
    done = adaptwin("plan", "fleet.yaml", "--rates-over-time", "rates.csv", *words)
    assert done.code in (1, 2)
    assert message in " ".join(done.err.split()).replace("'", "").replace("Invalid value for ", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RATES + "a9,1,1,1,1\n", "rates.csv: name: 'a9' is no adapter of the fleet"),
        ("name,0,1,3\na0,1,1,1\n", "periods must be equally long"),
        ("name,00:00,00:01\na0,1,1\n", "too few to show that a server keeps up"),
    ],
)
def test_wrong_rates_are_named(adaptwin, rates, text, message):
    (rates / "rates.csv").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "fleet.yaml", "--rates-over-time", "rates.csv")
    assert done.code == 1
    assert message in done.err


def test_adapters_without_a_row_are_named(adaptwin, rates):
    (rates / "rates.csv").write_text("name,00:00,00:10\na0,1,2\n", encoding="utf-8")
    done = adaptwin("plan", "fleet.yaml", "--rates-over-time", "rates.csv")
    assert "planned with their rates of the fleet in every period: a1, base" in done.err
    assert done.code == 0


def test_a_window_of_one_period_has_no_rates_over_time(adaptwin, rates):
    done = adaptwin("plan", "fleet.yaml", "--schedule")
    assert done.code == 1
    assert "fleet.yaml: period: 3600 s: 300 s of traffic have fewer than two such periods" in done.err


def test_commands_for_one_window_say_that_they_do_not_use_the_rates(adaptwin, rates):
    text = (rates / "fleet.yaml").read_text(encoding="utf-8")
    (rates / "fleet.yaml").write_text(f"rates_over_time: rates.csv\n{text}", encoding="utf-8")
    done = adaptwin("simulate", "fleet.yaml", "--max-loras", "2")
    assert "rates over time of the fleet are not used" in done.err


def test_each_base_model_is_planned_for_its_own_busiest_period(adaptwin, folder):
    profiles = ("h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct")
    fleet = "".join(
        f"- {{name: {name}, rank: 8, rate: 1, base: {load_profile(profile).model.name}}}\n"
        for name, profile in zip("ab", profiles, strict=True)
    )
    (folder / "two.yaml").write_text(f"profile: [{', '.join(profiles)}]\nadapters:\n{fleet}", encoding="utf-8")
    (folder / "two.csv").write_text("name,00:00,00:10\na,5,1\nb,1,4\n", encoding="utf-8")
    done = adaptwin("plan", "two.yaml", "--rates-over-time", "two.csv", "--out", "two-plans.yaml")
    assert done.code == 0, done.err
    rates = {plan.workload.adapters[0].name: plan.workload.rate for plan in Plans.read(folder / "two-plans.yaml").plans}
    assert rates == {"a": 5.0, "b": 4.0}
    refused = adaptwin("plan", "two.yaml", "--rates-over-time", "two.csv", "--schedule")
    assert refused.code == 1
    assert "--schedule: is for one base model" in refused.err
