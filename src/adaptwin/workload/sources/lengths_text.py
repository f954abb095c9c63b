"""Lengths from the text of an option: a published distribution, fixed or lognormal lengths, or a file of pairs."""

from collections.abc import Sequence
from pathlib import Path

from adaptwin.errors import SpecError
from adaptwin.quantities import parse_number
from adaptwin.workload.csv_rows import CsvRow, read_rows
from adaptwin.workload.lengths import MAX_TOKENS, Lengths
from adaptwin.workload.sources.adapters_csv import lengths_of_means

MOST_PAIRS = 1_000_000  # of a file
LENGTH_TEXTS = "sharegpt, fixed:250,231, lognormal:250,231, lognormal:250,231,1.5,1.2 (with coefficients of variation)"


def parse_lengths(text: str) -> Lengths:
    """Return the lengths that a text names, or the pairs of prompt and answer tokens in a CSV file.

    Raises:
        SpecError: The text is of no known form, or a number or the file is wrong.
    """
    if text == "sharegpt":
        return Lengths.named(text)
    kind, _, rest = text.partition(":")
    if kind == "fixed" and len(tokens := _numbers(text, rest)) == 2 and all(number.is_integer() for number in tokens):
        return Lengths.fixed(int(tokens[0]), int(tokens[1]))
    if kind == "lognormal":
        return _lognormal_of_text(text, _numbers(text, rest))
    if Path(text).suffix.lower() == ".csv":
        return _read_pairs(text)
    raise _unknown(text)


def _lognormal_of_text(text: str, numbers: Sequence[float]) -> Lengths:
    match list(numbers):
        case [input_mean, output_mean]:
            return lengths_of_means(input_mean, output_mean)
        case [input_mean, output_mean, input_cv, output_cv]:
            return Lengths.lognormal(
                input_mean=input_mean, input_cv=input_cv, output_mean=output_mean, output_cv=output_cv
            )
    raise _unknown(text)


def _numbers(text: str, rest: str) -> list[float]:
    try:
        return [parse_number(part) for part in rest.split(",")]
    except ValueError:
        raise _unknown(text) from None


def _read_pairs(path: str) -> Lengths:
    """Read pairs of tokens from a CSV file with the columns ``input`` and ``output``."""
    rows = read_rows(path).at_most(MOST_PAIRS).require(("input", "output"))
    pairs = [(_token_count(row, "input"), _token_count(row, "output")) for row in rows]
    if not pairs:
        raise SpecError("has no rows", file=path)
    return Lengths.empirical(pairs)


def _token_count(row: CsvRow, column: str) -> int:
    tokens = row.whole(column)
    if not 1 <= tokens <= MAX_TOKENS:
        raise row.wrong(column, f"{row.text(column)} must be from 1 to {MAX_TOKENS:,} tokens")
    return tokens


def _unknown(text: str) -> SpecError:
    what = f"{text!r} is not one of {LENGTH_TEXTS}, or a CSV file with the columns input,output"
    return SpecError(what, "lengths")
