"""PlanOptions: one definition for keywords, fleet files and the command line."""

import inspect

import pytest

from adaptwin import Plan, SpecError, make_plan
from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.options import PlanOptions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"headroom": 10.1}, r"^headroom: 10.1 must be from 0 to 10$"),
        ({"headroom": float("nan")}, r"^headroom: nan must be from 0 to 10$"),
        ({"margin": "profil"}, r"^margin: 'profil' is neither a share, such as 0.2, nor the word profile$"),
        ({"gpus": 0}, r"^gpus: 0 must be at least 1$"),
        ({"ttft_p99": 0.0}, r"^ttft_p99: 0.0 must be above 0$"),
        ({"prices": {"h100": -1.0}}, r"^prices.h100: -1.0 must be above 0$"),
        ({"spares": 1}, r"^spares: unknown key \(allowed: objective, strategy, "),
    ],
)
def test_wrong_options_name_the_keyword(fields, message):
    with pytest.raises(SpecError, match=message):
        PlanOptions.of(fields)


def test_every_option_is_a_keyword_of_make_plan():
    parameters = inspect.signature(make_plan).parameters
    assert set(PlanOptions.model_fields) <= set(parameters)
    for name, field in PlanOptions.model_fields.items():
        if name != "prices":  # a mapping, whose default is None in make_plan
            assert parameters[name].default == field.default


def test_limits_are_those_of_the_percentiles():
    assert not PlanOptions().latency_limits
    limits = PlanOptions(ttft_p99=2.0).latency_limits
    assert limits.holds(ttft_p99=1.9, itl_p99=9.0)
    assert not limits.holds(ttft_p99=2.1, itl_p99=0.0)


def test_a_plan_has_the_options_that_it_was_made_with(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 0.5)), headroom=0.2, spare=1, itl_p99=1.0, prices={h100.name: 2.5})
    expected = PlanOptions(headroom=0.2, spare=1, itl_p99=1.0, prices={h100.name: 2.5})
    assert plan.options == expected
    assert plan.cost_per_hour == 2.5 * plan.gpus


def test_a_function_may_be_the_strategy_and_the_plan_has_its_name(h100, fleet):
    def all_on_one(problem):
        shares = dict.fromkeys(problem.capacity.names, 1.0)
        return [Assignment(problem.capacity.server(shares, 2), shares)]

    plan = make_plan(h100, fleet(("a", 8, 0.5), ("b", 8, 0.5)), strategy=all_on_one)
    assert plan.options.strategy == "all_on_one"
    assert plan.gpus == 1
    assert plan.verified


# Keys of earlier versions


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("objective: min-gpus", "objective: is now called options.objective"),
        ("spare: 1", "spare: is now called options.spare"),
        ("guesses: 7", "guesses: is now called predictions"),
        (
            "bounds: {ttft_p99: 2.0}",
            "bounds: is now called options.ttft_p99 and options.itl_p99",
        ),
    ],
)
def test_a_key_of_an_earlier_version_names_the_new_one(tmp_path, line, message):
    """The error names the old key, although required new fields are missing, too."""
    path = tmp_path / "plan.yaml"
    path.write_text(f"seed: 0\n{line}\nlower_bound: 1\nservers: []\nprofiles: []\n", encoding="utf-8")
    with pytest.raises(SpecError) as refusal:
        Plan.read(path)
    assert str(refusal.value) == f"{path}: {message}"
