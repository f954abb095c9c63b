"""LoRA ranks: what a version of vLLM pads adapters to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.workload.lora_ranks import MOST_RANK, SERVED_RANKS, in_words, padded_rank, padding_in_words, served_ranks

VERSIONS = (None, "0.8.5", "0.8.5.post1", "0.11.0", "0.11.1", "v0.12", "0.32.0", "nightly")


@pytest.mark.parametrize(
    ("version", "lowest"),
    [(None, 8), ("nightly", 8), ("0.8.5", 8), ("0.11.0", 8), ("0.11.1", 1), ("v0.12", 1), ("0.32.0", 1), ("1.0", 1)],
)
def test_rank_1_has_slots_of_its_own_since_0_11_1(version, lowest):
    assert served_ranks(version) == tuple(rank for rank in SERVED_RANKS if rank >= lowest)
    assert padded_rank(1, version) == lowest


@given(rank=st.integers(0, MOST_RANK), version=st.sampled_from(VERSIONS))
def test_a_rank_is_padded_to_the_next_one_that_is_served(rank, version):
    slot = padded_rank(rank, version)
    assert slot in served_ranks(version)
    assert slot >= rank
    assert not [served for served in served_ranks(version) if rank <= served < slot]
    assert padded_rank(slot, version) == slot


def test_padding_is_told_by_slot():
    assert padding_in_words([0, 8, 12, 16, 10, 12], "0.8.5") == "ranks 10 and 12 as 16"
    assert padding_in_words([1, 2, 3, 4, 100], "0.8.5") == "ranks 1 to 4 as 8, rank 100 as 128"
    assert padding_in_words([1, 8, 0], "0.12.0") == ""


def test_ranks_in_words():
    assert [in_words(ranks) for ranks in ([8, 8], [2, 1, 3], range(2, 8))] == [
        "rank 8",
        "ranks 1, 2 and 3",
        "ranks 2 to 7",
    ]
