"""ModelShape: the shapes of a model's matrices, from which its memory is computed."""

from collections.abc import Iterable

from pydantic import Field, field_validator

from adaptwin.spec import Name, Spec
from adaptwin.visible import quoted

PARTS_OF_FUSED = {  # by the name that covers several of `module_widths`
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
LINEAR_LAYERS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))  # as vLLM runs
LINEAR = tuple(module for layer in LINEAR_LAYERS for module in layer)
MODULES = (*LINEAR, *PARTS_OF_FUSED)  # names of linear layers, one by one or fused
LONGEST_CONTEXT = 10_000_000  # tokens, more than any model has
LARGEST_SHAPE = 100_000_000  # above every dimension of any model; bytes computed from such shapes are still finite


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
    """A decoder-only transformer with grouped-query attention and a gated MLP (Llama, Qwen, Mistral)."""

    name: Name = Field(description="name of the model")
    hidden: int = Field(gt=0, le=LARGEST_SHAPE, description="width of the hidden state")
    layers: int = Field(gt=0, le=LARGEST_SHAPE, description="transformer layers")
    heads: int = Field(gt=0, le=LARGEST_SHAPE, description="attention heads")
    kv_heads: int = Field(gt=0, le=LARGEST_SHAPE, description="heads of keys and values")
    head_dim: int = Field(gt=0, le=LARGEST_SHAPE, description="width of an attention head")
    intermediate: int = Field(gt=0, le=LARGEST_SHAPE, description="width of the MLP")
    vocabulary: int = Field(gt=0, le=LARGEST_SHAPE, description="tokens in the vocabulary")
    max_model_len: int = Field(gt=0, le=LONGEST_CONTEXT, description="longest context of the model, in tokens")
    bytes_per_weight: float = Field(
        default=2,
        gt=0,
        le=16,
        allow_inf_nan=False,
        description="bytes of a weight of the linear layers: 1 for FP8, 0.5 and more for 4 bits with their scales",
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

    @property
    def module_widths(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each linear layer in a transformer layer, by the name of its module."""
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
    def _linear_weights(self) -> int:
        return self.layers * sum(inputs * outputs for inputs, outputs in self.module_widths.values())

    @property
    def _embedding_weights(self) -> int:
        return self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)

    @property
    def weights(self) -> int:
        """Number of the base model's weights, without norms and biases (under 0.1 %)."""
        return self._linear_weights + self._embedding_weights

    @property
    def linear_bytes(self) -> float:
        """Bytes of the weights of the linear layers in all transformer layers."""
        return float(self._linear_weights * self.bytes_per_weight)

    @property
    def weights_bytes(self) -> float:
        """Bytes of the base model's weights, without norms and biases (under 0.1 %)."""
        return self.linear_bytes + float(self._embedding_weights * self.bytes_per_value)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values that one token takes in the KV cache."""
        return float(2 * self.layers * self.kv_heads * self.head_dim * self.bytes_per_kv_value)

    def loaded_bytes(self, rank: int, modules: Iterable[str] | None = None) -> float:
        """Bytes of an adapter's weights as host memory holds them: at its own rank, on these modules.

        Args:
            rank: Its rank.
            modules: Modules that it changes, as in PEFT, `PARTS_OF_FUSED` among them; None, or one that is not a linear
                layer of a transformer layer: all linear layers.
        """
        widths = self.module_widths
        names = parts_of_modules(modules or ())
        if not names or not names <= widths.keys():
            names = set(widths)
        per_layer = sum(sum(widths[name]) for name in names)
        return float(self.layers * per_layer * rank * self.bytes_per_value)

    def share_of_adapter(self, modules: Iterable[str] | None) -> float:
        """The share of an adapter's bytes for which slots have room if it may change these modules; 1 for None."""
        if modules is None:
            return 1.0
        return self.loaded_bytes(1, merged_modules(modules)) / self.adapter_bytes_per_rank

    @property
    def adapter_bytes_per_rank(self) -> float:
        """Bytes per unit of rank of an adapter on all linear layers: the A and B matrices of each layer."""
        per_layer = sum(inputs + outputs for inputs, outputs in self.module_widths.values())
        embeddings = 2 * (self.vocabulary + self.hidden) if self.lora_embeddings else 0
        return float((self.layers * per_layer + embeddings) * self.bytes_per_value)
