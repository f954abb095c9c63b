"""Files that other people published, each fitted or refused: a table of what is taken from it, or why nothing is.

    python benchmarks/sample_files.py

They lie beside the project, in ../shared/schemas/samples. Few of them say which server they are of; what they leave
open is given here.
"""

from typing import Any

from adaptwin.calibration.file_fit.file_fit import fit_to_files
from adaptwin.errors import AdaptwinError
from adaptwin.twin.compilation import compile_twin
from h100_runs import PROJECT
from measured_page import paragraph, section

SAMPLES = PROJECT.parent / "shared" / "schemas" / "samples"
GIVEN: dict[str, dict[str, Any]] = {  # options, by the beginning of the name
    "vllm_bench_serve_2025-06": {"model": "meta-llama/Llama-3.1-8B", "vllm_version": "0.8.5"},
    "inference-perf_stage_0": {"gpu": "h100-sxm", "model": "meta-llama/Llama-3.1-8B"},
    "lora_effect": {"gpu": "rtx-4090", "vllm_version": "0.27.0"},
    "metrics_lora_server": {"gpu": "l4", "vllm_version": "0.29.0"},
    "startup_v0.31": {"gpu": "l40s"},
    "startup_v0.19": {"gpu": "a6000", "model": "Qwen/Qwen3-4B"},
    "startup_v0.29": {"gpu": "h100-sxm", "model": "Qwen/Qwen2.5-32B"},
}
NOTE = """Logs, benchmark results and metrics pages from public repositories, many of them joined from lines of several
servers. *Given* is what the file leaves open, assumed where nobody knows it."""


def sample_files_section() -> str:
    """Return the table, as Markdown."""
    paths = [path for folder in ("bench", "vllm") for path in sorted((SAMPLES / folder).glob("*"))]
    rows = [_row(path.name, path) for path in paths]
    return section("Files of other people", ["file", "given", "outcome"], rows, paragraph(NOTE))


def _row(name: str, path: Any) -> list[str]:
    given = next((options for beginning, options in GIVEN.items() if name.startswith(beginning)), {})
    try:
        fitted = fit_to_files([path], **given)
    except AdaptwinError as error:
        return [name, _in_words(given), f"refused: {str(error).removeprefix(f'{path}: ').removeprefix(f'{name}: ')}"]
    constants = ", ".join(constant.partition(".")[2] or constant for constant in fitted.corrected)
    return [name, _in_words(given), f"fitted: {constants}"]


def _in_words(given: dict[str, Any]) -> str:
    return ", ".join(map(str, given.values())) or "-"


def main() -> None:
    """Print the table."""
    compile_twin()
    print(sample_files_section())


if __name__ == "__main__":
    main()
