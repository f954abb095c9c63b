"""Server: vLLM's settings, under vLLM's names and with vLLM's defaults."""

from typing import NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from adaptwin.errors import OutOfMemory, SpecError, not_one_of
from adaptwin.profile.model_shape import MODULES, merged_modules, parts_of_modules
from adaptwin.profile.profile import Profile
from adaptwin.profile.sharding import slot_share
from adaptwin.quantities import Fraction
from adaptwin.spec import Line, Spec
from adaptwin.twin.vllm_defaults import VllmDefaults, takes_uncached_first, vllm_defaults
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.lora_ranks import SERVED_RANKS, listed, padded_rank, served_ranks
from adaptwin.workload.workload import Adapter, Workload

MOST_LORAS = 1_000_000
MOST_SEATS = 1_000_000  # the twin keeps about 200 bytes for each
NO_QUEUE_LIMIT = 1_000_000_000  # requests, more than ever wait
LARGEST_BLOCK = 65_536  # tokens, far more than a block of vLLM has
MOST_KV_CACHE_TOKENS = 1_000_000_000  # 32 TB of a small model; the twin's sums stay below 2^63 (`wide_sums.py`)


class Server(Spec):
    """The settings of one vLLM server; a setting that is None takes vLLM's default for the profile's GPU and model."""

    max_loras: int = Field(
        default=1, ge=0, le=MOST_LORAS, description="slots: adapters in one batch; 0 serves the base model only"
    )
    max_lora_rank: int = Field(
        default=16,
        description=f"rank at which every slot is preallocated, one of {listed(SERVED_RANKS)}",
    )
    max_cpu_loras: int | None = Field(
        default=None,
        ge=0,
        le=100 * MOST_LORAS,
        description="adapters in host memory, those on the GPU included; at least max_loras",
    )
    max_num_seqs: int | None = Field(default=None, ge=1, le=MOST_SEATS, description="requests that may run at once")
    max_num_batched_tokens: int | None = Field(
        default=None, ge=1, le=MAX_TOKENS, description="token budget of one step"
    )
    max_model_len: int | None = Field(
        default=None, ge=1, le=MAX_TOKENS, description="tokens of one request, prompt and answer"
    )
    max_num_queued_reqs: int | None = Field(
        default=None,
        ge=0,
        le=NO_QUEUE_LIMIT,
        description="requests that may wait and run at once, beyond which new ones are rejected (vLLM >= 0.29); None: "
        "no limit",
    )
    gpu_memory_utilization: Fraction | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="share of the GPU memory that vLLM may use"
    )
    block_size: int = Field(default=16, ge=1, le=LARGEST_BLOCK, description="tokens in one KV block")
    scheduler_reserve_full_isl: bool | None = Field(
        default=None,
        description="admit a request only if its whole prompt fits, not just its first chunk; None: from vLLM 0.19 on",
    )
    watermark: Fraction = Field(
        default=0.0, ge=0, lt=1, allow_inf_nan=False, description="share of KV blocks that admission keeps free"
    )
    async_scheduling: bool | None = Field(
        default=None,
        description="plan a step while the previous one is computed; None: from vLLM 0.14 on",
    )
    enable_prefix_caching: bool | None = Field(
        default=None,
        description="keep KV blocks until their memory is needed, for later requests to the same adapter that begin "
        "with the same tokens; None: from vLLM 0.8 on",
    )
    specialize_active_lora: bool = Field(
        default=False,
        description="launch LoRA kernels for the adapters of a step only, not for all slots (vLLM >= 0.15)",
    )
    lora_target_modules: tuple[Line, ...] | None = Field(
        default=None,
        min_length=1,
        description="modules that adapters may change, such as q_proj (vLLM >= 0.17); None: all linear layers",
    )
    fully_sharded_loras: bool = Field(
        default=False,
        description="cut both matrices of each LoRA layer among the GPUs of a group, not only one of them; without "
        "effect on one GPU",
    )
    merged: bool = Field(
        default=False,
        description="serve one adapter only, whose weights are merged into those of the model: without --enable-lora, "
        "so that max_loras must be 0",
    )
    kv_cache_tokens: int | None = Field(
        default=None,
        ge=1,
        le=MOST_KV_CACHE_TOKENS,
        description="size of the KV cache in tokens, as measured; None: computed from the profile",
    )

    @field_validator("max_lora_rank")
    @classmethod
    def _served_rank(cls, rank: int) -> int:
        if rank not in SERVED_RANKS:
            raise ValueError(f"{rank} is not one of {listed(SERVED_RANKS)}")
        return rank

    @field_validator("lora_target_modules")
    @classmethod
    def _known_modules(cls, modules: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for module in modules or ():
            if module not in MODULES:
                raise ValueError(not_one_of(module, MODULES))
        return modules

    @model_validator(mode="after")
    def _host_holds_gpu(self) -> Self:
        if self.max_cpu_loras is not None and self.max_cpu_loras < self.max_loras:
            raise ValueError(f"max_cpu_loras {self.max_cpu_loras} is below max_loras {self.max_loras}")
        return self

    @model_validator(mode="after")
    def _budget_holds_seats(self) -> Self:
        tokens, seqs = self.max_num_batched_tokens, self.max_num_seqs
        if tokens is not None and seqs is not None and tokens < seqs:
            raise ValueError(f"max_num_batched_tokens {tokens} is below max_num_seqs {seqs}")
        return self

    @model_validator(mode="after")
    def _merged_has_no_slots(self) -> Self:
        if self.merged and self.max_loras:
            raise ValueError(
                f"max_loras {self.max_loras}: a server with merged weights has no slots, give 0 (plans get such "
                "servers with --allow-merged)"
            )
        return self

    @property
    def adapters_in_host(self) -> int:
        """Number of adapters that host memory holds; vLLM reads any further ones from disk again."""
        return self.max_loras if self.max_cpu_loras is None else self.max_cpu_loras

    @property
    def why_rejected(self) -> str:
        """Why requests are rejected, in words."""
        too_many = (
            "" if self.max_num_queued_reqs is None else f" or over max_num_queued_reqs {self.max_num_queued_reqs:,}"
        )
        return f"longer than max_model_len{too_many}"

    def listed_adapters(self, workload: Workload) -> int:
        """Return how many adapters of a workload host memory holds once all of them have been loaded."""
        return min(self.adapters_in_host, sum(adapter.rank > 0 for adapter in workload.adapters))

    def with_slots(self, max_loras: int, *, max_lora_rank: int, max_cpu_loras: int | None = None) -> Self:
        """Return these settings with other slots; host memory holds `max_loras` adapters unless stated otherwise.

        The server is not one with merged weights.
        """
        held = max_loras if max_cpu_loras is None else max_cpu_loras
        update = {"max_loras": max_loras, "max_lora_rank": max_lora_rank, "max_cpu_loras": held, "merged": False}
        return self.model_copy(update=update)

    def with_merged_weights(self) -> Self:
        """Return these settings for a server that serves one adapter with merged weights, and no other."""
        return self.with_slots(0, max_lora_rank=self.max_lora_rank).model_copy(update={"merged": True})

    def limits(self, profile: Profile) -> "Limits":
        """Return the limits within which the scheduler works.

        Raises:
            OutOfMemory: vLLM would refuse to start with these settings.
            SpecError: The token budget is below `max_num_seqs`, or the version of vLLM does not have `max_lora_rank`.
        """
        self._require_rank_of(profile.vllm_version)
        settings = self.with_defaults(profile)
        token_budget, max_num_seqs = self.budgets(profile)
        max_model_len = self.max_model_len or profile.model.max_model_len
        tokens = self.kv_tokens_on(profile)
        what = f"max_loras {self.max_loras} at max_lora_rank {self.max_lora_rank} on {profile.name}"
        if tokens > MOST_KV_CACHE_TOKENS:
            message = f"a KV cache of {tokens:.3g} tokens is too large: at most {MOST_KV_CACHE_TOKENS:.0e}"
            raise SpecError(message, "memory.kv_bytes_per_token")
        profile.memory.require_startable(tokens, max_model_len=max_model_len, block_size=self.block_size, what=what)
        blocks = tokens // self.block_size
        return Limits(
            block_size=self.block_size,
            kv_blocks=blocks - 1,  # one is vLLM's null block
            max_loras=self.max_loras,
            max_cpu_loras=self.adapters_in_host,
            max_num_seqs=max_num_seqs,
            token_budget=token_budget,
            max_model_len=max_model_len,
            reserve_whole_prompt=bool(settings.scheduler_reserve_full_isl),
            watermark_blocks=int(self.watermark * blocks),
            async_scheduling=bool(settings.async_scheduling),
            prefix_caching=bool(settings.enable_prefix_caching),
            max_num_queued_reqs=NO_QUEUE_LIMIT if self.max_num_queued_reqs is None else self.max_num_queued_reqs,
            uncached_first=takes_uncached_first(profile.vllm_version),
        )

    def kv_tokens_on(self, profile: Profile) -> int:
        """Return the tokens of KV cache: as measured, or else computed from the profile; 0 if no memory is left.

        Raises:
            SpecError: The token budget is below `max_num_seqs`.
        """
        if self.kv_cache_tokens:
            return self.kv_cache_tokens
        token_budget, max_num_seqs = self.budgets(profile)
        return profile.memory.kv_cache_tokens(
            max_loras=self.max_loras,
            max_lora_rank=self.max_lora_rank,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=token_budget,
            gpu_memory_utilization=self.gpu_memory_utilization or _usual(profile).gpu_memory_utilization,
            block_size=self.block_size,
            slot_share=slot_share(
                profile.model,
                profile.tensor_parallel_size,
                fully_sharded_loras=self.fully_sharded_loras,
                modules=self.lora_target_modules,
            ),
        )

    def _require_rank_of(self, vllm_version: str) -> None:
        served = served_ranks(vllm_version)
        if self.max_loras and self.max_lora_rank not in served:
            message = f"{self.max_lora_rank} is not one of {listed(served)}, which vLLM {vllm_version} serves"
            raise SpecError(message, "Server.max_lora_rank")

    def starts_on(self, profile: Profile) -> bool:
        """Whether vLLM would start with these settings."""
        try:
            self.limits(profile)
        except OutOfMemory:
            return False
        return True

    def budgets(self, profile: Profile) -> tuple[int, int]:
        """Return ``max_num_batched_tokens`` and ``max_num_seqs``, as given or by default.

        Raises:
            SpecError: The token budget is below `max_num_seqs`.
        """
        usual = _usual(profile)
        most = usual.max_num_seqs
        max_num_seqs = self.max_num_seqs or min(most, self.max_num_batched_tokens or most)
        token_budget = self.max_num_batched_tokens or max(usual.max_num_batched_tokens, max_num_seqs)
        if token_budget < max_num_seqs:
            raise SpecError(f"{token_budget} is below max_num_seqs {max_num_seqs}", "Server.max_num_batched_tokens")
        return token_budget, max_num_seqs

    def _modules_left_out(self, adapter: Adapter) -> list[str]:
        """Return the modules that an adapter changes although these settings do not let it."""
        if self.lora_target_modules is None:
            return []
        let = merged_modules(self.lora_target_modules)
        return [module for module in adapter.target_modules or () if not parts_of_modules([module]) <= let]

    def _require_one_adapter(self, workload: Workload) -> None:
        """Raise `SpecError` unless the workload is one that a server with merged weights serves: of one adapter."""
        if len(workload) != 1:
            what = f"true: the weights of one adapter can be merged, but the workload has {len(workload):,}"
            raise SpecError(what, "Server.merged")
        if not (adapter := workload.adapters[0]).rank:
            raise SpecError(f"true, but {adapter.name!r} is traffic to the base model", "Server.merged")

    def with_defaults(self, profile: Profile) -> Self:
        """Return these settings with vLLM's default for each that is None, except `max_cpu_loras` and the KV cache.

        Raises:
            SpecError: The token budget is below `max_num_seqs`.
        """
        usual = _usual(profile)
        token_budget, max_num_seqs = self.budgets(profile)
        chosen = {
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": token_budget,
            "max_model_len": self.max_model_len or profile.model.max_model_len,
        }
        for name in (
            "gpu_memory_utilization",
            "async_scheduling",
            "scheduler_reserve_full_isl",
            "enable_prefix_caching",
        ):
            given = getattr(self, name)
            chosen[name] = getattr(usual, name) if given is None else given
        return self.model_copy(update=chosen)

    def can_load(self, rank: int) -> bool:
        """Whether vLLM can load an adapter of this rank; the base model, rank 0, needs no slot.

        A server with merged weights has lost the base model and can load nothing.
        """
        return not self.merged and (rank == 0 or (self.max_loras > 0 and self.max_lora_rank >= rank))

    def require_serves(self, workload: Workload) -> None:
        """Raise `SpecError` if vLLM would refuse to load one of the workload's adapters."""
        if self.merged:
            self._require_one_adapter(workload)
            return
        for adapter in workload.adapters:
            if adapter.rank and not self.max_loras:
                raise SpecError(f"0 slots, but adapter {adapter.name!r} needs one", "Server.max_loras")
            if (left_out := self._modules_left_out(adapter)) and adapter.rank:
                raise SpecError(
                    f"{', '.join(left_out)} of adapter {adapter.name!r} would not be applied",
                    "Server.lora_target_modules",
                )
            if adapter.rank > self.max_lora_rank:
                raise SpecError(
                    f"{self.max_lora_rank} is below the rank {adapter.rank} of adapter {adapter.name!r}",
                    "Server.max_lora_rank",
                )


def _usual(profile: Profile) -> VllmDefaults:
    return vllm_defaults(profile.hardware, profile.gpu_gib, profile.vllm_version)


class Limits(NamedTuple):
    """What the scheduler may use: the settings of a `Server` on a `Profile`, with all defaults filled in."""

    block_size: int
    kv_blocks: int  # usable blocks, without vLLM's null block
    max_loras: int
    max_cpu_loras: int
    max_num_seqs: int
    token_budget: int
    max_model_len: int
    reserve_whole_prompt: bool
    watermark_blocks: int
    async_scheduling: bool = False
    prefix_caching: bool = False
    max_num_queued_reqs: int = NO_QUEUE_LIMIT
    uncached_first: bool = True  # of freed blocks, those that are not cached go to the front of the queue
    output_chunk: int = 128  # tokens that the API server handles at once: VLLM_V1_OUTPUT_PROC_CHUNK_SIZE


def server_rank(rank: int, profile: Profile) -> int:
    """Return the lowest ``max_lora_rank`` with which the profile's version of vLLM serves adapters of this rank."""
    return padded_rank(rank, profile.vllm_version)
