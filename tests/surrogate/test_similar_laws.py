"""Similar laws: a surrogate is used on a GPU that is faster as a whole, and not on one with other proportions."""

import pytest

from adaptwin import Adapter, Server, Workload, load_profile
from adaptwin.profile.profile import shipped_profiles
from adaptwin.surrogate.similar_laws import laws_are_similar
from adaptwin.surrogate.surrogate import surrogate_for

H100 = load_profile(shipped_profiles()[0])
TERMS = [name for name, value in H100.step_cost if value > 0 and not name.endswith("_tokens")]


def changed(factor, *names):
    cost = H100.step_cost
    update = {name: factor * getattr(cost, name) for name in names}
    return H100.model_copy(update={"name": "changed", "step_cost": cost.model_copy(update=update)})


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_a_gpu_of_another_speed_is_similar(factor):
    assert laws_are_similar(H100, changed(factor, *TERMS))


@pytest.mark.parametrize("name", shipped_profiles())
def test_the_measured_profiles_are_similar(name):
    assert laws_are_similar(H100, load_profile(name))


@pytest.mark.parametrize("names", [("per_token",), ("per_pair",), ("expand_block", "shrink_block"), ("host_base",)])
def test_other_proportions_are_not_similar(names):
    assert not laws_are_similar(H100, changed(50.0, *names))


def test_a_surrogate_says_outside_on_a_profile_that_is_not_similar():
    workload, server = Workload([Adapter("a", 8, 2.0), Adapter("b", 8, 2.0)]), Server(max_loras=4, max_lora_rank=8)
    known = surrogate_for(H100).predict(workload, server)
    similar = surrogate_for(changed(1.1, *TERMS)).predict(workload, server)
    unlike = surrogate_for(changed(50.0, "host_base")).predict(workload, server)
    assert (known.inside, similar.inside, unlike.inside) == (True, True, False)
