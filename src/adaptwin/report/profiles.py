"""Tables of profiles, GPUs and models for the terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType

from adaptwin.profile.evidence import EvidenceGrade
from adaptwin.profile.hardware.gpu import GpuSheet
from adaptwin.profile.hardware.model_sheet import ModelSheet
from adaptwin.profile.profile import Profile, ProfileError
from adaptwin.report.kv_cache import usual_kv_tokens
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import NOTHING, money


def profiles_table(profiles: Iterable[Profile]) -> RenderableType:
    """Return a table of profiles: hardware, model, KV cache without adapters, and the measured error of the twin."""
    table = plain_table()
    table.add_column("Profile\nhardware, model, grade", overflow="fold")
    table.add_column("vLLM")
    add_numbers(table, "KV cache\ntokens", "Throughput\nerror", "ITL\nerror", "Real\nruns")
    for profile in profiles:
        name = Text.assemble(
            (profile.name, "bold"), (f"\n{profile.server_hardware}, {profile.model.name}\n{profile.grade}", "dim")
        )
        tokens = usual_kv_tokens(profile)
        kv_cache = f"{'about ' if profile.memory.estimated else ''}{tokens:,}"
        table.add_row(name, Text(profile.vllm_version), kv_cache, *_error_cells(profile.error))
    note = "KV cache without adapters, at the default settings of vLLM. Errors: mean absolute percentage errors."
    return Group(table, Text(note, style="dim"))


def _error_cells(error: ProfileError | None) -> list[str]:
    if error is None:
        return [NOTHING, NOTHING, "none"]
    itl = NOTHING if error.itl is None else f"{error.itl:.1f} %"
    return [f"{error.throughput:.1f} %", itl, str(error.runs)]


def gpus_table(gpus: Iterable[tuple[GpuSheet, EvidenceGrade]]) -> RenderableType:
    """Return a table of data sheets, each with the grade of the profiles that are derived from it."""
    table = plain_table()
    table.add_column("GPU", no_wrap=True)
    add_numbers(table, "Memory\nGiB", "GB/s", "TFLOP/s\n16 bits", "Price\nper hour")
    table.add_column("Derived profiles")
    for gpu, grade in gpus:
        price = NOTHING if gpu.price_per_hour is None else money(gpu.price_per_hour)
        figures = (f"{gpu.memory_gib:.1f}", f"{gpu.memory_bandwidth / 1e9:,.0f}", f"{gpu.flops.bfloat16 / 1e12:,.0f}")
        table.add_row(Text(gpu.name, style="bold"), *figures, price, grade)
    note = "Prices are typical ones in US dollars: plans use those that you give. For adaptwin derive --gpu NAME."
    return Group(heading("GPUs"), table, Text(note, style="dim"))


def models_table(models: Iterable[ModelSheet]) -> RenderableType:
    """Return a table of models: weights, KV cache and context, and the grade where little or no accuracy is claimed."""
    table = plain_table()
    table.add_column("Model", overflow="fold")
    add_numbers(table, "Weights", "KV KiB\n/token", "Longest\ncontext")
    table.add_column("Derived\nprofiles")
    for model in models:
        figures = (f"{model.shape.weights / 1e9:.1f} B", f"{model.shape.kv_bytes_per_token / 1024.0:,.0f}")
        grade = model.at_best or ""
        table.add_row(Text(model.shape.name, style="bold"), *figures, f"{model.shape.max_model_len:,}", grade)
    note = "For adaptwin derive --model NAME, which also takes the path of a Hugging Face config.json."
    return Group(heading("Models"), table, Text(note, style="dim"))
