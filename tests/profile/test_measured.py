"""What a profile was measured with: its constants are compared with those of the measurements."""

import pytest

from adaptwin import Profile, load_profile, shipped_profiles
from adaptwin.profile.profile import UNKNOWN_ERROR

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")


@pytest.mark.parametrize("name", shipped_profiles())
def test_the_shipped_profiles_have_the_constants_that_were_measured(name):
    assert load_profile(name).is_measured


def test_a_written_profile_is_still_measured(tmp_path):
    for file in ("mine.yaml", "mine.json"):
        H100.write(tmp_path / file)
        assert Profile.read(tmp_path / file).is_measured


@pytest.mark.parametrize(
    "change",
    [
        {"hardware": "NVIDIA L40S"},
        {"vllm_version": "0.11.0"},
        {"request_latency": 0.01},
        {"model": H100.model.model_copy(update={"layers": 31})},
        {"memory": H100.memory.model_copy(update={"gpu_bytes": 8e10})},
        {"step_cost": H100.step_cost.model_copy(update={"host_base": 0.0127})},
        {"load_cost": H100.load_cost.model_copy(update={"gpu_base": 0.0})},
        {"scheduler_cost": H100.scheduler_cost.model_copy(update={"per_waiting": 0.0})},
        {"scrape_cost": H100.scrape_cost.model_copy(update={"per_label": 0.0})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_profile_with_another_constant_is_not_measured(change):
    changed = H100.model_copy(update=change)
    assert not changed.is_measured
    assert changed.twin_error == UNKNOWN_ERROR != H100.twin_error


def test_another_name_or_price_leaves_a_profile_measured():
    assert H100.model_copy(update={"name": "mine", "source": "theirs", "price_per_hour": 3.0}).is_measured


def test_a_profile_that_was_never_compared_is_not_measured():
    assert not H100.model_copy(update={"measured": None}).is_measured
