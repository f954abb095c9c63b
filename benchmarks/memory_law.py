"""The memory law against real servers, by start-up logs and a measured grid; writes docs/measured/memory.md.

    python benchmarks/memory_law.py

The law is that of `MemoryModel.from_shapes`: nothing of it is fitted to these servers but the two constants that
`adaptwin.profile.memory` names.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from adaptwin import load_profile
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from h100_measurements import GPU_GIB, MOST_SEQS, SHAPES
from h100_runs import DATA, MODELS, PROJECT, require_data
from measured_page import PAGES, generated_by, paragraph, section

SAMPLES = PROJECT.parent / "shared" / "schemas" / "samples"


class Start(NamedTuple):
    """A start of a server: its log, and what the log does not say of it."""

    log: str
    model: str  # of hf_config
    gpu_gib: float
    vllm_version: str
    since: str  # text of the line from which the log is of this run
    max_loras: int = 0
    graph_gib: float | None = None  # CUDA graphs inside the budget, as logged; None: those of the law
    note: str = ""


STARTS = (
    Start(
        "startup_v0.24.txt", "Qwen2.5-7B-Instruct.json", 31.36, "0.24.0", "07-09 21:28:26", graph_gib=0.63,
        note="the GPU follows from 0.63 GiB of graphs being 2.01 % of it",
    ),
    Start(
        "startup_v0.9_lora.txt", "Qwen2.5-7B-Instruct.json", 39.39, "0.9.1", "06-16 13:2", max_loras=1,
        note="model by its bytes per token; an A100 with 40 GB is assumed",
    ),
    Start(
        "lora_effect_v0.27_excerpt.txt", "Qwen3-8B.json", 23.55, "0.27.0", "", max_loras=2,
        note="the GPU is assumed: 24 GB; the KV cache is what little is left, so 0.6 GiB are 13 %",
    ),
)  # fmt: skip


def shape_of(config: Path) -> ModelShape:
    """Return the shapes in a config.json of the Hugging Face hub."""
    fields: dict[str, Any] = json.loads(config.read_text())
    heads, hidden = fields["num_attention_heads"], fields["hidden_size"]
    return ModelShape(
        name=config.stem,
        hidden=hidden,
        layers=fields["num_hidden_layers"],
        heads=heads,
        kv_heads=fields["num_key_value_heads"],
        head_dim=fields.get("head_dim") or hidden // heads,
        intermediate=fields["intermediate_size"],
        vocabulary=fields["vocab_size"],
        max_model_len=fields["max_position_embeddings"],
        tied_embeddings=fields.get("tie_word_embeddings", False),
    )


def logged_tokens(start: Start) -> int:
    """Return the KV tokens that a log names last, from the line of the run on."""
    text = (SAMPLES / "vllm" / start.log).read_text()
    found = re.findall(r"GPU KV cache size: ([\d,]+) tokens", text[max(0, text.find(start.since)) :])
    return int(found[0 if start.since else -1].replace(",", ""))


def row_of_start(start: Start) -> list[str]:
    """Return the row of a start-up log: the tokens it names, those of the law, and the difference."""
    shape = shape_of(SAMPLES / "hf_config" / start.model)
    law = MemoryModel.from_shapes(shape, start.gpu_gib * GIB, start.vllm_version)
    if start.graph_gib is not None:
        law = law.model_copy(update={"graph_bytes": start.graph_gib * GIB})
    tokens = law.kv_cache_tokens(
        max_loras=start.max_loras,
        max_lora_rank=16,
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        gpu_memory_utilization=0.9,
    )
    logged = logged_tokens(start)
    gap = f"{tokens / logged - 1:+.1%}".replace("%", " %")
    return [start.vllm_version, shape.name, f"{start.gpu_gib:g}", f"{logged:,}", f"{tokens:,}", gap, start.note]


def row_of_grid(model: str) -> list[str]:
    """Return the row of a measured grid of slots and ranks: the mean and the largest difference of the law."""
    law = MemoryModel.from_shapes(SHAPES[model], GPU_GIB * GIB, "0.8.5")
    table = pl.read_parquet(DATA / "kv_memory.parquet").filter(
        (pl.col("model") == model) & (pl.col("max_loras") > 0) & (pl.col("kv_cache_tokens") > 0)
    )
    settings = {"max_num_seqs": MOST_SEQS, "max_num_batched_tokens": 2048, "gpu_memory_utilization": 0.9}
    rows = table.select("max_loras", "max_lora_rank").rows()
    tokens = np.array([law.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, **settings) for slots, rank in rows])
    gaps = 100 * (tokens / table["kv_cache_tokens"].to_numpy() - 1)
    return [
        model,
        str(len(gaps)),
        f"{np.abs(gaps).mean():.1f} %",
        f"{gaps.mean():+.1f} %",
        f"{np.abs(gaps).max():.1f} %",
    ]


def rows_of_seats(model: str) -> list[list[str]]:
    """Return rows of servers without LoRA by max_num_seqs, which had no part in any fit of memory."""
    law = load_profile(MODELS[model]).memory
    table = pl.read_parquet(DATA / "micro_runs.parquet").filter(
        (pl.col("model") == model) & pl.col("max_loras").is_null() & pl.col("kv_cache_tokens_logged").is_not_null()
    )
    known = table.group_by("max_num_seqs").agg(pl.col("kv_cache_tokens_logged").median()).sort("max_num_seqs")
    rows = []
    for seats, logged in known.iter_rows():
        tokens = law.kv_cache_tokens(max_loras=0, max_lora_rank=8, max_num_seqs=int(seats))
        rows.append([model, f"{seats:,.0f}", f"{logged:,.0f}", f"{tokens:,}", f"{100 * (tokens / logged - 1):+.1f} %"])
    return rows


def main() -> None:
    """Print all tables and write the page."""
    require_data()
    grid = section(
        "Measured grid",
        ("Model", "Servers", "Mean error", "Bias", "Largest"),
        [row_of_grid(model) for model in SHAPES],
        paragraph(
            "KV tokens of servers with different slots and ranks on the H100 with 64 GB, vLLM 0.8.5, max_num_seqs "
            "2,048. The law is that of the shapes alone; `adaptwin fit` fits three constants to these servers."
        ),
    )
    seats = section(
        "Servers with fewer requests",
        ("Model", "max_num_seqs", "KV tokens logged", "by the law", "Difference"),
        [row for model in SHAPES for row in rows_of_seats(model)],
        paragraph(
            "vLLM's profiling step samples for max_num_seqs requests at once, so a server for fewer requests has more "
            "room for its KV cache. The law is that of the shipped profiles, which were fitted to servers with "
            "max_num_seqs 2,048; these servers have no LoRA."
        ),
    )
    logs = section(
        "Start-up logs",
        ("vLLM", "Model", "GPU, GiB", "KV tokens logged", "by the law", "Difference", "What the log does not say"),
        [row_of_start(start) for start in STARTS],
        paragraph("Single runs only. max_num_seqs is 256 and gpu_memory_utilization 0.9 in all of them."),
    )
    title = "# Memory: the law against real servers"
    page = "\n\n".join((title, grid, seats, logs, generated_by("memory", after="changes of the memory law")))
    print(page)
    (PAGES / "memory.md").write_text(page + "\n")


if __name__ == "__main__":
    main()
