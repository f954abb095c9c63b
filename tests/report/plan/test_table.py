import math
import re

import pytest
from tests.report.reading import assert_fits, rendered

from adaptwin.placement.spares.standby import with_standbys
from adaptwin.placement.verification.verify import verify
from adaptwin.plan.check import Check
from adaptwin.plan.options import PlanOptions
from adaptwin.report.plan.table import (
    check_table,
    made_how,
    plan_table,
    profiles_table,
    rank_counts,
    rejected_sentence,
    run_table,
    uncertainty_sentence,
)
from adaptwin.report.style.words import duration, number, percent
from adaptwin.twin.simulate import simulate
from adaptwin.workload.workload import Adapter, Workload


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.0042, "4.2 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (59.9, "60 s"),
        (59.96, "1.0 min"),
        (126.0, "2.1 min"),
        (7200.0, "2.0 h"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_latencies_are_written_with_the_unit_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0417, "0.042"),
        (1.25, "1.25"),
        (9.996, "10.0"),
        (12.36, "12.4"),
        (99.96, "100"),
        (5210.4, "5,210"),
    ],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_share_is_written_in_percent() -> None:
    assert percent(0.137) == "14 %"
    assert percent(math.nan) == "–"


def test_ranks_are_counted_per_server(make_plan) -> None:
    plan = make_plan(gpus=2, adapters=30)
    counted = rank_counts(plan)
    assert [sum(counts.values()) for counts in counted] == [15, 16]  # the hottest adapter is on both
    assert all(list(counts) == sorted(counts) for counts in counted)


@pytest.mark.parametrize(("gpus", "profiles"), [(1, 1), (4, 1), (4, 2), (40, 1)])
def test_a_plan_fits_80_columns_with_every_gpu_in_both_tables(make_plan, gpus: int, profiles: int) -> None:
    plan = make_plan(gpus=gpus, adapters=50 * gpus, profiles=profiles)
    text = rendered(plan_table(plan))
    assert_fits(text)
    for server in plan.servers:
        assert len(re.findall(rf"^{server.name} ", text, re.MULTILINE)) == 2
        assert server.forecast
        assert server.forecast.binding in text


def test_a_plan_shows_all_figures_of_a_gpu(plan) -> None:
    text = rendered(plan_table(plan))
    row = next(line for line in reversed(text.splitlines()) if line.startswith("gpu-1"))
    assert " ".join(row.split()) == "gpu-1 11.2 5,327 59 ms 1.0 s 31 ms 50 % 21 % memory ok"


def test_a_plan_says_how_far_from_optimal_it_can_be(plan) -> None:
    text = " ".join(rendered(plan_table(plan)).split())
    assert "fewer than 3 GPUs (lower bound): this one is at most 1 GPU above the best" in text
    optimal = plan.model_copy(update={"lower_bound": 4, "verified": False, "time_limit_hit": True})
    text = " ".join(rendered(plan_table(optimal)).split())
    assert "fewer than 4 GPUs: this one is optimal" in text
    assert "Not verified" in text
    assert "time limit" in text


def _priced(plan, *prices: float):
    profiles = zip(plan.profiles, prices, strict=True)
    return plan.model_copy(
        update={"profiles": tuple(p.model_copy(update={"price_per_hour": price}) for p, price in profiles)}
    )


def test_a_plan_says_what_it_costs_and_how_far_from_the_cheapest_it_can_be(make_plan) -> None:
    plan = _priced(make_plan(gpus=4, profiles=2), 2.5, 1.0).model_copy(update={"cost_bound": 6.0})
    assert plan.cost_per_hour is not None
    cost = f"{plan.cost_per_hour:.2f}"
    text = " ".join(rendered(plan_table(plan)).split())
    assert f"requests/s at {cost} per hour" in text
    assert f"less than 6.00 per hour (lower bound): this one, for {cost}, is at most" in text
    assert "at most 1 GPU above the best" in text
    optimal = plan.model_copy(update={"cost_bound": plan.cost_per_hour, "goal": "price"})
    text = " ".join(rendered(plan_table(optimal)).split())
    assert f"less than {cost} per hour: this one is optimal" in text
    assert "above the best" not in text


def test_a_plan_on_several_profiles_says_how_many_gpus_of_each(make_plan) -> None:
    plan = make_plan(gpus=4, profiles=2)
    first, second = (profile.name for profile in plan.profiles)
    assert f"2 × {first}, 2 × {second}." in " ".join(rendered(plan_table(plan)).split())


def test_a_plan_without_prices_says_nothing_of_them(plan) -> None:
    assert "per hour" not in rendered(plan_table(plan))


def test_a_plan_says_how_far_a_real_gpu_may_be_from_the_figures(plan) -> None:
    assert uncertainty_sentence(plan) == ""
    servers = []
    for server, width in zip(plan.servers, (1.02, 1.05, 1.01, 1.03), strict=True):
        forecast = server.forecast
        intervals = {
            "throughput": (forecast.throughput / width, forecast.throughput * width),
            "itl.mean": (forecast.itl_mean / width**2, forecast.itl_mean * width**2),
        }
        servers.append(server.model_copy(update={"forecast": forecast.model_copy(update={"intervals": intervals})}))
    told = uncertainty_sentence(plan.model_copy(update={"servers": tuple(servers)}))
    assert (
        told
        == "A real GPU would have throughput within 5 % and mean ITL within 10 % of these figures, nine times in ten."
    )


def test_a_plan_says_when_requests_are_too_long(plan) -> None:
    assert rejected_sentence(plan) == ""
    first, *others = plan.servers
    forecast = first.forecast.model_copy(update={"rejected": 139})
    long = plan.model_copy(update={"servers": (first.model_copy(update={"forecast": forecast}), *others)})
    assert rejected_sentence(long) == "139 requests in 1.0 h would be rejected: longer than max_model_len."
    assert "139 requests" in rendered(plan_table(long))


def test_a_plan_with_standbys_fits_80_columns_and_names_them(plan) -> None:
    text = rendered(plan_table(with_standbys(plan.model_copy(update={"options": PlanOptions(spare=2)}))))
    assert_fits(text)
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("gpu-5")] == [["gpu-5", "0", "standby"]]
    assert "Any 2 GPUs may fail: a standby (gpu-4, gpu-5) starts" in " ".join(text.split())


def test_a_plan_without_forecast_is_shown_all_the_same(make_plan) -> None:
    assert_fits(rendered(plan_table(make_plan(forecast=False))))


def test_long_names_are_folded_and_markup_in_them_is_text(plan) -> None:
    name = "[red]" + "very-long-server-name-" * 4
    servers = (plan.servers[0].model_copy(update={"name": name}), *plan.servers[1:])
    text = rendered(plan_table(plan.model_copy(update={"servers": servers})))
    assert_fits(text)
    assert "[red]" in text


@pytest.fixture(scope="module")
def overloaded(make_plan):
    plan = make_plan(gpus=4, adapters=60)
    server = plan.servers[0].server.model_copy(update={"max_loras": 4, "max_cpu_loras": 60})
    workload = plan.workload.model_copy(update={"duration": 300.0})
    return simulate(plan.profiles[0], server, workload.scaled(1.5), repeats=2, warmup=10.0)


def test_a_run_fits_80_columns_and_names_at_most_ten_adapters(overloaded) -> None:
    text = rendered(run_table(overloaded))
    assert_fits(text)
    bad = len(overloaded.adapters) - overloaded.adapters["verdict"].to_list().count("ok")
    assert bad > 10
    assert f"Adapters not ok: {bad} of 60, the worst 10" in text
    assert len(re.findall(r"^tenant-\d+ ", text, re.MULTILINE)) == 10
    for word in (
        "TTFT",
        "ITL",
        "TPOT",
        "E2E",
        "preemptions",
        "Adapter loads",
        "Busy",
        "95 % interval",
        "warm-up 10 s",
    ):
        assert word in text


def test_a_run_of_an_idle_server_has_no_latencies(plan) -> None:
    idle = Workload(adapters=(Adapter(name="a", rank=8, rate=0.0),), duration=60.0)
    text = rendered(run_table(simulate(plan.profiles[0], plan.servers[0].server, idle)))
    assert_fits(text)
    assert "all 1 are ok" in text
    assert "nan" not in text


def test_profiles_fit_80_columns_and_an_unchecked_one_says_so(plan) -> None:
    checked = plan.profiles[0]
    text = rendered(profiles_table([checked, checked.model_copy(update={"name": "other", "error": None})]))
    assert_fits(text)
    assert re.search(r"h100-64gb-llama-3.1-8b-instruct +0.8.5 +about 308,032 +2.1 % +4.3 % +216", text)
    assert re.search(r"^other .* none", text, re.MULTILINE)


def test_a_verification_fits_80_columns_and_names_what_failed(plan, overloaded) -> None:
    short = plan.workload.model_copy(update={"duration": 120.0})
    light = verify(plan.model_copy(update={"workload": short.scaled(0.05)}), jobs=1)
    text = rendered(check_table(light))
    assert_fits(text)
    assert "The plan holds on 4 GPUs with seed 1" in text
    failed = Check([overloaded], plan.servers[:1], seed=3)
    text = rendered(check_table(failed))
    assert_fits(text)
    assert "does not hold on 1 GPU with seed 3" in text
    assert all(line in text for line in failed.failures)


def test_a_plan_says_how_often_predictors_and_the_twin_were_asked(make_plan) -> None:
    plan = make_plan()
    asked = plan.model_copy(update={"predictions": 9_000, "twin_runs": 1})
    assert "with 9,000 predictions and 1 twin run" in made_how(asked)
    assert "prediction" not in made_how(plan.model_copy(update={"predictions": 0}))
