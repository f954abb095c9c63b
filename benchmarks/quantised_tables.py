"""Tables of kernels of quantised models: linear layers in FP8 and FP4, and decodes that read a KV cache in FP8."""

from typing import Any

import numpy as np
import polars as pl
import yaml

from adaptwin.arrays import Array
from adaptwin.profile.hardware.linear_kernels import LAUNCHES
from measured_page import paragraph, section
from step_law_tables import (
    GPUS,
    HEAD_DIM,
    TABLES,
    TOKEN_BANDS,
    WIDTHS,
    DecodeTable,
    between,
    fitted,
    in_bands,
    layers_of,
    percent_off,
    sheet_of,
    versions_of,
)

PRECISIONS = {  # name in the tables: name in words, peak figure, bytes of a weight, kind of kernels
    "fp8": ("FP8", "fp8_tc_flops", 1.0, "fp8"),
    "nvfp4": ("NVFP4", "fp4_tc_flops", 0.5625, "fp4"),
}
FEWEST_ROWS = 50
ENOUGH_HEADS = 16

LINEAR = """As above, for weights and activations in FP8 and FP4, quantising the inputs included: each of the four
linear layers takes 7 microseconds in FP8 and 10 in FP4 to start. Shares are those of the peak figures in this
precision. With vLLM 0.14 the kernels of the H100 were much slower, so derived profiles of versions before 0.19 have
longer launches and less arithmetic. Tables of FP8 in blocks of 128 x 128 weights are left out: with new versions they
hold 20 to 70 microseconds for each call, which a server does not spend, as it replays CUDA graphs."""

CACHE = """As above, for a KV cache in FP8 with queries in 16 bits. Requests cost up to twice as much as with 16 bits on
Hopper."""


def quantised_section(title: str) -> str:
    """Return the section on linear layers."""
    body = []
    for gpu, (name, _) in GPUS.items():
        peaks = yaml.safe_load((TABLES / f"{gpu}.yaml").read_text())["gpu"]
        for version, path in versions_of(gpu, "gemm"):
            for precision, (words, peak, width, kernel) in PRECISIONS.items():
                if peak in peaks and len(rows := _rows(pl.read_parquet(path), precision)) >= FEWEST_ROWS:
                    figures = float(peaks["mem_bw"]), float(peaks[peak]), width, LAUNCHES[kernel]
                    body.append([name, version, words, *_fit(rows, *figures)])
    header = ["GPU", "vLLM", "weights", "share of bandwidth", "share of arithmetic", "error"]
    header += [f"{low:,}-{high:,} tokens" for low, high in TOKEN_BANDS]
    return section(title, header, body, paragraph(LINEAR))


def _rows(table: pl.DataFrame, precision: str) -> Array:
    """Return rows of tokens, layers, weights and seconds, of every model."""
    chosen = table.filter((pl.col("gemm_dtype") == precision) & (pl.col("n") >= 1024) & (pl.col("k") >= 1024))
    chosen = chosen.filter(pl.col("m") <= TOKEN_BANDS[-1][1]).group_by("m", "n", "k").agg(pl.col("latency").median())
    seconds = {(m, n, k): 1e-3 * latency for m, n, k, latency in chosen.iter_rows()}
    grid, counts = sorted({n for _, n, _ in seconds}), sorted({m for m, _, _ in seconds})
    found = []
    for name in WIDTHS:
        shapes, layers = layers_of(name)
        weights = layers * sum(n * k for n, k in shapes)
        for m in counts:
            total = layers * sum(between(seconds, m, n, k, grid) for n, k in shapes)
            if np.isfinite(total):
                found.append((m, layers, weights, total))
    return np.array(found, dtype=float).reshape(-1, 4)


def _fit(rows: Array, bandwidth: float, flops: float, width: float, launch: float) -> list[str]:
    """Return the cells of a table: both shares, and the errors of all rows and by tokens."""
    tokens, layers, weights, seconds = rows.T

    def law(x: Array) -> Array:
        read, compute = width * weights / bandwidth / x[0], 2 * weights * tokens / flops / x[1]
        return np.sqrt(read**2 + compute**2) + 4 * launch * layers

    shares, errors = fitted(law, seconds, (0.8, 0.6))
    return [*(f"{share:.2f}" for share in shares), percent_off(errors), *in_bands(errors, tokens, TOKEN_BANDS)]


def fp8_cache_section(title: str) -> str:
    """Return the section on the attention of decodes."""
    body = []
    for gpu, (name, _) in GPUS.items():
        for version, path in versions_of(gpu, "generation_attention"):
            cells = [_decodes_of(pl.read_parquet(path), gpu, version, cache) for cache in ("bfloat16", "fp8")]
            if all(cells):
                body.append([name, version, *cells[0], *cells[1]])
    header = ["GPU", "vLLM", "16 bits: share of bandwidth", "error", "FP8: share of bandwidth", "error"]
    return section(title, header, body, paragraph(CACHE))


def _decodes_of(table: pl.DataFrame, gpu: str, version: str, cache: str) -> list[str]:
    chosen = table.filter((pl.col("kv_cache_dtype") == cache) & (pl.col("head_dim") == HEAD_DIM))
    if "window_size" in chosen.columns:
        chosen = chosen.filter(pl.col("window_size") == 0)
    chosen = chosen.filter((pl.col("num_heads") >= ENOUGH_HEADS) & (pl.col("num_key_value_heads") >= 4))
    keys: tuple[Any, ...] = ("batch_size", "context", "num_heads", "num_key_value_heads")
    rows = chosen.with_columns(context=pl.col("isl") + pl.col("step")).group_by(*keys).agg(pl.col("latency").median())
    if len(rows) < FEWEST_ROWS:
        return []
    batch, context, _, kv_heads, latency = rows.to_numpy().astype(float).T
    size = batch * context * kv_heads * 2 * HEAD_DIM * (2 if cache == "bfloat16" else 1)
    known = DecodeTable(gpu, version, sheet_of(gpu), size, batch, 1e-3 * latency)
    beyond = known.rows(known.beyond_cache)
    found, errors = fitted(beyond.by_law, beyond.seconds, (0.8, 10.0, 90.0))
    return [f"{found[0]:.2f}", percent_off(errors)]
