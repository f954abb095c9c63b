"""Tables of kernels that other people measured on other GPUs, against the form of the step law.

The tables lie beside the project, in ../shared/data/public. Shares of the peak figures are fitted to each table, the
form is the same for all.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import yaml
from scipy.optimize import least_squares

from adaptwin import Server, load_profile
from adaptwin.arrays import Array
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.step_cost import pairs_of_chunk, step_seconds
from adaptwin.twin.step_coefficients import step_coefficients
from h100_runs import MODELS, PROJECT
from measured_page import paragraph, section

PUBLIC = PROJECT.parent / "shared" / "data" / "public"
TABLES = PUBLIC / "op-tables"
GPUS = {  # name of the tables: name of the GPU, and bytes of its L2 cache
    "a100_sxm": ("A100 SXM", 40e6),
    "h100_sxm": ("H100 SXM", 50e6),
    "h200_sxm": ("H200 SXM", 50e6),
    "b200_sxm": ("B200 SXM", 126e6),
    "l40s": ("L40S", 96e6),
    "rtx_pro_6000_server": ("RTX PRO 6000", 128e6),
}
UNUSABLE = {("h200_sxm", "0.19.0")}  # the attention of prompts is 40 times as fast as the GPU's peak
WIDTHS = {  # hidden, query, key, intermediate, layers
    "Llama-3.2-1B": (2048, 2048, 512, 8192, 16),
    "Llama-3.1-8B": (4096, 4096, 1024, 14336, 32),
    "Qwen2.5-7B": (3584, 3584, 512, 18944, 28),
    "Qwen3-14B": (5120, 5120, 1024, 17408, 40),
    "Qwen3-32B": (5120, 8192, 1024, 25600, 64),
    "Llama-3.1-70B": (8192, 8192, 1024, 28672, 80),
}
LAUNCH = 4e-6  # seconds to start a linear layer and to reach its full speed
EXPONENTS = (1.5, 2.0, 3.0, 4.0)
TOKEN_BANDS = ((1, 64), (65, 256), (257, 1024), (1025, 16_384))
PROMPT_BANDS = ((16, 512), (1024, 2048), (3072, 6144), (8192, 16_384))
PROMPTS = (1_000, 8_000, 32_000, 64_000, 120_000)
CHUNK = 8192
HEAD_DIM = 128


class Sheet(NamedTuple):
    """Peak figures of a GPU: bytes/s and FLOP/s in bfloat16."""

    bandwidth: float
    flops: float


def sheet_of(gpu: str) -> Sheet:
    """Return the peak figures of a GPU by the name of its tables."""
    figures = yaml.safe_load((TABLES / f"{gpu}.yaml").read_text())["gpu"]
    return Sheet(float(figures["mem_bw"]), float(figures["bfloat16_tc_flops"]))


def versions_of(gpu: str, table: str) -> Iterator[tuple[str, Path]]:
    """Yield the versions of vLLM with which a table of a GPU was measured, and the file."""
    for path in sorted((TABLES / "data" / gpu).glob(f"*/vllm/*/{table}_perf.parquet")):
        yield path.parent.name, path


def fitted(model: Callable[[Array], Array], measured: Array, start: Sequence[float]) -> tuple[Array, Array]:
    """Fit positive parameters of a model to measured seconds, robustly and in relative terms; return errors as well."""
    found = least_squares(lambda x: np.log(model(np.exp(x)) / measured), np.log(start), loss="soft_l1", f_scale=0.05)
    return np.exp(found.x), model(np.exp(found.x)) / measured - 1.0


def percent_off(errors: Array) -> str:
    """Return the mean absolute error in per cent."""
    return f"{100 * np.abs(errors).mean():.1f}" if len(errors) else "-"


def in_bands(errors: Array, of: Array, bands: Sequence[tuple[int, int]]) -> list[str]:
    """Return the mean errors of rows whose value of a column is within each of the bands."""
    return [percent_off(errors[(of >= low) & (of <= high)]) for low, high in bands]


def layers_of(name: str) -> tuple[list[tuple[int, int]], int]:
    """Return outputs and inputs of the merged linear layers of a model, and its number of layers."""
    hidden, query, key, intermediate, layers = WIDTHS[name]
    return [
        (query + 2 * key, hidden),
        (hidden, query),
        (2 * intermediate, hidden),
        (hidden, intermediate),
    ], layers


def between(table: dict[tuple[int, int, int], float], m: int, n: int, k: int, grid: Sequence[int]) -> float:
    """Interpolate the seconds of a matrix product between the sizes of the table; NaN outside."""
    total = 0.0
    for wide, share_n in _neighbours(n, grid):
        for deep, share_k in _neighbours(k, grid):
            total += share_n * share_k * table.get((m, wide, deep), np.nan)
    return total


def _neighbours(size: int, grid: Sequence[int]) -> list[tuple[int, float]]:
    if size in grid:
        return [(size, 1.0)]
    above = int(np.searchsorted(grid, size))
    if above == 0 or above == len(grid):
        return [(size, 1.0)]
    low, high = grid[above - 1], grid[above]
    share = (size - low) / (high - low)
    return [(low, 1.0 - share), (high, share)]


def _linear_rows(path: Path) -> Array:
    """Return rows of tokens, layers, bytes of weights, products per token and seconds, of every model."""
    rows = (
        pl.read_parquet(path)
        .filter((pl.col("gemm_dtype") == "bfloat16") & (pl.col("n") >= 1024) & (pl.col("k") >= 1024))
        .filter(pl.col("m") <= TOKEN_BANDS[-1][1])
        .group_by("m", "n", "k")
        .agg(pl.col("latency").median())
    )
    table = {(m, n, k): 1e-3 * latency for m, n, k, latency in rows.iter_rows()}
    grid, counts = sorted({n for _, n, _ in table}), sorted({m for m, _, _ in table})
    found = []
    for name in WIDTHS:
        shapes, layers = layers_of(name)
        weights = sum(n * k for n, k in shapes)
        for m in counts:
            seconds = sum(between(table, m, n, k, grid) for n, k in shapes)
            if np.isfinite(seconds):
                found.append((m, layers, 2.0 * weights * layers, weights * layers, seconds * layers))
    return np.array(found, dtype=float)


class LinearTable(NamedTuple):
    """Measured seconds of the linear layers of models on a GPU, and what they do."""

    gpu: str
    version: str
    sheet: Sheet
    tokens: Array
    layers: Array
    size: Array  # bytes of the weights
    products: Array  # for each token
    seconds: Array

    def by_law(self, shares: Sequence[float] | Array, exponent: float = 2.0) -> Array:
        """Return the seconds of the law for the shares of the bandwidth and of the arithmetic."""
        read = self.size / self.sheet.bandwidth / shares[0]
        compute = 2 * self.products * self.tokens / self.sheet.flops / shares[1]
        return (read**exponent + compute**exponent) ** (1 / exponent) + 4 * LAUNCH * self.layers


def linear_tables() -> Iterator[LinearTable]:
    """Yield the tables of linear layers of all GPUs and versions of vLLM."""
    for gpu in GPUS:
        for version, path in versions_of(gpu, "gemm"):
            yield LinearTable(gpu, version, sheet_of(gpu), *_linear_rows(path).T)


def linear_layers_section(title: str) -> str:
    """Return the section on linear layers in 16 bits."""
    body, by_exponent = [], {exponent: [] for exponent in EXPONENTS}
    for table in linear_tables():
        for exponent, errors in by_exponent.items():
            _, found = fitted(lambda x, e=exponent, table=table: table.by_law(x, e), table.seconds, (0.8, 0.7))
            errors.append(np.abs(found).mean())
        shares, errors = fitted(table.by_law, table.seconds, (0.8, 0.7))
        cells = [f"{share:.2f}" for share in shares]
        bands = in_bands(errors, table.tokens, TOKEN_BANDS)
        body.append([GPUS[table.gpu][0], table.version, *cells, percent_off(errors), *bands])
    means = ", ".join(f"{100 * np.mean(errors):.1f} % with exponent {e:g}" for e, errors in by_exponent.items())
    note = f"""Weights that are read, `a`, and arithmetic, `b`, make ``sqrt(a^2 + b^2)``, and each of the four linear
    layers takes {1e6 * LAUNCH:g} microseconds to start. The table holds the sums over the layers of six models of 1B to
    70B in bfloat16, for 1 to 16,384 tokens. With other exponents than 2, ``(a^p + b^p)^(1/p)``, the mean error over all
    tables is {means}. The exponent 2 is as good as any, and its square root is the same to the last bit in every
    implementation."""
    header = ["GPU", "vLLM", "share of bandwidth", "share of arithmetic", "error"]
    header += [f"{low:,}-{high:,} tokens" for low, high in TOKEN_BANDS]
    return section(title, header, body, paragraph(note))


def _attention(path: Path) -> pl.DataFrame:
    """Return the rows of an attention table in bfloat16, without sliding windows."""
    table = pl.read_parquet(path)
    for column in ("kv_cache_dtype", "attn_dtype"):
        if column in table.columns:
            table = table.filter(pl.col(column).is_in(["bfloat16", "float16", "auto"]))
    if "window_size" in table.columns:
        table = table.filter(pl.col("window_size") == 0)
    return table.filter((pl.col("head_dim") == HEAD_DIM) & (pl.col("num_heads") >= 16))


def prompts_section(title: str) -> str:
    """Return the section on the attention of prompts."""
    body = []
    for gpu, (name, _) in GPUS.items():
        sheet = sheet_of(gpu)
        for version, path in versions_of(gpu, "context_attention"):
            if (gpu, version) in UNUSABLE:
                continue
            table = _attention(path).group_by("batch_size", "isl", "num_heads", "num_key_value_heads")
            rows = table.agg(pl.col("latency").median()).sort("batch_size", "isl", "num_heads", "num_key_value_heads")
            if len(rows) < 100:
                continue
            batch, prompt, heads, kv_heads, latency = rows.to_numpy().astype(float).T
            pairs = batch * prompt * (prompt + 1) / 2
            values = 2 * HEAD_DIM * batch * prompt * (2 * heads + 2 * kv_heads)

            def model(x: Array) -> Array:
                arithmetic = 4 * HEAD_DIM * heads * pairs / (sheet.flops * x[0])  # noqa: B023
                return arithmetic + values / (sheet.bandwidth * x[1]) + 1e-6 * x[2]  # noqa: B023

            (share, _, _), errors = fitted(model, 1e-3 * latency, (0.6, 0.5, 10.0))
            seconds = [_whole_prompt(length, sheet, share) for length in PROMPTS]
            body.append(
                [
                    name,
                    version,
                    f"{share:.2f}",
                    *in_bands(errors, prompt, PROMPT_BANDS),
                    *(f"{linear:.2f} + {attention:.2f}" for linear, attention in seconds),
                ]
            )
    note = f"""Attention takes as long as 4 x heads x {HEAD_DIM} operations for each pair of tokens, besides the bytes
    of its activations and a constant of about ten microseconds a call. The last columns are seconds of one prompt of
    Llama-3.1-8B in chunks of {CHUNK:,} tokens: the linear layers (at 0.75 of the arithmetic) and attention. The tables
    end at 16,384 tokens; longer prompts are extrapolated."""
    header = ["GPU", "vLLM", "share of arithmetic", *(f"error, {low:,}-{high:,}" for low, high in PROMPT_BANDS)]
    return section(title, [*header, *(f"prompt of {length:,}" for length in PROMPTS)], body, paragraph(note))


def _whole_prompt(tokens: int, sheet: Sheet, share: float) -> tuple[float, float]:
    """Return the seconds of linear layers and of attention for one prompt of Llama-3.1-8B."""
    _, query, _, _, _ = WIDTHS["Llama-3.1-8B"]
    shapes, layers = layers_of("Llama-3.1-8B")
    products = layers * sum(n * k for n, k in shapes)
    attention = 4 * query * layers * pairs_of_chunk(tokens, 0)
    return 2 * products * tokens / (0.75 * sheet.flops), attention / (share * sheet.flops)


def chunks_section(title: str) -> str:
    """Compare laws for the attention of a chunk of a prompt behind cached tokens."""
    table = pl.read_csv(PUBLIC / "a800-layers" / "a800_llama2-7b_attention.csv", infer_schema_length=20_000)
    seconds = "time_stats.attn_prefill.median"
    rows = table.filter(
        (pl.col("num_tensor_parallel_workers") == 1)
        & pl.col("is_prefill")
        & (pl.col(seconds) > 0)
        & (pl.col("prefill_chunk_size") > 0)
    )
    tokens, cached, batch, latency = (
        rows[name].to_numpy().astype(float) for name in ("prefill_chunk_size", "kv_cache_size", "batch_size", seconds)
    )
    forms = {
        "pairs: q (c + (q + 1) / 2)": batch * tokens * (cached + (tokens + 1) / 2),
        "q (c + q)": batch * tokens * (cached + tokens),
        "without the context: q (q + 1) / 2": batch * tokens * (tokens + 1) / 2,
        "linear in the tokens": batch * tokens,
    }
    bands = ((1, 255), (256, 1023), (1024, 100_000))
    body = []
    for name, work in forms.items():
        most = float(np.median(latency / work)) * 1e-3

        def model(x: Array) -> Array:
            return most * x[0] * work + 1e-6 * x[1]  # noqa: B023

        _, errors = fitted(model, 1e-3 * latency, (1.0, 10.0))
        body.append([name, percent_off(errors), *in_bands(errors, tokens, bands)])
    note = f"""A chunk of q tokens of a prompt, of which c tokens are cached: {len(rows)} rows of Llama-2-7B on an A800.
    The columns on the right are for chunks of these sizes. Chunks of few tokens behind a long context have too few
    thread blocks to fill the GPU, which the step cost leaves out; vLLM's chunks have 2,048 tokens and more."""
    header = ["form", "error", "up to 255 tokens", "256-1,023", "1,024 and more"]
    return section(title, header, body, paragraph(note))


class DecodeTable(NamedTuple):
    """Measured seconds of one layer's attention of decodes on a GPU, and what it reads."""

    gpu: str
    version: str
    sheet: Sheet
    size: Array  # bytes of the KV cache
    batch: Array  # requests
    seconds: Array

    @property
    def beyond_cache(self) -> Array:
        """Whether the KV cache of a row is more than twice the GPU's L2 cache."""
        return self.size > 2 * GPUS[self.gpu][1]

    def rows(self, chosen: Array) -> "DecodeTable":
        """Return the table with some of its rows."""
        return self._replace(size=self.size[chosen], batch=self.batch[chosen], seconds=self.seconds[chosen])

    def by_law(self, x: Sequence[float] | Array) -> Array:
        """Return the seconds for a share of the bandwidth, microseconds of a call, and nanoseconds of a request."""
        return self.size / (self.sheet.bandwidth * x[0]) + 1e-6 * x[1] + 1e-9 * x[2] * self.batch


def decode_tables() -> Iterator[DecodeTable]:
    """Yield the tables of the attention of decodes of all GPUs and versions of vLLM."""
    for gpu in GPUS:
        for version, path in versions_of(gpu, "generation_attention"):
            table = _attention(path).filter(pl.col("num_key_value_heads") >= 4)
            table = table.with_columns(context=pl.col("isl") + pl.col("step"))
            keys = ("batch_size", "context", "num_heads", "num_key_value_heads")
            rows = table.group_by(*keys).agg(pl.col("latency").median()).sort(*keys)
            if len(rows) < 100:
                continue
            batch, context, _, kv_heads, latency = rows.to_numpy().astype(float).T
            yield DecodeTable(
                gpu, version, sheet_of(gpu), batch * context * kv_heads * 2 * HEAD_DIM * 2, batch, 1e-3 * latency
            )


def decodes_section(title: str) -> str:
    """Return the section on the attention of decodes."""
    body = []
    for table in decode_tables():
        beyond, within = table.rows(table.beyond_cache), table.rows(~table.beyond_cache)
        found, errors = fitted(beyond.by_law, beyond.seconds, (0.8, 10.0, 90.0))
        cells = [f"{found[0]:.2f}", percent_off(errors), percent_off(within.by_law(found) / within.seconds - 1)]
        body.append([GPUS[table.gpu][0], table.version, *cells])
    note = """Decodes read their KV cache at a share of the bandwidth, besides a constant per call and one per request.
    The share is fitted to rows whose cache is more than twice the GPU's L2 cache: a benchmark repeats one layer, whose
    cache may stay in L2, while a server reads all other layers in between. The last column is the error on the rows
    that were left out."""
    header = ["GPU", "vLLM", "share of bandwidth", "error beyond L2", "error within L2"]
    return section(title, header, body, paragraph(note))


def shipped_section() -> str:
    """Show what one prompt takes on the shipped profiles, and without the pairs of tokens."""
    body = []
    for name in MODELS.values():
        profile = load_profile(name)
        cost = step_coefficients(profile, Server(max_loras=0))
        for chunk in (2048, CHUNK):
            cells = []
            for length in PROMPTS:
                starts = range(0, length, chunk)
                sizes = [min(chunk, length - start) for start in starts]
                alone = sum(step_seconds(cost, tokens=size, sequences=1, adapters=0) for size in sizes)
                cells.append(f"{alone:.2f} + {cost.per_pair * pairs_of_chunk(length, 0):.2f}")
            body.append([_model(profile.model), f"{chunk:,}", *cells])
    note = """Seconds of one prompt on the shipped profiles without an adapter: all but attention, and attention. Before
    attention was quadratic, a prompt took a time linear in its length."""
    header = ["model", "tokens per step", *(f"prompt of {length:,}" for length in PROMPTS)]
    return section("A prompt on the shipped profiles", header, body, paragraph(note))


def _model(model: ModelShape) -> str:
    return model.name.split("/")[-1]
