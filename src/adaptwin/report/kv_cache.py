"""usual_kv_tokens: the KV cache of a profile at the default settings of vLLM."""

from adaptwin.profile.profile import Profile
from adaptwin.twin.vllm_defaults import vllm_defaults


def usual_kv_tokens(profile: Profile, *, max_loras: int = 0, max_lora_rank: int = 8) -> int:
    """Return the tokens of KV cache at the default settings of vLLM; 0 where no memory is left for it."""
    usual = vllm_defaults(profile.hardware, profile.gpu_gib, profile.vllm_version)
    return profile.memory.kv_cache_tokens(
        max_loras=max_loras,
        max_lora_rank=max_lora_rank,
        max_num_seqs=usual.max_num_seqs,
        max_num_batched_tokens=usual.max_num_batched_tokens,
        gpu_memory_utilization=usual.gpu_memory_utilization,
    )
