"""Random LoRA adapters on all linear layers, as PEFT writes them."""

import json
from collections.abc import Iterator
from pathlib import Path

from models import MODELS, Model

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
SPREAD = 0.05  # standard deviation of the weights


def adapter_folder(root: Path, model: str, rank: int, index: int, dtype: str) -> Path:
    """Adapter `index` of a rank: a folder of its own whose files are links, so that a hundred need no more disk."""
    weights = adapter_file(root, model, rank, dtype)
    folder = root / "adapters" / f"{model}-{rank}-{dtype}-{index:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(weights.parent / name)
    return folder


def adapter_file(root: Path, model: str, rank: int, dtype: str) -> Path:
    """The weights that all adapters of a rank share, written once."""
    folder = root / "adapters" / f"{model}-{rank}-{dtype}"
    path = folder / WEIGHTS
    if path.is_file():
        return path
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(rank)
    kind, tensors = getattr(torch, dtype), {}
    for layer, inputs, outputs in _linear_layers(MODELS[model]):
        tensors[f"{layer}.lora_A.weight"] = (torch.randn(rank, inputs) * SPREAD).to(kind)
        tensors[f"{layer}.lora_B.weight"] = (torch.randn(outputs, rank) * SPREAD).to(kind)
    (folder / CONFIG).write_text(json.dumps(_config(MODELS[model], rank)))
    save_file(tensors, str(path.with_suffix(".tmp")), metadata={"format": "pt"})
    path.with_suffix(".tmp").rename(path)
    return path


def _linear_layers(model: Model) -> Iterator[tuple[str, int, int]]:
    """Name, inputs and outputs of each layer with an adapter."""
    query, key = model.heads * model.head_dim, model.kv_heads * model.head_dim
    sizes = {
        "self_attn.q_proj": (model.hidden, query),
        "self_attn.k_proj": (model.hidden, key),
        "self_attn.v_proj": (model.hidden, key),
        "self_attn.o_proj": (query, model.hidden),
        "mlp.gate_proj": (model.hidden, model.intermediate),
        "mlp.up_proj": (model.hidden, model.intermediate),
        "mlp.down_proj": (model.intermediate, model.hidden),
    }
    for layer in range(model.layers):
        for name, (inputs, outputs) in sizes.items():
            yield f"base_model.model.model.layers.{layer}.{name}", inputs, outputs


def _config(model: Model, rank: int) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name,
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "fan_in_fan_out": False,
        "target_modules": [name.split(".")[-1] for name, _, _ in list(_linear_layers(model))[:7]],
        "modules_to_save": None,
        "use_rslora": False,
        "use_dora": False,
    }
