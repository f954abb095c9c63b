"""A shorter max_model_len: where not even the base model starts with its own, and nowhere else."""

import pytest

from adaptwin import Infeasible, Lengths, Server, make_plan
from adaptwin.placement.capacity.shorter_requests import with_startable_length
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def narrow(h100):
    """Return a GPU whose KV cache holds some 40,000 tokens, while the model's longest request has 131,072."""
    memory = h100.memory.model_copy(update={"gpu_bytes": 3.0e10})
    return h100.model_copy(update={"memory": memory, "name": "narrow"})


@pytest.fixture(scope="module")
def chat():
    return synthesize(adapters=6, rate=3, ranks=(8, 16), duration=300.0)


def test_the_length_is_a_power_of_two_of_which_the_cache_holds_two(narrow, chat):
    held = Server(max_lora_rank=16).kv_tokens_on(narrow)
    chosen = with_startable_length(Server(), [narrow], chat)
    assert chosen == Server(max_model_len=chosen.max_model_len)
    assert chosen.max_model_len & (chosen.max_model_len - 1) == 0
    assert 2 * chosen.max_model_len <= held < 4 * chosen.max_model_len


def test_longer_requests_get_what_they_need(narrow, chat):
    long = chat.model_copy(update={"lengths": Lengths.fixed(25_000, 30)})
    assert with_startable_length(Server(), [narrow], long).max_model_len == 25_088  # 98 blocks of 256 tokens


def test_where_the_model_starts_nothing_changes(h100, narrow, chat):
    assert with_startable_length(Server(), [h100], chat) == Server()
    assert with_startable_length(Server(), [narrow, h100], chat) == Server()


def test_a_given_length_stays(narrow, chat):
    assert with_startable_length(Server(max_model_len=4096), [narrow], chat) == Server(max_model_len=4096)


def test_a_plan_for_a_small_gpu_says_what_it_refuses(narrow, chat):
    plan = make_plan(narrow, chat)
    assert plan.verified
    assert plan.settings == Server()
    (decision,) = [each for each in plan.servers[0].decisions if each.setting == "max_model_len"]
    assert (decision.default, decision.without) == (131_072, None)
    assert decision.chosen == plan.servers[0].server.max_model_len


def test_an_adapter_that_fits_nowhere_is_still_refused(h100):
    with pytest.raises(Infeasible, match=r"rank: 512 of .* fits on no GPU"):
        make_plan(
            h100,
            synthesize(adapters=1, rate=1, ranks=(512,), duration=300.0),
            server=Server(gpu_memory_utilization=0.6),
        )
