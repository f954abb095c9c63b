"""Words for how far profiles were from real servers."""

import pytest

from adaptwin import load_profile
from adaptwin.profile.derive import derive_profile
from adaptwin.report.profile_error import error_in_words

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
L40S = derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct")
CHANGE = {"request_latency": 1.0}


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (H100.model_copy(update=CHANGE), "not known: the profile has changed since it was compared with real runs"),
        (L40S.model_copy(update=CHANGE), "not known: the profile has changed since it was derived"),
        (H100.model_copy(update={"error": None, "measured": None}), "not checked against real runs"),
        (
            derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct", vllm_version="0.6.0"),
            "not claimed: the laws do not describe its model or its version of vLLM",
        ),
    ],
)
def test_what_is_not_known_is_said(profile, words):
    assert error_in_words(profile) == words


def test_the_error_of_a_measured_profile_is_its_own():
    assert error_in_words(H100).startswith(f"throughput {H100.error.throughput:.1f} % and mean ITL")
    assert error_in_words(H100).endswith(f"of {H100.error.runs:,} real runs")


def test_the_error_of_a_derived_profile_is_that_of_others_like_it():
    said = error_in_words(L40S)
    assert said.startswith(f"Derived profiles against {L40S.error.runs} real runs on ")
    assert "to which their constants were not fitted" in said
    assert f"starvation right in {L40S.error.starvation:.1f} % of the runs with adapters" in said
