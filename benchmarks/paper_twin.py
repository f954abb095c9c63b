"""Section on the error of the twin: the paper's and adaptwin's on the same real runs."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from accuracy import SHORT
from h100_runs import MODELS
from measured_page import bullet, paragraph, section
from paper_claims import TWIN_ERROR
from paper_measures import HALF_SMAPE, agreement, half_smape, mape, signed_errors
from paper_runs import SERVED

NOTE = f"""The paper says: throughput "below {TWIN_ERROR:g} %" off, with predictable and unpredictable arrivals. Its
tables use half-SMAPE ({HALF_SMAPE}); this table has it for both twins, and MAPE in brackets. All runs are hours of real
servers (vLLM 0.8.5, H100 with 64 GB) for which the authors publish the figures of their twin. adaptwin's profiles were
fitted to the calibration runs; the fit has not seen the validation runs. The constants of the paper's twin were fitted
to micro-benchmarks of the same machine, and none of these runs. But it was given more of each run than adaptwin: the
real arrivals one by one, and the longest queue of the real server as the limit of its own. adaptwin was given how many
requests were sent; both were given the size of the KV cache."""

WORDS = (
    """*Throughput, lengths corrected*: the paper's twin draws requests that are too long (see
    [the defects](#defects-of-the-published-algorithm)), which makes up most of its error. Its requests counted with the
    real mean length give this error.""",
    """*TTFT, finished*: mean over finished requests, of the runs for which the paper's twin tells it: those in which
    its limited queue hides no requests.""",
    """*TTFT, as the paper counts*: a request that has not finished counts as the whole hour, so that the figure is
    mostly the share of unfinished requests. adaptwin does not report it; it is computed here for comparison.""",
    """*Starvation*: share of the runs for which the twin is right about whether under 0.9 of the arrived requests
    finish, in per cent.""",
)

PICTURE = "![Signed errors of throughput and mean ITL of both twins by number of slots](images/paper.png)"
FIGURES = ("throughput", "itl", "ttft", "ttft_counted")
UNPREDICTABLE = """**Not repeated: unpredictable arrivals.** The paper also validates with arrivals whose rate and
distribution change every five minutes. No such real run can be read, so nothing can be compared. adaptwin simulates
such arrivals as [`regimes`](reference/files.md), and its error on real servers under them is unknown."""


def twin_sections(rows: pl.DataFrame) -> list[str]:
    """Return the tables of errors by model and split, by slots, and on runs without a figure of the paper's twin."""
    shared = rows.filter(pl.col("paper_throughput").is_not_null())
    return [_shared_errors(shared), _by_slots(shared), _further(rows)]


def _shared_errors(shared: pl.DataFrame) -> str:
    body = []
    for model in MODELS:
        for split in ("calibration", "validation"):
            part = shared.filter(model=model, split=split)
            body += [[SHORT[model], split, str(len(part)), *cells] for cells in _both_twins(part)]
    header = ["model", "runs of", "runs", "twin", "throughput", "throughput, lengths corrected", "mean ITL"]
    header += ["ITL, range", "TTFT, finished", "TTFT, as the paper counts", "starvation"]
    words = "\n".join(map(bullet, WORDS))
    note = f"{paragraph(NOTE)}\n\n{words}\n\n{paragraph(UNPREDICTABLE)}\n\n{PICTURE}"
    return section("Error of the twin", header, body, note)


def _both_twins(part: pl.DataFrame) -> Iterator[list[str]]:
    for twin, name in (("paper", "paper"), ("twin", "adaptwin")):
        told = part.filter(pl.col("paper_ttft").is_finite())
        errors = [_cell(told if figure == "ttft" else part, twin, figure) for figure in FIGURES]
        itl = signed_errors(part[f"{twin}_itl"], part["real_itl"])
        corrected = _cell(part, "paper", "corrected", "throughput") if twin == "paper" else "-"
        yield [name, errors[0], corrected, errors[1], f"{itl.min():+.0f} to {itl.max():+.0f} %", *errors[2:],
               f"{100 * starvation_agreement(part, twin):.1f} %"]  # fmt: skip


def _cell(part: pl.DataFrame, twin: str, figure: str, real: str | None = None) -> str:
    both = part[f"{twin}_{figure}"].cast(pl.Float64), part[f"real_{real or figure}"].cast(pl.Float64)
    of = f", {len(part)} runs" if figure == "ttft" else ""
    return f"{half_smape(*both):.1f} % ({mape(*both):.1f} %{of})"


def starvation_agreement(part: pl.DataFrame, twin: str) -> float:
    """Return the share of the runs for which a twin is right about whether enough requests finish."""
    return agreement(part[f"{twin}_completed"] < SERVED, part["real_completed"] < SERVED)


def _by_slots(shared: pl.DataFrame) -> str:
    body = []
    for slots in sorted(shared["max_loras"].unique()):
        cells = []
        for model in MODELS:
            part = shared.filter(model=model, max_loras=slots)
            cells += [str(len(part)), *(_median_error(part, twin) for twin in ("paper", "twin"))]
        body.append([str(slots), *cells])
    names = [f"{SHORT[model]}: {what}" for model in MODELS for what in ("runs", "paper", "adaptwin")]
    note = "Median signed error of mean ITL, of the runs of both splits."
    return section("Error of mean ITL by number of slots", ["slots", *names], body, note)


def _median_error(part: pl.DataFrame, twin: str) -> str:
    if part.is_empty():
        return "-"
    return f"{np.median(signed_errors(part[f'{twin}_itl'], part['real_itl'])):+.1f} %"


def _further(rows: pl.DataFrame) -> str:
    body = []
    for model in MODELS:
        part = rows.filter(pl.col("paper_throughput").is_null() & (pl.col("model") == model))
        for group in sorted(part["folder_group"].unique()):
            of = part.filter(folder_group=group)
            errors = [_cell(of, "twin", figure) for figure in ("throughput", "itl")]
            rates, ranks = (of[name][0].replace(",", " / ") for name in ("rates", "ranks"))
            right = f"{100 * starvation_agreement(of, 'twin'):.1f} %"
            body.append([SHORT[model], rates, ranks, str(len(of)), *errors, right])
    header = ["model", "rates", "ranks", "runs", "throughput", "mean ITL", "starvation"]
    note = """Runs of the same authors with other mixes of rates and ranks, for which no prediction of their twin is
    published: the error of adaptwin alone, as above. All are validation runs."""
    return section("Error on further mixes", header, body, paragraph(note))
