"""Section on GPU memory errors: whether a server starts, by the paper's table and by adaptwin's memory law."""

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Server, load_profile
from h100_runs import DATA, MODELS, all_rows
from measured_page import paragraph, section
from paper_claims import MOST_SLOTS
from paper_measures import signed_errors

NOTE_ON_STARTS = """The paper says: its placements avoid GPU memory errors. It looks the KV cache up in a table with a
start of a real server for each number of slots and rank, and has no figure for others; adaptwin has a law, fitted to
the same starts. The starts counted here are those of all real runs, of which each method says whether vLLM starts; the
paper, where the number of slots is at most the largest of its placement. KV cache is that of the table."""


def memory_section() -> str:
    """Return the section with a row per model."""
    starts = pl.read_parquet(DATA / "kv_memory.parquet")
    body = []
    for model, name in MODELS.items():
        profile = load_profile(name)
        rows = [row for row in all_rows(model).iter_rows(named=True) if row["server_started"] or row["memory_error"]]
        started = np.array([not row["memory_error"] for row in rows])
        paper = np.array([row["max_loras"] <= MOST_SLOTS[model][row["max_lora_rank"]] for row in rows])
        ours = np.array([_server(row).starts_on(profile) for row in rows])
        cells = starts.filter(
            (pl.col("model") == model) & (pl.col("vllm") == "0.8.5") & pl.col("kv_cache_tokens").is_not_null()
        ).filter(pl.col("max_loras") > 0)
        known = [row for row in cells.iter_rows(named=True) if _server(row).starts_on(profile)]
        tokens = [_server(row).kv_tokens_on(profile) for row in known]
        errors = np.abs(signed_errors(tokens, [row["kv_cache_tokens"] for row in known]))
        counts = [f"{(said == started).sum()} of {len(rows)}" for said in (paper, ours)]
        body.append([SHORT[model], *counts, str(len(known)), f"{np.median(errors):.2f} %", f"{errors.max():.1f} %"])
    header = ["model", "starts right: paper", "starts right: adaptwin", "cells of the table"]
    header += ["adaptwin's KV cache, median error", "largest"]
    return section("GPU memory errors", header, body, paragraph(NOTE_ON_STARTS))


def _server(row: dict[str, int]) -> Server:
    return Server(
        max_loras=row["max_loras"],
        max_lora_rank=row["max_lora_rank"],
        max_num_seqs=2048,
        max_num_batched_tokens=2048,
    )
