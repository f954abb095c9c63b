"""Lines of vLLM: the requests that a server logs with --enable-log-requests, and the answers that it generated.

Lines begin with the level and a time without a year (``INFO 09-03 03:00:37 [logger.py:43]``); a container or journal
may put a whole date before it. ``Received request ID: ...`` names the adapter (``lora_request: LoRARequest(lora_name=
'x', ...)`` or ``None``), up to 0.11 also the tokens of the prompt, which later versions log at the level DEBUG
(``Request ID details: ...``). ``Generated response ID: ...`` has those of the answer, with --enable-log-outputs.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from adaptwin.workload.sources.request_log.log_files import scan_lines

VLLM_COLUMNS = ("time", "prompt_tokens", "completion_tokens", "lora")
BASE_MODEL = "(base model)"  # the name of requests without an adapter
WHOLE_DATE = r"^\W*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\]]*)"  # before the level
A_LEAP_YEAR = 2024  # the year of dates that have none: it has every day
_LEVEL = re.compile(r"\b(INFO|DEBUG|WARNING|ERROR) \d\d-\d\d \d\d:\d\d:\d\d\b")
_RECEIVED, _DETAILS, _GENERATED = "Received request", "details", "Generated response"
_KIND = rf"({_RECEIVED}|{_DETAILS}|{_GENERATED})"
_ID = r"(?:Received request|Request|Generated response) ([^\s:]+?)(?:-0)?(?: details)?(?: \(streaming [a-z]+\))?:"


def is_vllm_log(lines: Sequence[str]) -> bool:
    """Whether the lines are of a vLLM server."""
    return any(_LEVEL.search(line) or _RECEIVED in line for line in lines)


def vllm_requests(path: Path) -> pl.LazyFrame:
    """Return the requests of a server's log: `row` (of the line, from 0) and the `VLLM_COLUMNS` as text."""
    lines = scan_lines(path)
    received = lines.filter(_kind() == _RECEIVED).select(
        "row",
        _id().alias("id"),
        _time(_turns_a_year(lines)).alias("time"),
        _tokens("prompt_token_ids").alias("in_line"),
        _lora().alias("lora"),
    )
    details = _token_counts(lines, _DETAILS, "prompt_token_ids", "in_details")
    answers = _token_counts(lines, _GENERATED, "output_token_ids", "completion_tokens")
    joined = received.join(details, on="id", how="left").join(answers, on="id", how="left")
    return joined.select(
        "row",
        "time",
        pl.coalesce("in_line", "in_details").cast(pl.String).alias("prompt_tokens"),
        pl.col("completion_tokens").cast(pl.String),
        "lora",
    )


def _token_counts(lines: pl.LazyFrame, mark: str, field: str, name: str) -> pl.LazyFrame:
    """Return how many tokens the lines with a mark list, by request; null where they list none."""
    counts = lines.filter(_kind() == mark).select(_id().alias("id"), _tokens(field).alias(name))
    return counts.filter(pl.col(name).is_not_null()).group_by("id").agg(pl.col(name).sum())


def _kind() -> pl.Expr:
    """Return what a line says first; what it quotes comes later."""
    return pl.col("line").str.extract(_KIND, 1)


def _id() -> pl.Expr:
    return pl.col("line").str.extract(_ID, 1)


def _tokens(field: str) -> pl.Expr:
    """Return the number of tokens in the last list with this name, since a prompt may hold the name as well."""
    ids = pl.col("line").str.extract(rf"^.*{field}: \[([^\]]*)\]", 1)
    return pl.when(ids == "").then(0).otherwise(ids.str.count_matches(",", literal=True) + 1)


def _lora() -> pl.Expr:
    """Return the name of the adapter; null where the line does not say which model was asked."""
    request = pl.col("line").str.extract(r"^.*lora_request: (None|LoRARequest\(.*)", 1)
    name = request.str.extract(r"""lora_name=(?:'([^']*)'|"[^"]*")""", 1)
    return pl.when(request == "None").then(pl.lit(BASE_MODEL)).otherwise(name)


def _time(turns_a_year: bool) -> pl.Expr:
    """Return the date that stands before the level, or that after it in a leap year."""
    line = pl.col("line")
    whole = line.str.extract(WHOLE_DATE, 1)
    short = line.str.extract(r"\b(?:INFO|DEBUG|WARNING|ERROR) (\d\d-\d\d \d\d:\d\d:\d\d)\b", 1)
    early = short.str.slice(0, 2).cast(pl.Int32, strict=False) <= 6
    year = pl.when(early & turns_a_year).then(pl.lit(f"{A_LEAP_YEAR + 1}-")).otherwise(pl.lit(f"{A_LEAP_YEAR}-"))
    return pl.coalesce(whole, year + short)


def _turns_a_year(lines: pl.LazyFrame) -> bool:
    """Whether the log begins in one year and ends in the next: it has January and December, but not July."""
    month = pl.col("line").str.extract(r"\b(?:INFO|DEBUG|WARNING|ERROR) (\d\d)-\d\d \d\d:\d\d:\d\d\b", 1)
    months = set(lines.select(month.alias("month")).unique().collect()["month"].to_list())
    return {"01", "12"} <= months and "07" not in months
