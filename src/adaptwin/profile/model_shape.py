"""ModelShape: the shapes of a model's matrices, from which its memory is computed."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field, field_validator, model_validator

from adaptwin.spec import Name, Spec
from adaptwin.visible import quoted

PARTS_OF_FUSED = {  # by the name that covers several of `module_widths`
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
LINEAR_LAYERS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))  # as vLLM runs
LINEAR = tuple(module for layer in LINEAR_LAYERS for module in layer)
MODULES = (*LINEAR, *PARTS_OF_FUSED)  # names of linear layers, one by one or fused
ATTENTION, MLP = LINEAR[:4], LINEAR[4:]
LONGEST_CONTEXT = 10_000_000  # tokens, more than any model has
LARGEST_SHAPE = 100_000_000  # above every dimension of any model; bytes computed from such shapes are still finite
MOST_EXPERTS = 65_536


def parts_of_modules(modules: Iterable[str]) -> set[str]:
    """Return the linear layers that names of modules mean, of which some cover several."""
    return {part for module in modules for part in PARTS_OF_FUSED.get(module, (module,))}


def merged_modules(modules: Iterable[str]) -> set[str]:
    """Return the linear layers that vLLM gives slots for if adapters may change these: merged ones, as a whole.

    Source: `is_in_target_modules` in vllm/lora/utils.py.
    """
    parts = parts_of_modules(modules)
    return parts.union(*(group for group in map(set, PARTS_OF_FUSED.values()) if group & parts))


class ModelShape(Spec):
    """A decoder-only transformer with grouped-query attention and a gated MLP (Llama, Qwen, Mistral).

    The MLP of a layer may consist of experts, of which each token uses some (Mixtral, Qwen3-MoE, gpt-oss).
    """

    name: Name = Field(description="name of the model")
    hidden: int = Field(gt=0, le=LARGEST_SHAPE, description="width of the hidden state")
    layers: int = Field(gt=0, le=LARGEST_SHAPE, description="transformer layers")
    heads: int = Field(gt=0, le=LARGEST_SHAPE, description="attention heads")
    kv_heads: int = Field(gt=0, le=LARGEST_SHAPE, description="heads of keys and values")
    head_dim: int = Field(gt=0, le=LARGEST_SHAPE, description="width of an attention head")
    intermediate: int = Field(gt=0, le=LARGEST_SHAPE, description="width of the MLP, or of each of its experts")
    experts: int = Field(
        default=0, ge=0, le=MOST_EXPERTS, description="experts of a layer's MLP; 0: one MLP for all tokens"
    )
    active_experts: int = Field(default=0, ge=0, le=MOST_EXPERTS, description="experts of a layer that a token uses")
    vocabulary: int = Field(gt=0, le=LARGEST_SHAPE, description="tokens in the vocabulary")
    max_model_len: int = Field(gt=0, le=LONGEST_CONTEXT, description="longest context of the model, in tokens")
    bytes_per_weight: float = Field(
        default=2,
        gt=0,
        le=16,
        allow_inf_nan=False,
        description="bytes of a weight of the linear layers: 1 for FP8, 0.5 and more for 4 bits with their scales",
    )
    bytes_per_expert_weight: float = Field(
        default=2, gt=0, le=16, allow_inf_nan=False, description="bytes of a weight of the experts"
    )
    bytes_per_value: float = Field(
        default=2,
        gt=0,
        le=16,
        allow_inf_nan=False,
        description="bytes of an activation, and of a weight of the embeddings and of adapters",
    )
    bytes_per_kv_value: float = Field(
        default=2, gt=0, le=16, allow_inf_nan=False, description="bytes of a value in the KV cache: 1 for FP8"
    )
    tied_embeddings: bool = Field(default=False, description="whether the output matrix is that of the embedding")
    lora_embeddings: bool = Field(
        default=False,
        description="whether vLLM also preallocates LoRA weights for the embedding and the output matrix",
    )
    lora_experts: bool = Field(
        default=False, description="whether vLLM serves adapters on the experts, for each of which it has slots"
    )
    early_stop_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="share of answers that end before the length in the data set",
    )
    early_stop_reach: float = Field(
        default=0.5,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="mean part of its length that an answer reaches if it ends early",
    )

    @field_validator("name")
    @classmethod
    def _is_no_option(cls, name: str) -> str:
        if name.startswith("-"):
            raise ValueError(f"{quoted(name)} starts with '-', so vllm serve would read it as an option")
        return name

    @model_validator(mode="after")
    def _some_experts_are_active(self) -> Self:
        if self.active_experts > self.experts or (self.experts and not self.active_experts):
            raise ValueError(f"active_experts: {self.active_experts} is not between 1 and experts, {self.experts}")
        return self

    @property
    def module_widths(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each linear layer in a transformer layer, or of an expert, by the name of its module."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def lora_modules(self) -> tuple[str, ...]:
        """Names of the linear layers that vLLM serves adapters on."""
        return ATTENTION if self.experts and not self.lora_experts else LINEAR

    def copies(self, module: str) -> int:
        """Number of matrices with the widths of a module in a layer: one of each expert, or one."""
        return self.experts if self.experts and module in MLP else 1

    def _weights_of(self, modules: Iterable[str]) -> int:
        widths = self.module_widths
        return self.layers * sum(self.copies(module) * widths[module][0] * widths[module][1] for module in modules)

    @property
    def _embedding_weights(self) -> int:
        return self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def weights(self) -> int:
        """Number of the base model's weights, without norms, biases and routers of experts (under 0.1 %)."""
        return self._weights_of(LINEAR) + self._embedding_weights

    @property
    def linear_weights(self) -> int:
        """Number of the weights of the linear layers that all tokens use, so not of experts, in all layers."""
        return self._weights_of(ATTENTION if self.experts else LINEAR)

    @property
    def expert_weights(self) -> int:
        """Number of the weights of all experts in all layers."""
        return self._weights_of(MLP) if self.experts else 0

    @property
    def linear_bytes(self) -> float:
        """Bytes of the weights of the linear layers that all tokens use, in all transformer layers."""
        return float(self.linear_weights * self.bytes_per_weight)

    @property
    def expert_bytes(self) -> float:
        """Bytes of the weights of all experts in all layers."""
        return float(self.expert_weights * self.bytes_per_expert_weight)

    @property
    def weights_bytes(self) -> float:
        """Bytes of the base model's weights, without norms, biases and routers of experts (under 0.1 %)."""
        return self.linear_bytes + self.expert_bytes + float(self._embedding_weights * self.bytes_per_value)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values that one token takes in the KV cache."""
        return float(2 * self.layers * self.kv_heads * self.head_dim * self.bytes_per_kv_value)

    def loaded_bytes(self, rank: int, modules: Iterable[str] | None = None) -> float:
        """Bytes of an adapter's weights as host memory holds them: at its own rank, on these modules.

        Args:
            rank: Its rank.
            modules: Modules that it changes, as in PEFT, `PARTS_OF_FUSED` among them; None, or one that is not a linear
                layer of a transformer layer: all linear layers on which vLLM serves adapters.
        """
        names = parts_of_modules(modules or ())
        if not names or not names <= self.module_widths.keys():
            names = set(self.lora_modules)
        return float(self.layers * self._adapter_values(names) * rank * self.bytes_per_value)

    def _adapter_values(self, modules: Iterable[str]) -> int:
        """Values of an adapter in a layer, per unit of rank: those of the A and B matrices of these modules."""
        widths = self.module_widths
        return sum(self.copies(module) * sum(widths[module]) for module in modules)

    @property
    def embedding_adapter_bytes(self) -> float:
        """Bytes per unit of rank of the LoRA weights of the embedding and the output matrix; 0 if vLLM has none."""
        return 2 * (self.vocabulary + self.hidden) * self.bytes_per_value if self.lora_embeddings else 0.0

    @property
    def adapter_bytes_per_rank(self) -> float:
        """Bytes per unit of rank of an adapter on all linear layers that vLLM serves: their A and B matrices."""
        layers = self.layers * self._adapter_values(self.lora_modules) * self.bytes_per_value
        return float(layers + self.embedding_adapter_bytes)
