"""Foresight spares the twin where the surrogate is sure, and changes no answer there."""

import pytest

from adaptwin import Adapter, Server, Workload, load_profile, load_surrogate, make_plan
from adaptwin.placement.capacity import Capacity
from adaptwin.placement.foresight import Foresight
from adaptwin.workload.deal import synthesize

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
WORKLOAD = synthesize(adapters=40, rate=10.0, ranks=(8, 16), seed=3)


def capacities(workload=WORKLOAD):
    foresight = Foresight(load_surrogate(LLAMA.name), workload, Server())
    return Capacity(LLAMA, workload, Server(), foresight=foresight), Capacity(LLAMA, workload, Server())


def shares(factor, workload=WORKLOAD):
    return {adapter.name: factor for adapter in workload.adapters}


@pytest.mark.parametrize(
    ("factor", "slots", "ok"), [(0.2, 24, True), (0.5, 40, True), (6.0, 24, False), (1.0, 1, False)]
)
def test_where_the_surrogate_is_sure_the_twin_agrees_and_is_not_asked(factor, slots, ok):
    seeing, blind = capacities()
    assert seeing.estimate(shares(factor), slots).ok is ok
    assert blind.ask(shares(factor), slots).ok is ok
    assert (seeing.asked, seeing.guessed) == (0, 1)


def test_near_the_boundary_the_twin_is_asked():
    """Somewhere between serving everybody and not, the surrogate cannot be sure."""
    seeing, blind = capacities()
    answers = [(seeing.estimate(shares(1 + i / 10), 24), blind.ask(shares(1 + i / 10), 24)) for i in range(20)]
    assert 0 < seeing.asked < 20
    assert sum(foreseen.ok != played.ok for foreseen, played in answers) <= 1


def test_a_fit_has_slots_with_which_the_twin_serves_everybody():
    seeing, blind = capacities()
    for factor in (0.3, 1.0, 1.5):
        fit = seeing.fit(shares(factor))
        assert fit
        assert blind.ask(shares(factor), fit.max_loras).ok
    assert seeing.fit(shares(5.0)) is None
    assert seeing.asked < 10


def test_the_best_number_of_slots_is_chosen_by_the_twin():
    seeing, blind = capacities()
    chosen, best = seeing.best(shares(1.0)), blind.best(shares(1.0))
    assert chosen.answer == seeing.ask(shares(1.0), chosen.max_loras)
    assert chosen.answer.e2e_mean <= 1.02 * best.answer.e2e_mean
    assert seeing.asked < blind.asked


def test_objectives_are_for_the_twin_to_judge():
    """A surrogate knows nothing of them: it can only say that a server is overloaded anyway."""
    strict = WORKLOAD.model_copy(
        update={"adapters": tuple(a.model_copy(update={"slo_itl": 1e-4}) for a in WORKLOAD.adapters)}
    )
    seeing, _ = capacities(strict)
    assert seeing.estimate(shares(0.2), 24).verdict == "slow"
    assert seeing.asked == 1
    assert not seeing.estimate(shares(6.0), 24).ok
    assert seeing.asked == 1


def test_outside_of_what_was_trained_on_the_twin_is_asked():
    short = WORKLOAD.model_copy(update={"duration": 120.0})
    seeing, _ = capacities(short)
    seeing.estimate(shares(0.2), 24)
    assert (seeing.asked, seeing.guessed) == (1, 0)


def test_a_plan_says_who_answered():
    few = Workload([Adapter(f"a{i}", 8, 0.2) for i in range(30)])
    seeing, blind = make_plan(LLAMA, few), make_plan(LLAMA, few, surrogate=None)
    assert seeing.gpus == blind.gpus
    assert seeing.verified
    assert seeing.guesses > 0
    assert blind.guesses == 0
    assert seeing.twin_runs < blind.twin_runs
