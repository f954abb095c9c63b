"""ModelShape: the shapes of a model's matrices, from which its memory is computed."""

from pydantic import Field

from adaptwin.spec import Spec


class ModelShape(Spec):
    """A decoder-only transformer with grouped-query attention and a gated MLP (Llama, Qwen, Mistral)."""

    name: str
    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    max_model_len: int = Field(gt=0)
    bytes_per_weight: int = Field(default=2, gt=0)
    tied_embeddings: bool = False
    lora_embeddings: bool = Field(
        default=False,
        description="true if vLLM also preallocates LoRA weights for the embedding and the output matrix",
    )
    early_stop_share: float = Field(
        default=0.0, ge=0, le=1, description="share of answers that end before the length in the data set"
    )
    early_stop_reach: float = Field(
        default=0.5, gt=0, le=1, description="mean part of its length that an answer reaches if it ends early"
    )

    @property
    def _linear_layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each linear layer in a transformer layer: q, k, v, o, gate, up, down."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return [
            (self.hidden, query),
            (self.hidden, key),
            (self.hidden, key),
            (query, self.hidden),
            (self.hidden, self.intermediate),
            (self.hidden, self.intermediate),
            (self.intermediate, self.hidden),
        ]

    @property
    def weights_bytes(self) -> float:
        """Bytes of the base model's weights, without norms and biases (under 0.1 %)."""
        per_layer = sum(inputs * outputs for inputs, outputs in self._linear_layers)
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        return float((self.layers * per_layer + embeddings) * self.bytes_per_weight)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values that one token takes in the KV cache."""
        return float(2 * self.layers * self.kv_heads * self.head_dim * self.bytes_per_weight)

    @property
    def adapter_bytes_per_rank(self) -> float:
        """Bytes per unit of rank of an adapter on all linear layers: the A and B matrices of each layer."""
        per_layer = sum(inputs + outputs for inputs, outputs in self._linear_layers)
        embeddings = 2 * (self.vocabulary + self.hidden) if self.lora_embeddings else 0
        return float((self.layers * per_layer + embeddings) * self.bytes_per_weight)
