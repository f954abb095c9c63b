"""Tables of all-reduces between GPUs, against a constant and the bytes over a bandwidth."""

import polars as pl

from adaptwin.arrays import Array
from adaptwin.profile.hardware.communication import exchange
from adaptwin.profile.hardware.gpu import load_gpu
from kernels_left_out import SHEETS_OF_TABLES
from measured_page import paragraph, section
from step_law_tables import GPUS, TABLES, fitted, percent_off

SMALLEST, LARGEST = 1 << 13, 1 << 27  # bytes of a message

NOTE = """vLLM's own all-reduce in CUDA graphs, or NCCL's where the message is too large for it, in groups of 2, 4 and 8
GPUs, for messages of 8 KiB to 128 MiB: a token of an 8B has 8 KiB, one of a 70B 16 KiB. A constant and a bandwidth are
fitted to each table; the rule is that of derived profiles for GPUs without a table, by the kind of link. The largest
errors are where vLLM changes from one kernel to another, at 256 KiB to 4 MiB. Of four and eight GPUs on PCIe, the rule
lies between two servers that differ by a factor of four to ten."""


def all_reduce_section(title: str) -> str:
    """Return the section."""
    body = []
    for gpu, (name, _) in GPUS.items():
        sheet = load_gpu(SHEETS_OF_TABLES[gpu])
        path = sorted((TABLES / "data" / gpu / "comm" / "vllm").glob("*/custom_allreduce_perf.parquet"))[-1]
        table = pl.read_parquet(path).filter(pl.col("backend") == "vllm_graph")
        for size in (2, 4, 8):
            rows = table.filter((pl.col("num_gpus") == size) & pl.col("message_size").is_between(SMALLEST, LARGEST))
            if len(rows) == 0:
                continue
            message, seconds = rows["message_size"].to_numpy().astype(float), 1e-3 * rows["latency"].to_numpy()

            def law(x: Array) -> Array:
                return 1e-6 * x[0] + message / (1e9 * x[1])  # noqa: B023

            found, errors = fitted(law, seconds, (5.0, 100.0))
            rule = exchange(sheet.model_copy(update={"all_reduce": ()}), size)
            by_rule = law([1e6 * rule.seconds, rule.bandwidth / 1e9]) / seconds - 1
            body.append(
                [
                    name,
                    path.parent.name,
                    str(size),
                    f"{found[0]:.1f}",
                    f"{found[1]:.3g}",
                    percent_off(errors),
                    f"{1e6 * rule.seconds:.1f}",
                    f"{rule.bandwidth / 1e9:.3g}",
                    percent_off(by_rule),
                ]
            )
    header = ["GPU", "vLLM", "GPUs", "fitted: µs", "GB/s", "error", "rule: µs", "GB/s", "error"]
    return section(title, header, body, paragraph(NOTE))
