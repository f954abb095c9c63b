"""The parts of a fleet with several base models: the adapters and the profiles of each."""

import pytest

from adaptwin import Adapter, SpecError, Workload, load_profile
from adaptwin.plan.base_models import by_model
from adaptwin.plan.by_base import by_base, idle_profiles, unserved

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
QWEN = load_profile("h100-64gb-qwen-2.5-7b-instruct")


def changed(profile, name, /, **shape):
    """Return a profile with another name and another model."""
    return profile.model_copy(update={"name": name, "model": profile.model.model_copy(update=shape)})


def workload(*bases, **fields):
    """Return a workload of adapters a0, a1, ... with these bases."""
    return Workload([Adapter(f"a{i}", 8, 1.0, base=base) for i, base in enumerate(bases)], duration=300.0, **fields)


def names(parts):
    return {part.base: [adapter.name for adapter in part.workload.adapters] for part in parts}


def test_each_adapter_goes_to_the_profiles_of_its_base_by_any_form_of_the_name():
    parts = by_base(workload("Llama-3.1-8B-Instruct", "qwen2.5-7b-instruct", "unsloth/Llama-3.1-8B-Instruct-bnb-4bit"),
                    [QWEN, LLAMA])  # fmt: skip
    assert names(parts) == {"Qwen/Qwen2.5-7B-Instruct": ["a1"], "meta-llama/Llama-3.1-8B-Instruct": ["a0", "a2"]}
    assert [part.profiles for part in parts] == [(QWEN,), (LLAMA,)]


def test_with_one_base_model_the_fleet_is_one_part_as_it_is_and_adapters_need_no_base():
    fleet = workload(None, "mistralai/Mistral-7B-v0.3")
    (part,) = by_base(fleet, [LLAMA])
    assert part.workload is fleet
    assert part.base == "meta-llama/Llama-3.1-8B-Instruct"
    assert unserved(fleet, [LLAMA]) == {}


def test_copies_of_a_model_in_several_precisions_are_one_base_and_a_choice_of_profiles():
    fp8 = changed(LLAMA, "fp8", name="RedHatAI/Llama-3.1-8B-Instruct-FP8")
    assert by_model([LLAMA, QWEN, fp8]) == {LLAMA.model.name: (LLAMA, fp8), QWEN.model.name: (QWEN,)}


def test_a_variant_belongs_to_the_model_of_its_shapes_unless_a_profile_serves_the_variant():
    plain = changed(LLAMA, "plain", name="meta-llama/Llama-3.1-8B")
    fleet = workload("meta-llama/Llama-3.1-8B", "Qwen/Qwen2.5-7B-Instruct")
    assert names(by_base(fleet, [LLAMA, QWEN]))[LLAMA.model.name] == ["a0"]
    assert names(by_base(fleet, [LLAMA, QWEN, plain])) == {QWEN.model.name: ["a1"], plain.model.name: ["a0"]}


def test_a_variant_of_two_models_that_are_served_is_not_guessed():
    plain = changed(LLAMA, "plain", name="meta-llama/Llama-3.1-8B")
    with pytest.raises(SpecError, match=r"no profile serves Llama-3.1-8B-chat, the base of a0"):
        by_base(workload("Llama-3.1-8B-chat"), [LLAMA, plain])


def test_models_of_one_name_and_two_shapes_are_refused():
    with pytest.raises(SpecError, match=r"layers 32 and 16"):
        by_model([LLAMA, changed(LLAMA, "other", layers=16)])


def test_adapters_without_a_base_are_counted_and_the_first_named_with_what_to_write():
    with pytest.raises(SpecError) as caught:
        by_base(workload(*[None] * 7, LLAMA.model.name), [LLAMA, QWEN])
    assert str(caught.value) == (
        "adapters: 7 of 8 name no base model (a0, a1, a2, a3, a4 and 2 more), but the profiles have 2: give each "
        "adapter a base (a field, or a column of a CSV): meta-llama/Llama-3.1-8B-Instruct or Qwen/Qwen2.5-7B-Instruct"
    )


def test_a_base_that_no_profile_serves_is_named_with_the_profiles():
    fleet = workload(LLAMA.model.name, "mistralai/Mistral-7B-v0.3", "mistralai/Mistral-7B-v0.3")
    with pytest.raises(SpecError) as caught:
        by_base(fleet, [LLAMA, QWEN])
    said = str(caught.value)
    assert "no profile serves mistralai/Mistral-7B-v0.3, the base of a1 and 1 more" in said
    assert all(profile.name in said and profile.model.name in said for profile in (LLAMA, QWEN))
    assert list(unserved(fleet, [LLAMA, QWEN])) == ["a1", "a2"]


def test_a_base_that_no_adapter_has_makes_no_part_and_its_profiles_are_idle():
    parts = by_base(workload(LLAMA.model.name), [LLAMA, QWEN])
    assert [part.base for part in parts] == [LLAMA.model.name]
    assert idle_profiles(parts, [LLAMA, QWEN]) == [QWEN]
    assert idle_profiles(by_base(workload(None), [LLAMA]), [LLAMA]) == []


def test_timestamps_of_the_workload_are_dealt_once_so_that_no_request_is_lost_or_doubled():
    times = tuple(float(second) for second in range(200))
    parts = by_base(workload(LLAMA.model.name, QWEN.model.name, QWEN.model.name, arrivals=times), [LLAMA, QWEN])
    dealt = [time for part in parts for adapter in part.workload.adapters for time in adapter.arrivals]
    assert sorted(dealt) == list(times)
    assert all(len(adapter.arrivals) > 20 for part in parts for adapter in part.workload.adapters)
