import re

import pytest
from tests.report.reading import assert_fits, rendered

from adaptwin.placement.spares.standby import with_standbys
from adaptwin.plan.options import PlanOptions
from adaptwin.report.plan.table import plan_table


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
    assert "fewer than 3 GPUs. This plan is at most 1 GPU above the optimum." in text
    optimal = plan.model_copy(update={"lower_bound": 4, "verified": False, "time_limit_hit": True})
    text = " ".join(rendered(plan_table(optimal)).split())
    assert "fewer than 4 GPUs. This plan is optimal." in text
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
    assert f"requests/s, at a price of {cost} per hour" in text
    assert f"less than 6.00 per hour. This plan costs {cost}, at most" in text
    assert "at most 1 GPU above the optimum" in text
    optimal = plan.model_copy(update={"cost_bound": plan.cost_per_hour, "goal": "price"})
    text = " ".join(rendered(plan_table(optimal)).split())
    assert f"less than {cost} per hour. This plan is optimal." in text
    assert "above the optimum" not in text


def test_a_plan_on_several_profiles_says_how_many_gpus_of_each(make_plan) -> None:
    plan = make_plan(gpus=4, profiles=2)
    first, second = (profile.name for profile in plan.profiles)
    assert f"2 × {first}, 2 × {second}." in " ".join(rendered(plan_table(plan)).split())


def test_a_plan_without_prices_says_nothing_of_them(plan) -> None:
    assert "per hour" not in rendered(plan_table(plan))


def test_a_plan_with_standbys_fits_80_columns_and_names_them(plan) -> None:
    text = rendered(plan_table(with_standbys(plan.model_copy(update={"options": PlanOptions(spare=2)}))))
    assert_fits(text)
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("gpu-5")] == [["gpu-5", "0", "standby"]]
    assert "Any 2 GPUs may fail: in place of each, a standby (gpu-4, gpu-5) starts" in " ".join(text.split())


def test_a_plan_without_forecast_is_shown_all_the_same(make_plan) -> None:
    assert_fits(rendered(plan_table(make_plan(forecast=False))))


def test_long_names_are_folded_and_markup_in_them_is_text(plan) -> None:
    name = "[red]" + "very-long-server-name-" * 4
    servers = (plan.servers[0].model_copy(update={"name": name}), *plan.servers[1:])
    text = rendered(plan_table(plan.model_copy(update={"servers": servers})))
    assert_fits(text)
    assert "[red]" in text
