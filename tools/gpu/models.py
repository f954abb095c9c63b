"""MODELS: shapes of the models that are measured, and the folders that vLLM starts them from."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Model(NamedTuple):
    """Shapes of a model as a profile has them, and what vLLM needs beside them."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    max_model_len: int
    served_len: int  # max_model_len that it is served with
    rope_theta: float
    architecture: str
    kind: str  # model_type
    start: str  # the profile that supplies what is not measured
    lora_embeddings: bool = False


MODELS = {
    "llama-3.1-8b": Model(
        name="meta-llama/Llama-3.1-8B-Instruct",
        hidden=4096,
        layers=32,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocabulary=128256,
        max_model_len=131072,
        served_len=32768,
        rope_theta=500000.0,
        architecture="LlamaForCausalLM",
        kind="llama",
        start="h100-64gb-llama-3.1-8b-instruct",
        lora_embeddings=True,
    ),
    "qwen-2.5-7b": Model(
        name="Qwen/Qwen2.5-7B-Instruct",
        hidden=3584,
        layers=28,
        heads=28,
        kv_heads=4,
        head_dim=128,
        intermediate=18944,
        vocabulary=152064,
        max_model_len=32768,
        served_len=32768,
        rope_theta=1000000.0,
        architecture="Qwen2ForCausalLM",
        kind="qwen2",
        start="h100-64gb-qwen-2.5-7b-instruct",
    ),
    "tiny": Model(  # to see whether anything works
        name="tiny",
        hidden=512,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=128,
        intermediate=1024,
        vocabulary=4096,
        max_model_len=4096,
        served_len=4096,
        rope_theta=10000.0,
        architecture="LlamaForCausalLM",
        kind="llama",
        start="h100-64gb-llama-3.1-8b-instruct",
    ),
}


def model_folder(root: Path, name: str, dtype: str) -> Path:
    """A folder with a config and nothing else: servers start with dummy weights."""
    model, folder = MODELS[name], root / "models" / f"{name}-{dtype}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(_config(model, dtype), indent=1))
    return folder


def _config(model: Model, dtype: str) -> dict[str, Any]:
    """The fields that transformers 5 reads, and those that earlier versions did."""
    return {
        "architectures": [model.architecture],
        "model_type": model.kind,
        "hidden_size": model.hidden,
        "intermediate_size": model.intermediate,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocabulary,
        "max_position_embeddings": model.max_model_len,
        "rms_norm_eps": 1e-5,
        "rope_theta": model.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": dtype,
        "dtype": dtype,
        "use_cache": True,
        "initializer_range": 0.02,
        "use_sliding_window": False,
    }
