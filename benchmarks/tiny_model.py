"""Make a tiny random Llama with random LoRA adapters, for vLLM on a CPU. Runs in the environment that has vLLM.

python benchmarks/tiny_model.py FOLDER --adapters 16 --ranks 8,16
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

HIDDEN, LAYERS, HEADS, KV_HEADS, INTERMEDIATE, VOCABULARY, LONGEST = 256, 4, 8, 4, 688, 2048, 4096
HEAD = HIDDEN // HEADS
OUTPUTS = {"q_proj": HEADS * HEAD, "k_proj": KV_HEADS * HEAD, "v_proj": KV_HEADS * HEAD, "o_proj": HIDDEN}
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": LONGEST,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}


def make_model(folder: Path, seed: int = 0) -> None:
    """Write configuration, tokenizer and random weights of the model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1))
    words = {word: i for i, word in enumerate(SPECIAL)} | {f"w{i}": i for i in range(len(SPECIAL), VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=SPECIAL[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    dice = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return dice.standard_normal((rows, columns), dtype=np.float32) * 0.02

    weights = {
        "model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN),
        "lm_head.weight": matrix(VOCABULARY, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, np.float32),
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}.{norm}.weight"] = np.ones(HIDDEN, np.float32)
        for name, outputs in OUTPUTS.items():
            weights[f"{at}.self_attn.{name}.weight"] = matrix(outputs, _inputs(name))
        for name in ("gate_proj", "up_proj"):
            weights[f"{at}.mlp.{name}.weight"] = matrix(INTERMEDIATE, HIDDEN)
        weights[f"{at}.mlp.down_proj.weight"] = matrix(HIDDEN, INTERMEDIATE)
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})


def make_adapter(folder: Path, rank: int, seed: int) -> None:
    """Write a random adapter of the attention's layers."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, weights = np.random.default_rng(seed), {}
    for layer in range(LAYERS):
        for name, outputs in OUTPUTS.items():
            at = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{at}.lora_A.weight"] = dice.standard_normal((rank, _inputs(name)), dtype=np.float32) * 0.05
            weights[f"{at}.lora_B.weight"] = dice.standard_normal((outputs, rank), dtype=np.float32) * 0.05
    save_file(weights, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(OUTPUTS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1))


def _inputs(name: str) -> int:
    return HEADS * HEAD if name == "o_proj" else HIDDEN


def main() -> None:
    """Write ``FOLDER/model`` and ``FOLDER/adapters/a00``, ``a01`` and so on, with ranks in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--adapters", type=int, default=16)
    parser.add_argument("--ranks", default="8,16")
    arguments = parser.parse_args()
    ranks = [int(rank) for rank in arguments.ranks.split(",")]
    make_model(arguments.folder / "model")
    for number in range(arguments.adapters):
        make_adapter(arguments.folder / "adapters" / f"a{number:02}", ranks[number % len(ranks)], seed=1000 + number)


if __name__ == "__main__":
    main()
