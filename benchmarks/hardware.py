"""Profiles derived from data sheets against every public run on one GPU with a dense model in 16 bits.

Writes docs/measured/hardware.md and prints it. Nothing of the profiles is fitted to these runs.
"""

import argparse
from collections.abc import Callable, Iterable

import polars as pl

from adaptwin import Profile, simulate
from measured_page import PAGES, generated_by, paragraph, section
from public_runs import PublicRun, public_runs
from stand_in_profiles import profile_of

PAGE = PAGES / "hardware.md"
FIGURES = {"tpot": "TPOT", "itl": "mean ITL", "ttft": "median TTFT", "throughput": "throughput"}

ProfileOf = Callable[[str, str, str], Profile]  # of a GPU, a model and a version of vLLM

WHAT = """This page shows how far simulated figures are from real servers when the profile is derived from the data
sheet of the GPU and the shapes of the model: no constant was measured on these servers."""

HOW = """The runs are those of IOG-Foundation/llm-inference-benchmarks (Apache-2.0; H100 PCIe, vLLM 0.8.5, 200 ShareGPT
prompts at 1 to 32 requests/s, "open loop") and of LLMServingSim (MIT; RTX PRO 6000, vLLM 0.19, 300 requests, "replay").
All of them serve the base model, without LoRA, in 16 bits on one GPU. Errors are in per cent: the mean absolute error,
in brackets the bias (the mean signed error, positive where the twin is too high), and the largest error."""

LENGTHS = """The open-loop runs publish the sums of their prompt and answer lengths only, so ShareGPT's lengths are
scaled to them. The throughput of 200 requests depends on when the longest answer ends, which is not known: read it as
a check of the order of magnitude. Below 32 requests/s the prompts of models up to 14B lay in the prefix cache. The
replay's times exclude the API server, and its server was overloaded: TTFT there adds up the errors of all steps."""

HEAD = f"# Profiles from data sheets\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}\n\n{paragraph(LENGTHS)}"
END = generated_by(
    "hardware", after="a change to the twin or to derived profiles", note="The runs must lie beside the project."
)


def main() -> None:
    """Simulate all runs, print the tables and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/hardware.md")
    arguments = parser.parse_args()
    runs = public_runs()
    if not runs:
        raise SystemExit("there are no public runs beside the project")
    errors = signed_errors(runs, profile_of)
    sections = [
        _table("Errors by data set and GPU", errors, "source", "gpu", "version"),
        _table("Errors by model", errors, "gpu", "model"),
        _table("Errors by request rate", errors.filter(pl.col("source") == "open loop"), "gpu", "rate"),
    ]
    page = "\n\n".join([HEAD, *sections, END]) + "\n"
    print(page)
    if not arguments.no_page:
        PAGE.write_text(page, encoding="utf-8")


def signed_errors(runs: Iterable[PublicRun], profile_of: ProfileOf) -> pl.DataFrame:
    """Return the relative errors of the twin, positive where it is too high: one row per run, columns of `FIGURES`."""
    return pl.DataFrame([_errors_of_run(run, profile_of(run.gpu, run.model, run.vllm_version)) for run in runs])


def _errors_of_run(run: PublicRun, profile: Profile) -> dict[str, object]:
    twin = simulate(with_cached_prompts(profile, run.cached_tokens), run.server, run.workload, window="drain")
    pairs = {
        "tpot": (twin.tpot.mean, run.tpot_mean),
        "itl": (twin.itl.mean, run.itl_mean),
        "ttft": (twin.ttft.p50, run.ttft_p50),
        "throughput": (run.answer_tokens / max(twin.simulated, run.workload.duration), run.throughput),
    }
    keys = {"source": run.source, "gpu": run.gpu, "model": run.model, "version": run.vllm_version, "rate": run.rate}
    return keys | {name: None if real is None else twin / real - 1 for name, (twin, real) in pairs.items()}


def with_cached_prompts(profile: Profile, tokens: float) -> Profile:
    """Return the profile with so many further tokens of KV cache to read for each request of a step.

    The twin has no prefix cache: prompts that are in it are left out of the workload, but decodes still read them.
    """
    cost = profile.step_cost
    more = cost.per_sequence + tokens * cost.per_context_token
    return profile.model_copy(update={"step_cost": cost.model_copy(update={"per_sequence": more})})


def _table(title: str, errors: pl.DataFrame, *keys: str) -> str:
    body = []
    for values, part in errors.group_by(*keys, maintain_order=True):
        cells = [cell for figure in FIGURES for cell in (_mean_and_bias(part[figure]), _largest(part[figure]))]
        body.append([*(_in_words(value) for value in values), str(len(part)), *cells])
    header = [*keys, "runs", *(cell for name in FIGURES.values() for cell in (name, "largest"))]
    return section(title, header, body)


def _in_words(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).rpartition("/")[2]


def _mean_and_bias(errors: pl.Series) -> str:
    known = 100 * errors.drop_nulls()
    return f"{known.abs().mean():.1f} ({known.mean():+.1f})" if len(known) else "-"


def _largest(errors: pl.Series) -> str:
    known = 100 * errors.drop_nulls()
    return f"{known[known.abs().arg_max()]:+.0f}" if len(known) else "-"


if __name__ == "__main__":
    main()
