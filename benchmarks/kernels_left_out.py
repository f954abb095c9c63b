"""Errors of kernel shares on GPUs that have no part in them: by the rule, and from the other GPUs' shares alone."""

import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from adaptwin.profile.base_costs import PeakShares
from adaptwin.profile.hardware.gpu import GpuSheet, load_gpu
from adaptwin.profile.hardware.host_costs import ATTENTION_CALL, ATTENTION_REQUEST
from adaptwin.profile.hardware.kernel_shares import kernel_shares
from measured_page import paragraph, section
from step_law_tables import GPUS, DecodeTable, LinearTable, decode_tables, linear_tables, percent_off

SHEETS_OF_TABLES = {  # names of the data sheets, by those of the tables
    "a100_sxm": "a100-sxm-80gb",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200",
    "b200_sxm": "b200",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000",
}

KERNELS = """The tables of kernels of [the step law](step-law.md) against the law with three kinds of shares of the peak
figures: the GPU's own, as its data sheet holds them; those of the rule for GPUs without tables (memory and power); and,
so that the GPU has no part in them at all, the medians of the five others. The rule was made in view of all six. Errors
are means over the versions of vLLM, in per cent. Attention of decodes is for caches beyond twice the L2 cache, with 11
microseconds for each call and 80 ns for each request on every GPU."""


class ThreeShares(NamedTuple):
    """PeakShares of a GPU's peak figures: measured on it, by rule, and the medians of other GPUs."""

    own: PeakShares
    rule: PeakShares
    others: PeakShares


def three_shares(gpu: GpuSheet, all_gpus: Iterable[GpuSheet]) -> ThreeShares:
    """Return the shares of a GPU with tables of kernels."""
    rule = kernel_shares(gpu.model_copy(update={"kernels": None}))
    others = [kernel_shares(each) for each in all_gpus if each.name != gpu.name]
    medians = PeakShares(*(statistics.median(values) for values in zip(*others, strict=True)))
    return ThreeShares(kernel_shares(gpu), rule, medians)


def kernels_section() -> str:
    """Return the section; reads all tables."""
    sheets = {table: load_gpu(name) for table, name in SHEETS_OF_TABLES.items()}
    linear, decodes = list(linear_tables()), list(decode_tables())
    body = []
    for gpu, (name, _) in GPUS.items():
        shares = three_shares(sheets[gpu], sheets.values())
        layers = [table for table in linear if table.gpu == gpu]
        caches = [table.rows(table.beyond_cache) for table in decodes if table.gpu == gpu]
        body.append(
            [
                name,
                *(f"{each.weights:.2f} / {each.linear:.2f}" for each in shares),
                *(_mean_error(layers, each, _linear_law) for each in shares),
                *(f"{each.cache:.2f}" for each in shares),
                *(_mean_error(caches, each, _decode_law) for each in shares),
            ]
        )
    kinds = ("own", "rule", "others")
    header = ["GPU", *(f"bandwidth / arithmetic, {kind}" for kind in kinds)]
    header += [f"linear layers, {kind}" for kind in kinds]
    header += [f"KV cache, {kind}" for kind in kinds]
    header += [f"decodes, {kind}" for kind in kinds]
    means = ["mean", *[""] * 3, *_means(body, range(4, 7)), *[""] * 3, *_means(body, range(10, 13))]
    return section("Kernels of GPUs left out", header, [*body, means], paragraph(KERNELS))


Table = LinearTable | DecodeTable


def _linear_law(table: LinearTable, shares: PeakShares) -> np.ndarray:
    return table.by_law((shares.weights, shares.linear))


def _decode_law(table: DecodeTable, shares: PeakShares) -> np.ndarray:
    return table.by_law((shares.cache, 1e6 * ATTENTION_CALL, 1e9 * ATTENTION_REQUEST))


def _mean_error(tables: list[Table], shares: PeakShares, law: Callable[[Table, PeakShares], np.ndarray]) -> str:
    """Return the mean over tables of the mean absolute error in per cent."""
    errors = [float(percent_off(law(table, shares) / table.seconds - 1)) for table in tables]
    return f"{statistics.mean(errors):.1f}"


def _means(body: list[list[str]], columns: Iterable[int]) -> list[str]:
    return [f"{statistics.mean(float(row[column]) for row in body):.1f}" for column in columns]
