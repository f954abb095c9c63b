"""Settings to choose from, and the range of them: what is given stays, and vLLM's default comes first."""

import pytest

from adaptwin import Server, SpecError
from adaptwin.placement.capacity.planner_settings import budget_choices, fewer_seats, require_free, seats_choices
from adaptwin.placement.capacity.planner_settings import settings_range as range_of


@pytest.fixture
def large(h100):
    """Return a profile on whose GPU, of 80 GiB, vLLM runs 1,024 requests and 8,192 tokens by default."""
    return h100.model_copy(update={"memory": h100.memory.model_copy(update={"gpu_bytes": 8.5e10})})


def test_more_seats_than_the_default_are_tried(h100, large):
    assert seats_choices(Server(), h100) == [256, 1024]
    assert seats_choices(Server(), large) == [1024, 2048]


def test_given_settings_are_the_only_choice(h100):
    assert seats_choices(Server(max_num_seqs=300), h100) == [300]
    assert budget_choices(Server(max_num_batched_tokens=3000), h100) == [3000]


def test_no_more_seats_than_a_given_token_budget_allows(h100):
    assert seats_choices(Server(max_num_batched_tokens=1000), h100) == [256]
    assert budget_choices(Server(max_num_seqs=2000), h100) == [2048, 4096, 8192]


def test_fewer_seats_are_tried_only_below_a_higher_default(h100, large):
    assert fewer_seats(Server(), h100) == []
    assert fewer_seats(Server(), large) == [256]
    assert fewer_seats(Server(max_num_seqs=1024), large) == []


def test_the_range_spans_all_choices(h100, large):
    widest, leanest = range_of(Server(block_size=32), [h100, large])
    assert (widest.max_num_seqs, widest.max_num_batched_tokens) == (2048, 8192)
    assert (leanest.max_num_seqs, leanest.max_num_batched_tokens) == (256, 512)
    assert widest.block_size == leanest.block_size == 32


def test_the_range_of_given_settings_is_a_point(h100):
    widest, leanest = range_of(Server(max_num_seqs=64, max_num_batched_tokens=128), [h100])
    assert widest == leanest == Server(max_num_seqs=64, max_num_batched_tokens=128)


@pytest.mark.parametrize(("field", "value"), [("max_loras", 3), ("max_cpu_loras", 9), ("kv_cache_tokens", 10_000)])
def test_settings_of_single_servers_cannot_be_given(field, value):
    with pytest.raises(SpecError, match=f"server.{field}.*{value}.*planner chooses"):
        require_free(Server(**{field: value}))
