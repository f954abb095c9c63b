"""Profiles derived from data sheets against real servers that had no part in them.

Writes docs/measured/hardware.md and prints it, and src/adaptwin/profile/hardware/evidence/held_out.yaml, from which
derived profiles take their errors and spreads.
"""

import argparse

import polars as pl

from accuracy import SHORT
from adaptwin.profile.derive import MEASURED_GPU, derive_profile
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.twin.compilation import compile_twin
from base_model_errors import SHIPPED, BaseModel, HostConstants, base_model, largest, mean_and_bias, signed_errors
from carried_lora_errors import DERIVED, carried_lora, carried_lora_section
from constants_compared import constants_section
from expert_errors import expert_error
from group_errors import group_runs, groups_section
from h100_measurements import SHAPES as MEASURED_SHAPES
from h100_runs import require_data
from held_out_errors import FILE, coverage_section, held_out_of, machines
from idle_runs import idle_runs_section, other_machine_section
from kernels_left_out import kernels_section
from measured_page import PAGES, bullet, generated_by, paragraph, section
from memory_law import STARTS, row_of_grid, row_of_start
from one_fleet import fleet_section, group_size_section
from public_runs import OPEN_LOOP_GPU, REPLAY_GPU, public_runs
from surrogate_guard import guard

PAGE = PAGES / "hardware.md"
FIGURES = {"tpot_mean": "TPOT", "itl_mean": "mean ITL", "ttft_p50": "median TTFT", "throughput": "throughput"}

WHAT = """This page shows how far simulated figures are from real servers when the profile is derived from the data
sheet of the GPU and the shapes of the model (`adaptwin.profile.derive`): nothing was measured on these servers, or with
these models, that is in their profiles."""

HOW = """The runs of base models are those of IOG-Foundation/llm-inference-benchmarks (Apache-2.0; H100 PCIe, vLLM
0.8.5, 200 ShareGPT prompts at 1 to 32 requests/s, "open loop") and of LLMServingSim (MIT; RTX PRO 6000, vLLM 0.19, 300
requests, "replay"), in 16 bits on one GPU. Those with LoRA are the validation runs of the public H100 data set (vLLM
0.8.5, 64 GB; arXiv 2508.08343). Errors are in per cent: the mean absolute error, in brackets the bias (the mean signed
error, positive where the twin is too high), and the largest error. The [glossary](../reference/glossary.md) explains
the terms."""

LENGTHS = """The open-loop runs publish the sums of their prompt and answer lengths only, so ShareGPT's lengths are
scaled to them. Their throughput depends on when the longest of 200 answers ends, which is not known: read it as a check
of the order of magnitude. Below 32 requests/s the prompts of models up to 14B lay in the prefix cache. The replay's
times exclude the API server, and its server was overloaded: TTFT there adds up the errors of all steps."""

HEAD = f"# Profiles from data sheets\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}\n\n{paragraph(LENGTHS)}"
END = generated_by(
    "hardware",
    after="a change to the twin, to derived profiles or to the shipped ones",
    note="The runs and tables must lie beside the project. It also writes the errors that derived profiles carry.",
)


GUARDED = (  # GPU and model of derived profiles on which the surrogate is tried
    ("a100-sxm-80gb", "Llama-3.1-8B-Instruct"),
    ("l40s", "Qwen2.5-7B-Instruct"),
    ("h100-sxm", "Qwen3-14B"),
    ("h200", "Llama-3.1-8B-Instruct"),
    ("l4", "Qwen2.5-3B-Instruct"),
)


def main() -> None:
    """Simulate all runs, print the tables, and write the page and the errors of derived profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-page", action="store_true", help="write neither the page nor held_out.yaml")
    arguments = parser.parse_args()
    require_data()
    runs = public_runs()
    if {run.gpu for run in runs} != {OPEN_LOOP_GPU, REPLAY_GPU}:
        raise SystemExit("there are not all public runs beside the project")
    compile_twin()
    base, lora = base_model(runs), carried_lora()
    unknown = lora.filter(pl.col("variant") == DERIVED)
    groups = group_runs()
    each = machines(base.open_loop_by_replay.rows, base.replay.rows, unknown, *groups.over_nvlink)
    held_out = held_out_of(each, unknown, runs, pl.concat(groups.over_nvlink))
    sections = [
        _by_gpu(base),
        _by("Base model on one GPU, by model", base.open_loop.rows, "model"),
        _by("Base model on one GPU, by request rate", base.open_loop.rows, "rate"),
        groups_section(groups),
        group_size_section(),
        idle_runs_section(runs),
        other_machine_section(),
        carried_lora_section(lora, SHORT),
        coverage_section(
            each,
            {name: load_gpu(name).hardware for name in held_out.gpus},
            machines(base.open_loop.rows, base.replay.rows, unknown, *groups.over_nvlink),
        ),
        kernels_section(),
        constants_section(SHORT),
        _memory_of_shapes(),
        fleet_section(),
        guard([derive_profile(gpu=gpu, model=model) for gpu, model in GUARDED]),
        _shortfalls(base, unknown),
    ]
    page = "\n\n".join([HEAD, *sections, END]) + "\n"
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page, encoding="utf-8")
        held_out.write(FILE)


def _by_gpu(base: BaseModel) -> str:
    open_loop, replay = pl.col("gpu") == OPEN_LOOP_GPU, pl.col("gpu") == REPLAY_GPU
    rows = [
        ("the other models", base.open_loop.rows, base.open_loop.chosen),
        ("the RTX PRO 6000", base.open_loop_by_replay.rows, base.open_loop_by_replay.chosen),
        ("all runs (as shipped)", base.shipped.filter(open_loop), (SHIPPED,)),
        ("the H100 PCIe", base.replay.rows, base.replay.chosen),
        ("all runs (as shipped)", base.shipped.filter(replay), (SHIPPED,)),
        ("the same, and kernels of this GPU", base.own_kernels, (SHIPPED,)),
    ]
    body = [
        [load_gpu(str(part["gpu"][0])).hardware, chosen_on, _in_ms(chosen), str(len(part)), *_cells(part)]
        for chosen_on, part, chosen in rows
    ]
    note = """Shares of the peak figures are those of the rule for GPUs without tables of kernels, but for the last
    row. Two constants are a machine's own, which no data sheet gives: the host's time of a step and the latency of the
    API server. They are chosen from a small grid on other runs, by the errors of TPOT, ITL and TTFT: on the H100 PCIe,
    those of a model on all models of another shape. **The row to quote is the first**, if the host is like the one of
    those runs, **and the second**, if nothing is known of the host. The form of the law, and that 0.85 of the bandwidth
    is taken for HBM, were decided in view of these runs. The measured kernels of the RTX PRO 6000 are faster than the
    rule, and its error is larger with them: it is the host's time that is too short there."""
    header = ["GPU", "host constants chosen on", "step / request, ms", "runs", *_figure_columns()]
    return section("Base model on one GPU", header, body, paragraph(note))


def _in_ms(chosen: tuple[HostConstants, ...]) -> str:
    bases, latencies = (sorted({1e3 * value for value in values}) for values in zip(*chosen, strict=True))
    return " / ".join(
        " to ".join(f"{value:g}" for value in (*values[:1], *values[1:][-1:])) for values in (bases, latencies)
    )


def _by(title: str, rows: pl.DataFrame, key: str) -> str:
    body = [
        [_in_words(value), str(len(part)), *_cells(part)] for (value,), part in rows.group_by(key, maintain_order=True)
    ]
    if key == "rate":
        body.sort(key=lambda row: float(row[0]))
    note = f"The H100 PCIe, with constants of the host chosen on the other models, by {_KEYS[key]}."
    return section(title, [_KEYS[key], "runs", *_figure_columns()], body, note)


_KEYS = {"model": "model", "rate": "requests/s"}


def _figure_columns() -> list[str]:
    return [cell for name in FIGURES.values() for cell in (name, "largest")]


def _cells(rows: pl.DataFrame) -> list[str]:
    return [cell for figure in FIGURES for cell in _mean_and_largest(signed_errors(rows, figure))]


def _mean_and_largest(errors: pl.Series) -> tuple[str, str]:
    return mean_and_bias(errors), largest(errors)


def _in_words(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).rpartition("/")[2]


def _memory_of_shapes() -> str:
    grid = [[SHORT[row[0]], "H100 64 GB", *row[1:4]] for row in map(row_of_grid, MEASURED_SHAPES)]
    logs = [
        [row[1], f"{row[2]} GiB, vLLM {row[0]}", "1", row[5].lstrip("+-"), row[5]] for row in map(row_of_start, STARTS)
    ]
    note = """KV tokens of the law of memory, which derived profiles use, against servers: the grid of slots and ranks
    that was measured on the H100 with 64 GB, and single logs. [Memory](memory.md) has the details, and what the logs do
    not say."""
    return section("KV tokens", ["model", "GPU", "servers", "mean error", "bias"], [*grid, *logs], paragraph(note))


def _shortfalls(base: BaseModel, lora: pl.DataFrame) -> str:
    rows = base.open_loop.rows
    small = rows.filter(pl.col("model").str.ends_with("1.5B"))
    gemma = rows.filter(pl.col("model").str.contains("gemma"))
    fast = rows.filter(pl.col("rate") == 32)
    hosts = f"""**The host.** Nothing on a data sheet tells how long a server's host takes for a step: the machines here
    took 1.5 to 3.5 ms. On the H100 with 64 GB, whose host is slow, mean ITL is {_bias_of(lora, "itl_mean")} % off, on
    the H100 PCIe with the host of the RTX PRO 6000 {_bias_of(base.open_loop_by_replay.rows, "itl_mean")} %. The less
    the GPU has to do, the more the host counts: small models on fast GPUs are the worst case (the 1.5B here:
    {_bias_of(small, "tpot_mean")} % in TPOT). On slow hosts, GPU and host work at the same time, so that a step takes
    the longer of both; the law adds them up. One idle run on the machine tells the host's time."""
    overload = f"""**Overload.** At 32 requests/s median TTFT is {_mean_of(fast, "ttft_p50")} % off, in bursts of six
    seconds. Where requests queue, a few per cent of step time decide between no queue and a long one."""
    gemmas = f"""**Gemma** ({_bias_of(gemma, "tpot_mean")} % in TPOT): attention with soft caps and windows, and four
    norms a layer, are not in the law. Such models are not claimed."""
    samplers = """**Samplers.** The default sampling parameters of a model, such as a repetition penalty, may cost more
    than its layers in a step of hundreds of requests. The derived profile has the plain sampler."""
    loras = """**LoRA on other GPUs** is not tested here: all servers with adapters had the same GPU. That thread blocks
    scale with multiprocessors and clock, and bytes with the bandwidth, is a law of the kernels, not a measurement."""
    pairs = """**Pairs on PCIe under load.** TTFT of a 70B on two H100 PCIe is off by a factor of two to eight where
    requests queue: the law of memory leaves 17,000 tokens of KV cache, and the published times speak for more. In
    groups of four and eight GPUs on PCIe, servers differ by a factor of four to ten in their all-reduces."""
    experts = f"""**Models with experts.** The only public run is of two servers that share the experts of
    Qwen3-30B-A3B. As far as it can be compared, the time per token is {expert_error()} % off. What is derived for such
    models is rough."""
    few = f"""**Few machines.** Two single GPUs with base models, one of them with a single run, two with groups, and
    one with LoRA ({load_gpu(MEASURED_GPU).hardware}). All are NVIDIA's. The
    intervals that two of these machines give hold far fewer than nine in ten runs of the third where its host is slower
    than theirs (see the coverage): a server whose host is slower than all of these may be outside of its intervals."""
    points = (hosts, overload, gemmas, samplers, loras, pairs, experts, few)
    return "\n".join(["## What falls short", "", *map(bullet, points)])


def _bias_of(rows: pl.DataFrame, figure: str) -> str:
    return f"{signed_errors(rows, figure).mean():+.0f}"


def _mean_of(rows: pl.DataFrame, figure: str) -> str:
    return f"{signed_errors(rows, figure).abs().mean():.0f}"


if __name__ == "__main__":
    main()
