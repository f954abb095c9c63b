"""start_of_server: what a log or a metrics page says of the memory of a server, with vLLM's defaults for the rest."""

from adaptwin.calibration.file_fit.file_use import FileUse
from adaptwin.calibration.file_fit.start_memory import ServerStart
from adaptwin.calibration.sources.metrics_page import MetricsPage
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.profile.profile import Profile
from adaptwin.profile.sharding import slot_share
from adaptwin.twin.vllm_defaults import vllm_defaults

USUAL_RANK = 16  # vLLM's default of max_lora_rank
USUAL_BLOCK = 16  # vLLM's default of block_size


def start_of_server(
    each: StartUpFacts | MetricsPage, derived: Profile, settings: StartUpFacts, use: FileUse
) -> ServerStart:
    """Return what a log or a page says of memory, with vLLM's defaults for settings that it does not say."""
    usual = vllm_defaults(derived.hardware, derived.gpu_gib, derived.vllm_version)
    facts = settings if isinstance(each, MetricsPage) else each
    slots = (each.max_loras or 0) if isinstance(each, MetricsPage) else each.slots
    rank = facts.max_lora_rank or USUAL_RANK
    seqs = facts.max_num_seqs or usual.max_num_seqs
    part_of_slot = slot_share(
        derived.model,
        derived.tensor_parallel_size,
        fully_sharded_loras=bool(facts.fully_sharded_loras),
        modules=None,
    )
    share = each.gpu_memory_utilization or usual.gpu_memory_utilization
    counts_blocks = isinstance(each, StartUpFacts) and each.kv_blocks is not None and each.kv_cache_tokens is None
    assumed = {
        f"gpu_memory_utilization {share:g}": each.gpu_memory_utilization is None,
        f"{slots} slots of max_lora_rank {rank}": slots > 0 and facts.max_lora_rank is None,
        f"max_num_seqs {seqs}": facts.max_num_seqs is None,
        f"block_size {USUAL_BLOCK}": counts_blocks and facts.block_size is None,
    }
    if any(assumed.values()):
        clauses = [clause for clause, is_assumed in assumed.items() if is_assumed]
        use.assumed.append(f"{', '.join(clauses)} (vLLM's defaults)")
    if isinstance(each, MetricsPage):
        use.left.append("the latencies on the page are over all loads since the start: they say nothing of a step")
        return ServerStart(
            use.file, slots, rank, seqs, facts.max_num_batched_tokens or max(usual.max_num_batched_tokens, seqs),
            share, part_of_slot, kv_cache_tokens=each.kv_cache_tokens,
        )  # fmt: skip
    if each.starts > 1:
        use.left.append(f"{each.starts - 1} earlier starts in the log")
    if each.enforce_eager:
        use.left.append("the server runs without CUDA graphs (enforce_eager): the host's time is that of such servers")
    by_blocks = (facts.block_size or USUAL_BLOCK) * each.kv_blocks if each.kv_blocks else None
    return ServerStart(
        name=use.file,
        max_loras=slots,
        max_lora_rank=rank,
        max_num_seqs=seqs,
        max_num_batched_tokens=facts.max_num_batched_tokens or max(usual.max_num_batched_tokens, seqs),
        gpu_memory_utilization=share,
        slot_share=part_of_slot,
        kv_cache_tokens=each.kv_cache_tokens or by_blocks,
        kv_cache_bytes=each.kv_cache_bytes,
        kv_blocks=each.kv_blocks,
        weights_bytes=each.weights_bytes,
        total_gpu_bytes=each.total_gpu_bytes,
        graph_bytes=each.graph_bytes,
        is_eager=bool(each.enforce_eager),
    )
