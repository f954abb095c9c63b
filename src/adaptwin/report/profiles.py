"""A table of profiles for the terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType

from adaptwin.profile.profile import Profile, ProfileError
from adaptwin.report.style.tables import add_numbers, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import NOTHING
from adaptwin.twin.vllm_defaults import vllm_defaults


def profiles_table(profiles: Iterable[Profile]) -> RenderableType:
    """Return a table of profiles: hardware, model, KV cache without adapters, and the measured error of the twin."""
    table = plain_table()
    table.add_column("Profile\nhardware, model", overflow="fold")
    table.add_column("vLLM")
    add_numbers(table, "KV cache\ntokens", "Throughput\nerror", "ITL\nerror", "Real\nruns")
    for profile in profiles:
        name = Text.assemble((profile.name, "bold"), (f"\n{profile.hardware}, {profile.model.name}", "dim"))
        usual = vllm_defaults(profile.hardware, profile.gpu_gib, profile.vllm_version)
        tokens = profile.memory.kv_cache_tokens(
            max_loras=0,
            max_lora_rank=8,
            max_num_seqs=usual.max_num_seqs,
            max_num_batched_tokens=usual.max_num_batched_tokens,
            gpu_memory_utilization=usual.gpu_memory_utilization,
        )
        kv_cache = f"{'about ' if profile.memory.estimated else ''}{tokens:,}"
        table.add_row(name, Text(profile.vllm_version), kv_cache, *_error_cells(profile.error))
    note = "KV cache without adapters, at the default settings of vLLM. Errors: mean absolute percentage errors."
    return Group(table, Text(note, style="dim"))


def _error_cells(error: ProfileError | None) -> list[str]:
    if error is None:
        return [NOTHING, NOTHING, "none"]
    itl = NOTHING if error.itl is None else f"{error.itl:.1f} %"
    return [f"{error.throughput:.1f} %", itl, str(error.runs)]
