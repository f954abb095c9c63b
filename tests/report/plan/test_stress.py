"""The table and the sentences on what a plan bears."""

import pytest
from tests.report.reading import Page, assert_fits, rendered

from adaptwin.plan.stress import Proportion, Stress, StressResult
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.sentences import headroom_sentence, stress_sentence
from adaptwin.report.plan.stress import stress_table
from adaptwin.report.plan.table import plan_table

FULL = Stress(
    seed=3,
    servers=("gpu-0", "gpu-1", "gpu-2", "gpu-3"),
    results=(
        StressResult(traffic="as planned", fleet=Proportion.of(20, 20), servers=Proportion.of(80, 80)),
        StressResult(
            traffic="each rate wrong by 20 %",
            fleet=Proportion.of(1, 20),
            servers=Proportion.of(57, 80),
            failed={"gpu-1": 14, "gpu-2": 9},
            unaffected=2,
        ),
    ),
    left_out=("regimes, factor 1.5",),
)
SAMPLE = Stress(
    seed=3,
    servers=("gpu-2", "gpu-0", "gpu-3"),
    results=(
        StressResult(traffic="each rate wrong by 20 %", fleet=Proportion.of(1, 10), servers=Proportion.of(20, 30)),
    ),
    is_sample=True,
)


def with_headroom(plan, *headrooms):
    servers = (
        server.model_copy(update={"forecast": server.forecast.model_copy(update={"headroom": headroom})})
        for server, headroom in zip(plan.servers, headrooms, strict=True)
    )
    return plan.model_copy(update={"servers": tuple(servers)})


def test_the_table_has_counts_intervals_and_the_server_that_fails_most_often() -> None:
    text = rendered(stress_table(FULL))
    assert_fits(text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Stress: 20 runs of 4 GPUs for each kind of traffic" in lines
    assert "as planned 20 of 20 84–100 % 80 of 80 95–100 % –" in lines
    assert "each rate wrong by 20 % 1 of 20 1–24 % 57 of 80 61–80 % gpu-1" in lines
    assert "Left out, as no adapter would have other arrivals: regimes, factor 1.5." in lines
    assert "2 adapters keep their own arrivals under bursts and regimes." in lines


def test_a_stressed_plan_shows_the_table_and_no_sample(plan) -> None:
    stressed = plan.model_copy(update={"stress": FULL})
    text = rendered(plan_table(stressed))
    assert_fits(text)
    assert "57 of 80" in text
    assert stress_sentence(stressed) == ""
    page = Page(plan_report(stressed)).text
    assert "57 of 80" in page
    assert "gpu-1 (14), gpu-2 (9)" in page


def test_a_sample_is_a_sentence_that_says_what_it_does_not_cover(plan) -> None:
    sampled = plan.model_copy(update={"stress": SAMPLE})
    assert stress_sentence(sampled) == (
        "Stress sample, each rate wrong by 20 %: the 3 fullest of 4 GPUs held in 1 of 10 runs (95 % interval 2–40 %); "
        "all 4 hold no more often. More: adaptwin verify --stress."
    )
    assert "held in 1 of 10 runs" in " ".join(rendered(plan_table(sampled)).split())
    assert "fullest GPUs hold" in Page(plan_report(sampled)).text


def test_a_sample_of_all_gpus_needs_no_reservation(make_plan) -> None:
    sampled = make_plan(gpus=3).model_copy(update={"stress": SAMPLE})
    assert ": 3 GPUs held in 1 of 10 runs (95 % interval 2–40 %). More" in stress_sentence(sampled)


def test_a_plan_without_stress_says_nothing_of_it(plan) -> None:
    assert plan.stress is None
    assert stress_sentence(plan) == ""
    assert "Stress" not in rendered(plan_table(plan))
    assert "Stress" not in Page(plan_report(plan)).text


def test_headroom_below_the_error_of_the_twin_is_warned_of(plan) -> None:
    """The profile of these tests states an error of 2.1 %."""
    assert headroom_sentence(with_headroom(plan, 0.03, 0.021, 0.5, 3.0)) == ""
    assert headroom_sentence(with_headroom(plan, 0.03, 0.0, 0.02, 3.0)) == (
        "The headroom of 2 GPUs is below the twin's own error of 2.1 % (gpu-1: 0 %): plan with --headroom 5% or "
        "--margin 5%."
    )
    text = " ".join(rendered(plan_table(with_headroom(plan, 0.3, 0.3, 0.3, 0.01))).split())
    assert "The headroom of 1 GPU is below the twin's own error of 2.1 % (gpu-3: 1 %)" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "below 5.0 %, the error assumed where it is not measured (gpu-0: 4 %): plan with --headroom 5%"),
        (7.3, "below the twin's own error of 7.3 % (gpu-0: 4 %): plan with --headroom 8%"),
    ],
)
def test_the_error_is_the_profiles_or_else_five_per_cent(plan, error, expected) -> None:
    profile = plan.profiles[0]
    known = None if error is None else profile.error.model_copy(update={"throughput": error})
    uncertain = plan.model_copy(update={"profiles": (profile.model_copy(update={"error": known}),)})
    assert expected in headroom_sentence(with_headroom(uncertain, 0.04, 0.3, 0.3, 0.3))


def test_a_plan_that_promises_nothing_is_not_warned(plan) -> None:
    assert headroom_sentence(with_headroom(plan, 0.0, 0.0, 0.0, 0.0).model_copy(update={"promises": False})) == ""
