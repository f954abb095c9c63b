"""What figures assume, in words."""

import pytest

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.profile.derive import derive_profile
from adaptwin.twin.assumptions import assumptions

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
MODEL = "meta-llama/Llama-3.1-8B-Instruct on NVIDIA H100 64 GB (MareNostrum 5), vLLM 0.8.5"
TWO = (Adapter("a", 8, 1.0), Adapter("b", 8, 1.0))


def clauses(workload, *servers):
    return assumptions(workload, servers or [(H100, Server())])


def test_without_settings_the_defaults_of_vllm_are_named():
    assert clauses(Workload(TWO, duration=600.0)) == (
        (
            f"{MODEL} (measured), with max_num_seqs 256 (vLLM's default), max_num_batched_tokens 2,048 (vLLM's "
            "default), max_model_len 131,072 (the model's)"
        ),
        "lengths ShareGPT (assumed; 222 in, 196 out)",
        "arrivals Poisson (assumed) over 600 s",
        "no prompts that begin alike",
    )


def test_settings_that_are_given_are_no_defaults():
    server = Server(max_num_seqs=128, max_num_batched_tokens=4096, max_model_len=8192)
    assert clauses(Workload(TWO), (H100, server))[0] == (
        f"{MODEL} (measured), with max_num_seqs 128, max_num_batched_tokens 4,096, max_model_len 8,192"
    )


def test_servers_that_differ_in_slots_only_share_a_clause():
    small, large = Server(max_loras=4, max_lora_rank=8), Server(max_loras=64, max_lora_rank=32)
    other = H100.model_copy(update={"hardware": "NVIDIA L40S", "measured": None})
    found = clauses(Workload(TWO), (H100, small), (H100, large), (other, small))
    assert len(found) == 5
    assert "NVIDIA L40S, vLLM 0.8.5 (not compared with real runs)" in found[1]


def test_settings_that_the_planner_chose_have_one_clause_together():
    servers = [Server(), Server(max_num_seqs=1024), Server(max_num_seqs=1024, max_num_batched_tokens=1024)]
    found = assumptions(Workload(TWO), [(H100, server) for server in servers], Server())
    assert found[0] == (
        f"{MODEL} (measured), with max_num_seqs 256 to 1,024 (chosen by the plan), max_num_batched_tokens 1,024 to "
        "2,048 (chosen by the plan), max_model_len 131,072 (the model's)"
    )
    assert len(found) == 4
    alone = assumptions(Workload(TWO), [(H100, servers[1])], Server())
    assert "max_num_seqs 1,024 (chosen by the plan), max_num_batched_tokens 2,048 (vLLM's default)" in alone[0]


def test_a_shorter_length_that_the_planner_chose_is_called_so():
    short = Server(max_model_len=16384)
    assert assumptions(Workload(TWO), [(H100, short)], Server())[0].endswith(
        "max_model_len 16,384 (chosen by the plan)"
    )
    assert assumptions(Workload(TWO), [(H100, short)], short)[0].endswith("max_model_len 16,384")


def test_a_setting_that_the_planner_was_given_is_no_choice():
    given = Server(max_num_seqs=128)
    found = assumptions(Workload(TWO), [(H100, given)] * 2, given)
    assert found == clauses(Workload(TWO), (H100, given))
    assert "max_num_seqs 128, max_num_batched_tokens 2,048 (vLLM's default)" in found[0]


def test_merged_weights_are_said():
    merged = Server().with_merged_weights()
    assert "the weights of an adapter merged into those of the model" in clauses(Workload(TWO[:1]), (H100, merged))
    two = clauses(Workload(TWO), (H100, merged), (H100, Server()))
    assert "the weights of an adapter merged into those of the model on 1 of 2 servers" in two
    assert len(two) == 5


def test_a_profile_that_was_changed_is_not_called_measured():
    changed = H100.model_copy(update={"request_latency": 1.0})
    assert "vLLM 0.8.5 (changed since it was measured)" in clauses(Workload(TWO), (changed, Server()))[0]


def test_a_derived_profile_outside_of_the_laws_is_called_not_claimed_and_not_changed():
    derived = derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct", vllm_version="0.6.0")
    assert "vLLM 0.6.0 (derived, not claimed)" in clauses(Workload(TWO), (derived, Server()))[0]
    changed = derived.model_copy(update={"request_latency": 1.0})
    assert "vLLM 0.6.0 (changed since it was derived)" in clauses(Workload(TWO), (changed, Server()))[0]


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        (Workload(TWO, lengths=Lengths.named("sharegpt")), "lengths ShareGPT (222 in, 196 out)"),
        (Workload(TWO, lengths=Lengths.fixed(600, 300)), "lengths fixed (600 in, 300 out)"),
        (
            Workload([TWO[0], Adapter("c", 8, 3.0, lengths=Lengths.fixed(622, 596))]),
            "lengths ShareGPT for 1 of 2 adapters (assumed; 522 in, 496 out)",  # a quarter of the requests: 222, 196
        ),
        (
            Workload([Adapter("c", 8, 3.0, lengths=Lengths.fixed(10, 20))]),
            "lengths as given for each adapter (fixed; 10 in, 20 out)",
        ),
    ],
)
def test_lengths_are_assumed_only_where_they_were_not_given(workload, expected):
    assert clauses(workload)[1] == expected


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [("gamma:cv=4", "gamma:cv=4"), ((0.0, 1.0), "recorded timestamps"), ("poisson", "Poisson (assumed)")],
)
def test_arrivals_are_named(arrivals, expected):
    assert clauses(Workload(TWO, arrivals=arrivals, duration=60.0))[2] == f"arrivals {expected} over 60 s"


def test_several_kinds_of_arrivals_are_counted():
    bursty = Adapter("bursty", 8, 1.0, arrivals="gamma:cv=4")
    assert (
        clauses(Workload([*TWO, bursty]))[2]
        == "arrivals Poisson (assumed) for most adapters, 2 kinds in all over 3,600 s"
    )


def test_settings_that_change_the_figures_are_named():
    workload = Workload([Adapter("a", 8, 1.0)], duration=0.5)
    said = assumptions(workload, [(H100, Server(gpu_memory_utilization=0.95))])
    assert said[0].endswith("max_model_len 131,072 (the model's), gpu_memory_utilization 0.95")
    assert said[2] == "arrivals Poisson (assumed) over 0.5 s"
    limited = assumptions(workload, [(H100, Server(max_num_queued_reqs=1500))])
    assert limited[0].endswith("max_model_len 131,072 (the model's), max_num_queued_reqs 1,500")
    run = simulate(H100, Server(max_loras=1), workload, max_in_flight=3)
    assert run.assumptions[-1] == "the client has at most 3 requests open"


def test_ranks_that_vllm_pads_are_named():
    workload = Workload((Adapter("a", 12, 1.0), Adapter("b", 1, 1.0), Adapter("c", 16, 1.0)))
    assert "padded by vLLM 0.8.5: rank 1 as 8, rank 12 as 16" in clauses(workload)
    new = H100.model_copy(update={"vllm_version": "0.12.0"})
    assert "padded by vLLM 0.12.0: rank 12 as 16" in clauses(workload, (new, Server()))
