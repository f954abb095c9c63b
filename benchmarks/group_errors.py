"""Errors of derived profiles on groups of GPUs and in FP8, with nothing from the GPU that is compared."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from adaptwin.profile.hardware.gpu import load_gpu
from base_model_errors import compared, derived_of, largest, mean_and_bias, signed_errors
from closed_loop_runs import CLOSED_LOOP, closed_loop_runs, compared_closed_loop
from measured_page import paragraph, section
from public_runs import public_runs_of_groups

GROUPS = """Groups of GPUs that share every layer (tensor parallelism), and weights in FP8. Over NVLink, these are runs
with a given number of concurrent requests, from aiconfigurator's collection of InferenceMAX runs (Apache-2.0;
Llama-3.1-70B in FP8, version of vLLM not stated, 0.19 assumed; Qwen3-32B in 16 bits, vLLM 0.12). Runs whose requests do
not fit the KV cache all at once are left out. Over PCIe, they are the runs of two H100 PCIe and of two RTX PRO 6000.
In the first columns, nothing comes from the GPU that is compared: the shares of its peak figures and the all-reduces
are those of the rules for other GPUs. In the last ones, both are as shipped, measured where there are tables. The
host's constants are the shipped ones, chosen on the single H100 PCIe and RTX PRO 6000: no run on this page's groups,
and none in FP8, had a part in any constant."""

FIGURES = {"tpot_mean": "TPOT", "itl_mean": "mean ITL", "ttft_p50": "median TTFT"}


class GroupRuns(NamedTuple):
    """Runs on groups and in FP8, simulated with profiles that are derived in two ways."""

    left_out: pl.DataFrame  # nothing comes from the GPU that is compared
    shipped: pl.DataFrame

    @property
    def over_nvlink(self) -> list[pl.DataFrame]:
        """Rows of each GPU with NVLink, with nothing from that GPU."""
        parts = self.left_out.partition_by("gpu", maintain_order=True)
        return [part for part in parts if load_gpu(str(part["gpu"][0])).link == "nvlink"]


def group_runs() -> GroupRuns:
    """Simulate the runs that lie beside the project; takes half a minute."""
    return GroupRuns(*(_simulated(own_kernels=own) for own in (False, True)))


def _simulated(*, own_kernels: bool) -> pl.DataFrame:
    def profile_of(run):
        return derived_of(
            run.gpu,
            run.model,
            run.vllm_version,
            own_kernels=own_kernels,
            gpus=run.tensor_parallel_size,
            quantization=run.quantization,
        )

    others = public_runs_of_groups()
    rows = compared(others, profile_of).with_columns(
        tensor_parallel_size=pl.Series([run.tensor_parallel_size for run in others]),
        quantization=pl.Series([run.quantization for run in others], dtype=pl.String),
    )
    if not CLOSED_LOOP.exists():
        print(f"left out: {CLOSED_LOOP} does not exist")
        return rows
    closed = compared_closed_loop([(run, profile_of(run)) for run in closed_loop_runs()])
    return pl.concat([closed, rows], how="diagonal_relaxed")


def groups_section(runs: GroupRuns) -> str:
    """Return the section on groups of GPUs and FP8."""
    keys = ["gpu", "model", "quantization", "tensor_parallel_size"]
    shipped = dict(runs.shipped.group_by(keys))
    body = [
        [*_in_words(key), str(len(part)), *_cells(part), *_cells(shipped[key])[:2]]
        for key, part in runs.left_out.group_by(keys, maintain_order=True)
    ]
    body += [_over("all over NVLink", "nvlink", runs), _over("all over PCIe", "pcie", runs)]
    header = ["GPU", "model", "weights", "GPUs", "runs"]
    header += [cell for name in FIGURES.values() for cell in (name, "largest")]
    return section("Groups of GPUs and FP8", [*header, "TPOT, as shipped", "largest"], body, paragraph(GROUPS))


def _over(title: str, link: str, runs: GroupRuns) -> list[str]:
    left_out, shipped = (
        part.filter(pl.col("gpu").map_elements(lambda gpu: load_gpu(gpu).link, pl.String) == link) for part in runs
    )
    return [title, "", "", "", str(len(left_out)), *_cells(left_out), *_cells(shipped)[:2]]


def _in_words(key: Sequence[object]) -> list[str]:
    gpu, model, quantization, gpus = key
    weights = str(quantization).upper() if quantization else "16 bits"
    return [load_gpu(str(gpu)).hardware, str(model).rpartition("/")[2], weights, str(gpus)]


def _cells(rows: pl.DataFrame) -> list[str]:
    return [cell for figure in FIGURES for cell in _mean_and_largest(signed_errors(rows, figure))]


def _mean_and_largest(errors: pl.Series) -> tuple[str, str]:
    return mean_and_bias(errors), largest(errors)
