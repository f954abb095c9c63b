"""fit: measurements simulated with a profile give back this profile."""

import numpy as np
import polars as pl
import pytest
from tests.calibration.simulated_measurements import (
    loads_of,
    measured,
    plain_setup,
    planning_of,
    runs_of,
    seconds_of,
    slower,
    steps_of,
    true_profile,
    wrong_profile,
)

from adaptwin import Measurements, SpecError, compare, fit, simulate
from adaptwin.calibration.step_fit import LATE_GROWTH
from adaptwin.calibration.step_terms import STEP_TERMS
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.scrape_cost import ScrapeCost, scrape_seconds
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario

TRUE = true_profile()
UNSEEN = (24, 16, 30, 0.3)  # slots, rank, adapters, requests/s per adapter
FLOODED = (12, 32, 16, 4.0)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return the file of a profile in which everything that is fitted is wrong."""
    path = tmp_path_factory.mktemp("profiles") / "wrong.yaml"
    wrong_profile().write(path)
    return path


@pytest.fixture(scope="module")
def everything(start):
    """Return measurements of every part but memory."""
    tables = {"loads": loads_of(TRUE), "planning": planning_of(TRUE), "steps": steps_of(TRUE)}
    return Measurements(plain_setup(start), **tables, runs=runs_of(TRUE))


@pytest.fixture(scope="module")
def fitted(everything):
    return fit(everything)


@pytest.fixture(scope="module")
def from_steps(everything):
    return fit(everything._replace(runs=()))


@pytest.fixture(scope="module")
def from_runs(everything):
    return fit(everything._replace(steps=None))


def unseen_steps():
    """Yield servers and steps that are not on the measured grid."""
    rng = np.random.default_rng(7)
    for _ in range(200):
        slots, rank = int(rng.integers(1, 40)), int(rng.choice([8, 16, 32]))
        step = int(rng.integers(1, 1500)), int(rng.integers(0, 60_000)), int(rng.integers(0, min(slots, 20) + 1))
        yield (slots, rank), *step


# Everything that was measured is recovered


def test_steps_outside_of_the_measurements_are_predicted(fitted):
    for step in unseen_steps():
        assert seconds_of(fitted.profile, *step) == pytest.approx(seconds_of(TRUE, *step), rel=0.01)


@pytest.mark.parametrize("configuration", [UNSEEN, FLOODED], ids=["calm", "starved"])
def test_runs_outside_of_the_measurements_are_predicted(fitted, configuration):
    real = measured(TRUE, *configuration)
    twin = simulate(fitted.profile, real.server, real.workload)
    assert twin.starved == real.starved == (configuration == FLOODED)
    assert twin.throughput == pytest.approx(real.throughput, rel=0.02)
    assert twin.itl.mean == pytest.approx(real.itl_mean, rel=0.02)
    if not real.starved:
        assert twin.ttft.p50 == pytest.approx(real.ttft_p50, rel=0.03)


def test_the_time_of_api_server_and_client_is_recovered(fitted):
    assert fitted.profile.request_latency == pytest.approx(TRUE.request_latency, rel=0.1)


def test_the_cost_of_a_waiting_request_is_roughly_recovered(fitted):
    assert fitted.profile.scheduler_cost.per_waiting == pytest.approx(TRUE.scheduler_cost.per_waiting, rel=0.5)


def test_loads_and_planning_are_recovered(fitted):
    assert fitted.profile.load_cost.model_dump() == pytest.approx(TRUE.load_cost.model_dump())
    assert fitted.profile.scheduler_cost.base == pytest.approx(TRUE.scheduler_cost.base)
    assert fitted.profile.scheduler_cost.per_running == pytest.approx(TRUE.scheduler_cost.per_running)


def test_memory_is_recovered(start):
    law = MemoryModel.from_shapes(TRUE.model, 10 * GIB).model_copy(update={"slot_bytes": 3e6, "estimated": False})
    sizes = [(slots, rank) for slots in (1, 20, 90) for rank in (8, 64)]
    setup = plain_setup(start)
    given = setup.memory_settings._asdict()
    table = pl.DataFrame(
        [(s, r, law.kv_cache_tokens(max_loras=s, max_lora_rank=r, **given)) for s, r in sizes],
        schema=["max_loras", "max_lora_rank", "kv_cache_tokens"],
        orient="row",
    )
    memory = fit(Measurements(setup, memory=table)).profile.memory
    assert memory.estimated is False
    for slots, rank in ((5, 16), (50, 32), (200, 64)):
        size = {"max_loras": slots, "max_lora_rank": rank, **given}
        assert memory.kv_cache_tokens(**size) == pytest.approx(law.kv_cache_tokens(**size), rel=2e-2)


def test_scrapes_are_recovered(start):
    """Pauses are measured in the last quarter of runs whose /metrics are scraped every two seconds."""
    scrapes = ScrapeCost(per_label_set=50e-6, per_label=5e-6)
    scraped = TRUE.model_copy(update={"scrape_cost": scrapes})
    runs = []
    for configuration in ((4, 8, 4, 0.5), (8, 16, 8, 0.4), (8, 32, 12, 0.3), (16, 8, 16, 0.3)):
        run = measured(scraped, *configuration, scrape_every=2.0)
        outcome = play(make_scenario(scraped, run.server, run.workload, seed=0, scrape_every=2.0))
        pause = scrape_seconds(scrapes.coefficients(), LATE_GROWTH * outcome.label_sets, LATE_GROWTH * outcome.labels)
        runs.append(run.model_copy(update={"scrape_pause": pause}))
    cost = fit(Measurements(plain_setup(start), steps=steps_of(TRUE), planning=planning_of(TRUE), runs=tuple(runs)))
    assert cost.profile.scrape_cost.per_label_set == pytest.approx(scrapes.per_label_set, rel=0.25)
    assert cost.profile.scrape_cost.per_label == pytest.approx(scrapes.per_label, rel=0.25)


# Constants that are known


@pytest.fixture(scope="module")
def stated():
    """Return the true constants of the base model that single steps do not separate from the host's time."""
    return {name: getattr(TRUE.step_cost, name) for name in ("gpu_base", "weights", "per_token", "per_pair")}


def test_stated_constants_are_kept_and_the_others_recovered(everything, start, stated):
    fitted = fit(everything._replace(setup=plain_setup(start, stated=stated), runs=()))
    cost = fitted.profile.step_cost
    assert {name: getattr(cost, name) for name in stated} == stated
    assert {f"step_cost.{name}" for name in stated} <= set(fitted.profile.undetermined)
    for name in ("host_base", "per_context_token", "launched_block", "expand_block", "shrink_block", "lora_byte"):
        assert getattr(cost, name) == pytest.approx(getattr(TRUE.step_cost, name), rel=0.02)


def test_a_fit_to_runs_keeps_stated_constants_as_well(everything, start, stated):
    fitted = fit(everything._replace(setup=plain_setup(start, stated=stated), steps=None))
    assert {name: getattr(fitted.profile.step_cost, name) for name in stated} == stated
    real = measured(TRUE, *UNSEEN)
    assert simulate(fitted.profile, real.server, real.workload).itl.mean == pytest.approx(real.itl_mean, rel=0.03)


def test_a_stated_constant_that_does_not_exist_is_refused(everything, start):
    with pytest.raises(SpecError, match=r"^setup\.stated: base is no constant of step_cost: expected host_base, "):
        fit(everything._replace(setup=plain_setup(start, stated={"base": 0.01})))
    with pytest.raises(SpecError, match=r"weights: -1.0 must be at least 0"):
        fit(everything._replace(setup=plain_setup(start, stated={"weights": -1.0})))


# What the fit says about itself


def test_residuals_are_named_and_small(fitted):
    parts = {part.part: part for part in fitted.residuals}
    assert list(parts) == [
        "adapter loads from host",
        "adapter loads from disk",
        "planning a step",
        "single steps",
        "mean step of a run",
        "mean step of a run, cross-validated",
    ]
    assert parts["single steps"].points == len(steps_of(TRUE))
    assert parts["mean step of a run"].points == parts["mean step of a run, cross-validated"].points == 12
    assert all(part.mean < 1.0 for part in fitted.residuals)
    assert all(part.mean <= part.worst < 3.0 for part in fitted.residuals)


def test_every_run_was_predicted_by_a_fit_to_others(fitted, everything):
    assert sorted(fitted.comparison["name"]) == sorted(run.name for run in everything.runs)
    error = fitted.profile.error
    assert error.runs == 12
    assert 0 < error.throughput < 5
    assert 0 < error.itl < 3
    assert 0 < error.ttft < 10
    assert error.starvation == 100.0


def test_an_odd_configuration_is_not_predicted_by_a_fit_that_has_seen_it(everything):
    """There are more constants than runs, so a fit to all runs follows the odd one, which is a third slower."""
    *others, odd = (everything.runs[i] for i in (0, 2, 4, 7, 8))
    odd = odd.model_copy(update={"tpot_mean": 1.33 * odd.tpot_mean, "itl_mean": 1.33 * odd.itl_mean})
    followed = fit(everything._replace(steps=None, runs=(*others, odd)))
    seen = simulate(followed.profile, odd.server, odd.workload)
    assert seen.itl.mean == pytest.approx(odd.itl_mean, rel=0.07)
    row = followed.comparison.filter(pl.col("name") == odd.name).row(0, named=True)
    assert row["twin_itl_mean"] < 0.9 * row["real_itl_mean"]


def test_the_spread_is_that_of_the_runs_that_were_compared(fitted):
    calm = fitted.comparison.filter(pl.col("regime") == "calm")
    spread = fitted.profile.spread_in("calm")
    assert spread.runs == len(calm) >= 5
    ratio = np.log(calm["real_itl_mean"] / calm["twin_itl_mean"])
    assert spread.itl == pytest.approx(float(np.sqrt((ratio**2).mean())), abs=1e-4)
    assert fitted.profile.spread_in("busy") is None  # too few runs


def test_the_profile_is_named_after_what_was_measured(fitted, start):
    profile = fitted.profile
    assert (profile.name, profile.hardware, profile.vllm_version) == ("made", "paper", "0.8.5")
    assert profile.source == "adaptwin fit"
    assert profile.price_per_hour is None
    assert profile.memory == MemoryModel.from_shapes(TRUE.model, 10 * GIB)
    named = plain_setup(start, source="a grid", price_per_hour=2.5)
    loads = fit(Measurements(named, loads=loads_of(TRUE))).profile
    assert (loads.source, loads.price_per_hour) == ("a grid", 2.5)


def test_the_fitted_profile_reads_back_as_it_was_written(fitted, tmp_path):
    fitted.profile.write(tmp_path / "p.yaml")
    assert type(fitted.profile).read(tmp_path / "p.yaml") == fitted.profile


def test_progress_comes_to_its_end(everything):
    told = []
    fit(everything._replace(runs=everything.runs[:4]), progress=lambda *what: told.append(what))
    last = {stage: (done, total) for stage, done, total in told}
    assert "cross-validation" in last
    assert any(stage.startswith("round 1 of up to") for stage in last)
    assert all(done == total for done, total in last.values())


# The same measurements, the same profile


def test_two_fits_are_equal(fitted, everything):
    again = fit(everything)
    assert again.profile == fitted.profile
    assert again.residuals == fitted.residuals
    assert again.warnings == fitted.warnings
    assert again.comparison.equals(fitted.comparison)


def test_the_start_does_not_change_the_result(fitted, from_runs, everything, tmp_path):
    slower(TRUE, 0.2).write(tmp_path / "other.yaml")
    other = everything._replace(setup=plain_setup(tmp_path / "other.yaml"))
    again = fit(other)
    named = {each.constant for each in (*fitted.undetermined, *again.undetermined)}
    for name in STEP_TERMS:
        if f"step_cost.{name}" not in named:
            constant = getattr(fitted.profile.step_cost, name)
            assert getattr(again.profile.step_cost, name) == pytest.approx(constant, rel=0.1)
    for step in unseen_steps():
        assert seconds_of(again.profile, *step) == pytest.approx(seconds_of(fitted.profile, *step), rel=0.01)
    without_steps = fit(other._replace(steps=None)).profile
    rows, others = (compare(p, everything.runs, jobs=2) for p in (from_runs.profile, without_steps))
    assert rows["twin_itl_mean"].to_list() == pytest.approx(others["twin_itl_mean"].to_list(), rel=0.02)


def test_a_fit_that_starts_from_the_true_profile_keeps_it(everything, tmp_path):
    TRUE.write(tmp_path / "true.yaml")
    profile = fit(everything._replace(setup=plain_setup(tmp_path / "true.yaml"))).profile
    for step in unseen_steps():
        assert seconds_of(profile, *step) == pytest.approx(seconds_of(TRUE, *step), rel=0.015)


def test_stalls_in_a_few_steps_and_one_odd_run_have_little_influence(everything):
    stalled = pl.when(pl.int_range(pl.len()) % 25 == 0).then(3 * pl.col("seconds")).otherwise(pl.col("seconds"))
    odd = everything.runs[2].model_copy(update={"tpot_mean": 1.5 * everything.runs[2].tpot_mean})
    runs = (*everything.runs[:2], odd, *everything.runs[3:])
    profile = fit(everything._replace(steps=everything.steps.with_columns(seconds=stalled), runs=runs)).profile
    for step in unseen_steps():
        assert seconds_of(profile, *step) == pytest.approx(seconds_of(TRUE, *step), rel=0.04)


# Parts alone


def test_steps_alone_are_enough_for_step_times(from_steps):
    for step in unseen_steps():
        assert seconds_of(from_steps.profile, *step) == pytest.approx(seconds_of(TRUE, *step), rel=1e-4)
    assert from_steps.comparison is None
    assert (from_steps.profile.error, from_steps.profile.spread) == (None, ())
    assert from_steps.profile.request_latency == wrong_profile().request_latency


def test_runs_alone_are_enough_for_runs(from_runs):
    real = measured(TRUE, *UNSEEN)
    twin = simulate(from_runs.profile, real.server, real.workload)
    assert twin.throughput == pytest.approx(real.throughput, rel=0.03)
    assert twin.itl.mean == pytest.approx(real.itl_mean, rel=0.03)
    assert "single steps" not in {part.part for part in from_runs.residuals}
    assert from_runs.profile.error.itl < 3


def test_parts_that_were_not_measured_are_those_of_the_start(everything, start):
    profile = fit(Measurements(plain_setup(start), loads=everything.loads)).profile
    wrong = wrong_profile()
    for part in ("step_cost", "scheduler_cost", "scrape_cost", "request_latency"):
        assert getattr(profile, part) == getattr(wrong, part)
    assert (profile.error, profile.spread, profile.price_per_hour) == (None, (), None)


def test_runs_of_one_configuration_cannot_be_cross_validated(everything):
    only = fit(everything._replace(runs=everything.runs[:2]))
    assert only.comparison is None
    assert (only.profile.error, only.profile.spread) == (None, ())
    assert "mean step of a run, cross-validated" not in {part.part for part in only.residuals}


def test_figures_that_few_runs_have_are_used(everything):
    first, *others = everything.runs
    blank = {"itl_mean": None, "itl_p99": None, "ttft_p50": None}
    few = fit(everything._replace(runs=(first, *(run.model_copy(update=blank) for run in others))))
    assert few.profile.error.itl < 5
    assert few.profile.spread_in("calm").throughput > 0
    assert few.profile.spread_in("calm").itl is None


def test_a_start_that_does_not_exist_is_refused(everything):
    unknown = everything._replace(setup=plain_setup("h200"))
    with pytest.raises(SpecError, match=f"'h200' is neither a file nor one of {shipped_profiles()[0]}"):
        fit(unknown)
