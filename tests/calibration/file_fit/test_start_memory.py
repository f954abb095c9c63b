"""Memory corrected with the start of a server; the numbers are worked out by hand."""

import pytest

from adaptwin import SpecError
from adaptwin.calibration.file_fit.start_memory import ServerStart, corrected_memory
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape

SHAPE = ModelShape(
    name="m", hidden=1024, layers=8, heads=8, kv_heads=8, head_dim=128, intermediate=4096, vocabulary=32768,
    max_model_len=4096,
)  # fmt: skip
MEMORY = MemoryModel(
    gpu_bytes=20 * GIB,
    weights_bytes=10 * GIB,
    activation_bytes=1 * GIB,
    activation_bytes_per_token=0.0,
    activation_bytes_per_seq=1024.0 * 1024,  # 0.25 GiB for 256 requests
    graph_bytes=0.5 * GIB,
    kv_bytes_per_token=32768.0,  # 32,768 tokens in a GiB
    slot_bytes=0.0,
    slot_bytes_per_rank=GIB / 64,  # 0.25 GiB for a slot of rank 16
    estimated=True,
)


def start(**changes):
    """A server with 18 GiB for vLLM, of which the law leaves 6.25 GiB to the KV cache: 204,800 tokens."""
    settings = {"max_loras": 0, "max_lora_rank": 16, "max_num_seqs": 256, "max_num_batched_tokens": 2048}
    return ServerStart(**{"name": "log", **settings, "gpu_memory_utilization": 0.9, **changes})


def corrected(**changes):
    return corrected_memory(SHAPE, MEMORY, [start(**changes)]).memory


def test_the_law_alone_gives_the_tokens_of_the_example():
    assert MEMORY.kv_cache_tokens(max_loras=0, max_lora_rank=16, max_num_seqs=256) == 204_800


def test_fewer_tokens_than_by_the_law_are_activations():
    found = corrected_memory(SHAPE, MEMORY, [start(kv_cache_tokens=163_840)])  # 5 GiB, 1.25 fewer
    assert found.memory.activation_bytes == 2.25 * GIB
    assert found.corrected == ("activation_bytes",)
    assert not found.memory.estimated
    [(before, after)] = found.residuals
    assert before.mean == pytest.approx(25.0)
    assert after.mean == pytest.approx(0.0)


def test_a_size_in_bytes_tells_the_same_as_one_in_tokens():
    assert corrected(kv_cache_bytes=5 * GIB).activation_bytes == 2.25 * GIB


def test_more_tokens_than_without_activations_are_fewer_graphs():
    """Without activations the law leaves 7.25 GiB. Of 7.5 GiB, 0.25 are graphs that are not there."""
    found = corrected(kv_cache_tokens=245_760)
    assert (found.activation_bytes, found.graph_bytes) == (0.0, 0.25 * GIB)


def test_graphs_that_a_log_names_leave_no_such_room():
    with pytest.raises(SpecError, match=r"245,760 KV tokens leave -0.25 GiB of the 18.00 GiB that vLLM may use"):
        corrected(kv_cache_tokens=245_760, graph_bytes=0.5 * GIB)


def test_far_too_few_tokens_contradict_the_gpu():
    with pytest.raises(SpecError, match="check --gpu, gpu_memory_utilization, and what else used the GPU"):
        corrected(kv_cache_tokens=32_768)


def test_the_weights_are_those_of_the_log_without_its_slots():
    """10.6 GiB with two slots of 0.25 GiB."""
    found = corrected(max_loras=2, weights_bytes=10.6 * GIB)
    assert found.weights_bytes == pytest.approx(10.1 * GIB)
    assert found.activation_bytes == MEMORY.activation_bytes


def test_weights_and_tokens_together_leave_the_rest_to_activations():
    """18 - 10.1 (weights) - 0.5 (slots) - 0.25 (step) - 0.5 (graphs) - 5 (cache)."""
    found = corrected(max_loras=2, weights_bytes=10.6 * GIB, kv_cache_tokens=163_840)
    assert found.activation_bytes == pytest.approx(1.65 * GIB)


@pytest.mark.parametrize("gib", [5.0, 14.0])
def test_weights_of_another_model_are_refused(gib):
    with pytest.raises(
        SpecError, match=r"the weights of m take 10\.00 GiB: another model, quantised weights, or several"
    ):
        corrected(weights_bytes=gib * GIB)


def test_tokens_of_another_size_are_refused():
    with pytest.raises(
        SpecError, match=r"5\.00 GiB for 81,920 tokens are 65,536 bytes a token; a token of m takes 32,768"
    ):
        corrected(kv_cache_bytes=5 * GIB, kv_cache_tokens=81_920)


def test_blocks_of_an_odd_size_are_of_a_model_with_other_layers():
    with pytest.raises(SpecError, match="131,200 tokens in 100 blocks are 1,312 tokens a block"):
        corrected(kv_cache_tokens=131_200, kv_blocks=100)


def test_a_log_of_another_gpu_is_refused():
    with pytest.raises(SpecError, match=r"the GPU has 24.00 GiB \(log\), and that of --gpu 20.00 GiB"):
        corrected(total_gpu_bytes=24 * GIB, kv_cache_tokens=163_840)


def test_the_memory_of_the_log_counts():
    """20.5 x 0.9 GiB are 0.45 GiB more than 18."""
    found = corrected(total_gpu_bytes=20.5 * GIB, kv_cache_tokens=163_840)
    assert found.gpu_bytes == 20.5 * GIB
    assert found.activation_bytes == pytest.approx(2.7 * GIB)


def test_servers_without_graphs_have_none_in_the_budget():
    assert corrected(is_eager=True, kv_cache_tokens=163_840).graph_bytes == 0.0


def test_several_starts_are_averaged():
    starts = [start(kv_cache_tokens=tokens) for tokens in (163_840, 180_224)]  # 5 and 5.5 GiB
    assert corrected_memory(SHAPE, MEMORY, starts).memory.activation_bytes == 2.0 * GIB


def test_the_law_of_graphs_of_older_versions_stays_at_nothing():
    older = MEMORY.model_copy(update={"graph_bytes": 0.0})
    found = corrected_memory(SHAPE, older, [start(kv_cache_tokens=163_840, graph_bytes=0.6 * GIB)])
    assert found.memory.graph_bytes == 0.0
