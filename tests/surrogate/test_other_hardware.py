"""The shipped surrogate on profiles of any hardware: inside where laws are like those of GPUs, outside elsewhere."""

import pytest

from adaptwin import Adapter, Server, Workload, derive_profile, load_profile, shipped_profiles, simulate, surrogate_for

WORKLOAD = Workload([Adapter(f"a{i}", 8, 0.1) for i in range(16)], duration=3600.0)
SERVER = Server(max_loras=8, max_lora_rank=8, max_cpu_loras=16)
H100 = load_profile(shipped_profiles()[0])
UNSEEN = [  # GPU and model of profiles that are in no training mix
    ("l4", "Qwen2.5-3B-Instruct"),
    ("rtx-4090", "Llama-3.2-1B-Instruct"),
    ("a100-sxm-80gb", "Qwen3-8B"),
    ("h200", "phi-4"),
    ("b200", "Qwen3-14B"),
]


def with_costs(factor, *names):
    cost = H100.step_cost
    update = {name: factor * getattr(cost, name) for name in names}
    return H100.model_copy(update={"name": "changed", "step_cost": cost.model_copy(update=update)})


@pytest.mark.parametrize(("gpu", "model"), UNSEEN)
def test_hardware_without_a_part_in_the_training_is_inside_and_near_the_twin(gpu, model):
    profile = derive_profile(gpu=gpu, model=model)
    surrogate = surrogate_for(profile)
    assert profile.name not in surrogate.trained_on
    prediction, run = surrogate.predict(WORKLOAD, SERVER), simulate(profile, SERVER, WORKLOAD)
    assert prediction.inside
    assert prediction.throughput == pytest.approx(run.throughput, rel=0.1)
    assert prediction.itl_mean == pytest.approx(run.itl.mean, rel=0.2)


@pytest.mark.parametrize("names", [("expand_block", "shrink_block"), ("host_base",)])
def test_a_law_that_no_gpu_has_is_outside(names):
    assert surrogate_for(H100).predict(WORKLOAD, SERVER).inside
    assert not surrogate_for(with_costs(200.0, *names)).predict(WORKLOAD, SERVER).inside


@pytest.mark.parametrize("factor", [0.05, 20.0])
@pytest.mark.parametrize("name", ["per_token", "per_pair", "weights", "per_sequence", "per_context_token"])
def test_another_law_is_outside_or_near_the_twin(name, factor):
    profile = with_costs(factor, name)
    prediction, run = surrogate_for(profile).predict(WORKLOAD, SERVER), simulate(profile, SERVER, WORKLOAD)
    assert not prediction.inside or prediction.itl_mean == pytest.approx(run.itl.mean, rel=0.25)


def test_a_profile_of_its_own_gets_the_trees_of_the_shipped_ones_without_scores():
    shipped, other = surrogate_for(H100), surrogate_for(derive_profile(gpu="l4", model="Qwen2.5-3B-Instruct"))
    assert other.trees == shipped.trees
    assert other.trained_on == shipped.trained_on
    assert set(shipped_profiles()) < set(other.trained_on)
    assert shipped.scores
    assert not other.scores
