"""WorkloadSurrogate: saves runs of the twin where the surrogate is confident, without changing answers."""

import pytest

from adaptwin import Adapter, Server, Workload, load_profile, load_surrogate, make_plan
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import best_slots, choose_slots, expected_prediction
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.workload.sources.synthetic import synthesize

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
WORKLOAD = synthesize(adapters=40, rate=10.0, ranks=(8, 16), seed=3)


def capacities(workload=WORKLOAD):
    known = WorkloadSurrogate(load_surrogate(LLAMA.name), workload, Server())
    return Capacity(LLAMA, workload, Server(), surrogate=known), Capacity(LLAMA, workload, Server())


def shares(factor, workload=WORKLOAD):
    return {adapter.name: factor for adapter in workload.adapters}


@pytest.mark.parametrize(
    ("factor", "slots", "ok"), [(0.2, 24, True), (0.5, 40, True), (6.0, 24, False), (1.0, 1, False)]
)
def test_where_the_surrogate_is_confident_the_twin_agrees_and_is_not_run(factor, slots, ok):
    seeing, blind = capacities()
    assert seeing.estimate(shares(factor), slots).ok is ok
    assert blind.ask(shares(factor), slots).ok is ok
    assert (seeing.twin_runs, seeing.predictions) == (0, 1)


def test_near_the_boundary_the_twin_is_run():
    """Near the traffic at which adapters become overloaded, the surrogate cannot be confident."""
    seeing, blind = capacities()
    answers = [(seeing.estimate(shares(1 + i / 10), 24), blind.ask(shares(1 + i / 10), 24)) for i in range(20)]
    assert 0 < seeing.twin_runs < 20
    assert sum(foreseen.ok != played.ok for foreseen, played in answers) <= 1


def test_with_the_chosen_slots_the_twin_serves_every_adapter():
    seeing, blind = capacities()
    for factor in (0.3, 1.0, 1.5):
        fit = choose_slots(seeing, shares(factor))
        assert fit
        assert blind.ask(shares(factor), fit.max_loras).ok
    assert choose_slots(seeing, shares(5.0)) is None
    assert seeing.twin_runs < 10


def test_the_best_number_of_slots_is_chosen_by_the_twin():
    seeing, blind = capacities()
    chosen, best = best_slots(seeing, shares(1.0)), best_slots(blind, shares(1.0))
    assert chosen.answer == seeing.ask(shares(1.0), chosen.max_loras)
    assert chosen.answer.e2e_mean <= 1.02 * best.answer.e2e_mean
    assert seeing.twin_runs < blind.twin_runs


def test_objectives_are_judged_by_the_twin():
    """A confident answer of the surrogate does not include objectives, except that a server is overloaded anyway."""
    strict = WORKLOAD.model_copy(
        update={"adapters": tuple(a.model_copy(update={"slo_itl": 1e-4}) for a in WORKLOAD.adapters)}
    )
    seeing, _ = capacities(strict)
    assert seeing.estimate(shares(0.2), 24).verdict == "slow"
    assert seeing.twin_runs == 1
    assert not seeing.estimate(shares(6.0), 24).ok
    assert seeing.twin_runs == 1


def test_outside_of_the_training_data_the_twin_is_run():
    short = WORKLOAD.model_copy(update={"duration": 120.0})
    seeing, _ = capacities(short)
    seeing.estimate(shares(0.2), 24)
    assert seeing.twin_runs == 1
    assert not seeing.surrogate_knows
    assert seeing.likelihood_of_overload(seeing.demand_of(shares(0.2).items())) is None
    assert expected_prediction(seeing, seeing.demand_of(shares(0.2).items())) is None


# Likelihoods


def sums(capacity, factor=1.0):
    return capacity.demand_of(shares(factor, capacity.workload).items())


def test_overload_is_the_likelier_the_more_traffic():
    seeing, _ = capacities()
    likelihoods = [seeing.likelihood_of_overload(sums(seeing), factor) for factor in (0.5, 1.0, 1.5, 2.0, 3.0, 9.0)]
    assert likelihoods == pytest.approx(sorted(likelihoods), abs=2e-3)
    assert likelihoods[0] < 0.05
    assert likelihoods[-1] == 1.0
    assert seeing.twin_runs == 0


def test_a_likelihood_is_that_of_the_best_number_of_slots():
    seeing, _ = capacities()
    chances = [
        guess.overload
        for guess in seeing.surrogate.predict(sums(seeing).traffic, seeing.slot_choices(shares(1.0)), 16, 1.6)
        if guess.inside
    ]
    assert len(chances) > 5
    assert seeing.likelihood_of_overload(sums(seeing), 1.6) == pytest.approx(min(chances))


def test_a_factor_headroom_and_shares_are_equivalent_for_the_surrogate():
    """The octaves are the exception: under a factor, adapters stay in the bin of their original traffic."""
    known = WorkloadSurrogate(load_surrogate(LLAMA.name), WORKLOAD, Server())
    seeing = Capacity(LLAMA, WORKLOAD, Server(), surrogate=known)
    roomy = Capacity(LLAMA, WORKLOAD, Server(), 1.5, known)
    by_factor = expected_prediction(seeing, sums(seeing), 1.5)
    assert expected_prediction(roomy, sums(roomy)) == by_factor
    assert roomy.likelihood_of_overload(sums(roomy)) == seeing.likelihood_of_overload(sums(seeing), 1.5)
    assert expected_prediction(seeing, sums(seeing, 1.5)).throughput == pytest.approx(by_factor.throughput, rel=0.02)


def test_far_too_much_load_is_overload_without_a_run_or_a_prediction():
    """Beyond 1.25 of a GPU's best-case load, neither the twin nor the surrogate is needed."""
    seeing, blind = capacities()
    for capacity in (seeing, blind):
        assert capacity.likelihood_of_overload(sums(capacity), 1.26 / sums(capacity).load) == 1.0
        assert (capacity.twin_runs, capacity.predictions) == (0, 0)


def test_without_a_surrogate_there_is_no_likelihood():
    _, blind = capacities()
    assert blind.likelihood_of_overload(sums(blind)) is None
    assert expected_prediction(blind, sums(blind)) is None


def test_an_objective_that_is_likely_missed_is_as_bad_as_overload():
    strict, relaxed = (
        capacities(
            WORKLOAD.model_copy(
                update={"adapters": tuple(a.model_copy(update={"slo_itl": itl}) for a in WORKLOAD.adapters)}
            )
        )[0]
        for itl in (0.001, 10.0)
    )
    plain, _ = capacities()
    assert strict.likelihood_of_overload(sums(strict)) == 1.0
    assert relaxed.likelihood_of_overload(sums(relaxed)) == pytest.approx(plain.likelihood_of_overload(sums(plain)))


def test_the_expected_prediction_has_the_lowest_latency_among_slots_that_likely_serve():
    seeing, _ = capacities()
    guesses = seeing.surrogate.predict(sums(seeing).traffic, seeing.slot_choices(shares(1.0)), 16)
    likely = [guess for guess in guesses if guess.inside and guess.overload <= 0.5]
    assert 1 < len(likely) < len(guesses)
    assert expected_prediction(seeing, sums(seeing)) == min(likely, key=lambda guess: guess.e2e_mean)


def test_slots_with_a_risk_of_overload_are_not_the_best():
    """The best number of slots also serves with a little more traffic or other arrivals, even if others are faster."""
    seeing, _ = capacities()
    choices = seeing.slot_choices(shares(1.5))
    guesses = dict(zip(choices, seeing.surrogate.predict(sums(seeing, 1.5).traffic, choices, 16), strict=True))
    risky = [slots for slots, guess in guesses.items() if guess.overload > 0.5]
    assert risky
    chosen = best_slots(seeing, shares(1.5)).max_loras
    assert guesses[chosen].overload <= max(0.05, 2 * min(guess.overload for guess in guesses.values()))
    assert seeing.ask(shares(1.5), chosen, 1.1).ok


def test_a_plan_counts_predictions_and_twin_runs():
    few = Workload([Adapter(f"a{i}", 8, 0.2) for i in range(30)])
    seeing, blind = make_plan(LLAMA, few), make_plan(LLAMA, few, surrogate=None)
    assert seeing.gpus == blind.gpus
    assert seeing.verified
    assert seeing.predictions > 0
    assert blind.predictions == 0
    assert seeing.twin_runs < blind.twin_runs
