"""The form of the step law against tables of kernels that other people measured on other GPUs.

Writes docs/measured/step-law.md and prints it. The tables lie beside the project, in ../shared/data/public; a section
whose tables are missing says so.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from all_reduce_tables import all_reduce_section
from measured_page import PAGES, generated_by, paragraph
from quantised_tables import fp8_cache_section, quantised_section
from step_law_tables import (
    PUBLIC,
    TABLES,
    chunks_section,
    decodes_section,
    linear_layers_section,
    prompts_section,
    shipped_section,
)

PAGE = PAGES / "step-law.md"

WHAT = """This page shows how well the form of the [step cost](../explanation/calibration.md) describes kernels on other
GPUs than the measured one: linear layers, the attention of prompts and of decodes."""

HOW = """The tables are those of aiconfigurator (ai-dynamo, Apache-2.0), of LLMServingSim (MIT) and of Frontier (MIT),
measured with vLLM 0.14 to 0.24, or with FlashInfer of 2024. Two shares of the peak figures of each data sheet are
fitted to each table. Errors are mean absolute errors of the seconds, in per cent."""

HEAD = f"# The form of the step law\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by(
    "step-law", after="a change to the form of the step cost", note="The tables must lie beside the project."
)


def main() -> None:
    """Fit and print all sections, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/step-law.md")
    arguments = parser.parse_args()
    sections = [
        _of_tables("Linear layers", TABLES, linear_layers_section),
        _of_tables("Linear layers in FP8 and FP4", TABLES, quantised_section),
        _of_tables("Attention of prompts", TABLES, prompts_section),
        _of_tables("Chunks behind a context", PUBLIC / "a800-layers" / "a800_llama2-7b_attention.csv", chunks_section),
        _of_tables("Attention of decodes", TABLES, decodes_section),
        _of_tables("Decodes that read a KV cache in FP8", TABLES, fp8_cache_section),
        _of_tables("All-reduces in a group of GPUs", TABLES, all_reduce_section),
        shipped_section(),
    ]
    page = "\n\n".join([HEAD, *sections, END]) + "\n"
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page, encoding="utf-8")


def _of_tables(title: str, path: Path, make: Callable[[str], str]) -> str:
    return make(title) if path.exists() else f"## {title}\n\nLeft out: {path} does not exist."


if __name__ == "__main__":
    main()
