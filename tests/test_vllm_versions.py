"""Versions of vLLM: how they compare."""

import pytest

from adaptwin.vllm_versions import oldest, version_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.8.5", (0, 8, 5)),
        ("v0.11.1rc2", (0, 11, 1)),
        ("0.12", (0, 12, 0)),
        ("vllm 0.32.0+cu130", (0, 32, 0)),
        ("main", (0, 0, 0)),
        ("", (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
def test_a_version_is_three_numbers(text, numbers):
    assert version_numbers(text) == numbers


def test_the_oldest_is_found_by_number_not_by_letter():
    assert oldest(["0.10.2", "0.8.5", "0.32.0"]) == "0.8.5"
