"""Adapters, or only their rates, from a CSV file."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from adaptwin.errors import SpecError
from adaptwin.file_kinds import ADAPTERS_CSV
from adaptwin.quantities import parse_seconds
from adaptwin.workload.csv_rows import CsvRow, read_rows
from adaptwin.workload.lengths import MAX_TOKENS, Lengths
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import MOST_ADAPTERS, Adapter

NEEDED_COLUMNS = ("name", "rank", "rate")
OPTIONAL_COLUMNS = ("input_mean", "output_mean", "artifact", "base", "slo_ttft_ms", "slo_itl_ms", "system_prompt")
FORMER_COLUMNS = {"base_model": "base"}  # what columns were called before


def read_adapters_csv(path: str | Path) -> tuple[Adapter, ...]:
    """Read adapters from the columns ``name,rank,rate``; raises `SpecError` naming file, line and column.

    Optional columns are ``input_mean,output_mean`` (tokens, both or neither; see `lengths_of_means`), ``artifact``,
    ``base``, ``slo_ttft_ms``, ``slo_itl_ms`` and ``system_prompt`` (tokens that all prompts begin with); an empty cell
    means that the adapter has no such value. ``base_model`` is read as ``base``.
    """
    rows = _without_repeated_names(
        read_rows(path, ADAPTERS_CSV)
        .renamed(FORMER_COLUMNS)
        .at_most(MOST_ADAPTERS)
        .require(NEEDED_COLUMNS, OPTIONAL_COLUMNS)
    )
    adapters = tuple(_adapter_of_row(row) for row in rows)
    if not adapters:
        raise SpecError("has no rows", file=path)
    return adapters


def read_adapter_rates(path: str | Path) -> dict[str, float]:
    """Read requests per second by adapter from the columns ``name,rate``; raises `SpecError` naming the line."""
    rates: dict[str, float] = {}
    for row in _without_repeated_names(read_rows(path, ADAPTERS_CSV).at_most(MOST_ADAPTERS).require(("name", "rate"))):
        rate = row.number("rate")
        if rate < 0:
            raise row.wrong("rate", f"{rate:g} must be at least 0")
        rates[row.text("name")] = rate
    if not rates:
        raise SpecError("has no rows", file=path)
    return rates


def read_adapter_ranks(path: str | Path) -> tuple[Adapter, ...]:
    """Read adapters without traffic from the columns ``name,rank``, and ``base`` if it is there; raises `SpecError`.

    Other columns are ignored.
    """
    rows = _without_repeated_names(read_rows(path, ADAPTERS_CSV).renamed(FORMER_COLUMNS).require(("name", "rank")))
    adapters = tuple(_adapter_of_rank(row) for row in rows)
    if not adapters:
        raise SpecError("has no rows", file=path)
    return adapters


@lru_cache  # most files repeat a few means
def lengths_of_means(input_mean: float, output_mean: float) -> Lengths:
    """Return lengths with these means (tokens): independent lognormals with coefficient of variation 1."""
    return Lengths.lognormal(input_mean=input_mean, input_cv=1.0, output_mean=output_mean, output_cv=1.0)


def _without_repeated_names(rows: Iterable[CsvRow]) -> Iterable[CsvRow]:
    """Yield the rows; raises `SpecError` for a duplicate name."""
    line_of: dict[str, int] = {}
    for row in rows:
        name = row.text("name")
        if name in line_of:
            raise row.wrong("name", f"duplicate name {name!r}: lines {line_of[name]} and {row.line}")
        line_of[name] = row.line
        yield row


def _adapter_of_row(row: CsvRow) -> Adapter:
    name, rank, rate = row.text("name"), row.whole("rank"), row.number("rate")
    slo_ttft, slo_itl = _seconds(row, "slo_ttft_ms"), _seconds(row, "slo_itl_ms")
    try:
        return Adapter(
            name=name,
            rank=rank,
            rate=rate,
            lengths=_lengths_of_row(row),
            artifact=row.cells.get("artifact"),
            base=row.cells.get("base"),
            slo_ttft=slo_ttft,
            slo_itl=slo_itl,
            templates=_templates_of_row(row),
        )
    except SpecError as error:  # the fields of Adapter and Lengths have the names of their columns
        raise (error if error.file else row.wrong(error.field.rpartition(".")[2], error.message)) from None


def _templates_of_row(row: CsvRow) -> tuple[Template, ...] | None:
    """Return the template of a system prompt; none where it has 0 tokens, and None where the cell is empty."""
    if "system_prompt" not in row.cells:
        return None
    tokens = row.whole("system_prompt")
    if not 0 <= tokens <= MAX_TOKENS:
        raise row.wrong("system_prompt", f"{tokens} tokens must be from 0 to {MAX_TOKENS}")
    return (Template(tokens=tokens),) if tokens else ()


def _adapter_of_rank(row: CsvRow) -> Adapter:
    try:
        return Adapter(name=row.text("name"), rank=row.whole("rank"), rate=0.0, base=row.cells.get("base"))
    except SpecError as error:
        raise (error if error.file else row.wrong("rank", error.message)) from None


def _seconds(row: CsvRow, column: str) -> float | None:
    """Return a cell in seconds: a number is in milliseconds, and 2s has its own unit; None when it is empty."""
    if column not in row.cells:
        return None
    text = row.text(column)
    if text[-1].isalpha() and not text[0].isalpha():
        try:
            seconds = parse_seconds(text)
        except ValueError as error:
            raise row.wrong(column, str(error)) from None
    else:
        seconds = row.number(column) / 1000.0
    if seconds <= 0:
        raise row.wrong(column, f"{text} must be above 0")
    return seconds


def _lengths_of_row(row: CsvRow) -> Lengths | None:
    """Return lengths with the two means of a row; None when both are empty."""
    if "input_mean" not in row.cells and "output_mean" not in row.cells:
        return None
    for column, other in (("input_mean", "output_mean"), ("output_mean", "input_mean")):
        if column not in row.cells:
            raise row.wrong(column, f"missing, but {other} is given (give both or neither)")
    return lengths_of_means(row.number("input_mean"), row.number("output_mean"))
