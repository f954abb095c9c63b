"""Requests in a table: their times and lengths as numbers, and why some rows are none that can be used."""

from typing import NamedTuple

import polars as pl

from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.sources.request_log.by_value import by_value
from adaptwin.workload.sources.request_log.columns import KnownFormat, base_column, plain_name
from adaptwin.workload.sources.request_log.table import LogTable
from adaptwin.workload.sources.request_log.times import time_columns

CHECKED = ("time", "input", "output")  # roles whose values may be wrong, in the order of `wrong`
NO_VALUE = ("", "-", "null", "NULL", "None", "none", r"\N", "nan", "undefined")  # how logs write that there is no value
_GENERATES = r"(?i)completion|responses?$|messages$|generate|chat$|^invo(ke|cations)"  # the last part of an endpoint
_OPERATIONS = ("calltype", "operation", "operationname", "genaioperationname")  # endpoints that are no path
_FAILED = r"(?i)^(fail|error|false|timeout|cancel|abort)"
_NO_ERROR = ("false", "False", "0", "{}", "[]", "ok", "OK", "EOF")
MOST_REASON = 80  # letters of a reason


class Meaning(NamedTuple):
    """What the columns of a table mean."""

    roles: dict[str, str]  # the column of each role
    known: KnownFormat | None
    has_local_dates: bool
    lengths_needed: bool  # whether a row without tokens cannot be used
    adapters_needed: bool  # whether a row without the name of a model cannot be used


def requests_in(table: LogTable, meaning: Meaning) -> pl.LazyFrame:
    """Return the rows of a table as numbers.

    Columns: `row`; `number` or `moment` (see `time_columns`), `zoned`; `input`, `output` (tokens, null without one);
    `adapter`; `left_out` (why a row cannot be used, null for requests); `wrong` (1 + the position in `CHECKED` of a
    value that is none, null for right ones); `requests` and `end` of rows that stand for several requests; `blocks`
    (hashes of the prompt's blocks, as text); `prompt` (its text).
    """
    roles = meaning.roles
    wanted = tuple(dict.fromkeys((*roles.values(), *_fallback_column(table, meaning))))
    text = table.scan(wanted).with_columns(
        _value(roles.get(role)).alias(f"role_{role}") for role in (*CHECKED, "status", "endpoint", "cache", "error")
    )
    text = text.with_columns(_adapter_name(table, meaning).alias("adapter"))
    number, moment, zoned = time_columns(pl.col("role_time"), meaning.has_local_dates)
    frame = text.with_columns(
        number.alias("number"),
        moment.alias("moment"),
        zoned.alias("zoned"),
        (_token_number("role_input") + _tokens_beside(meaning)).alias("input"),
        _token_number("role_output").alias("output"),
        *_bucket(roles, meaning.has_local_dates),
    )
    left_out = _left_out(meaning)
    wrong = pl.coalesce(
        pl.when(_is_wrong_time()).then(1),
        pl.when(_are_wrong_tokens("input", roles)).then(2),
        pl.when(_are_wrong_tokens("output", roles)).then(3),
    )
    return frame.select(
        "row",
        "number",
        "moment",
        "zoned",
        pl.when(_is_count("input", roles)).then(pl.col("input")),
        pl.when(_is_count("output", roles)).then(pl.col("output")),
        pl.col("adapter").cast(pl.Categorical),
        left_out.str.slice(0, MOST_REASON).cast(pl.Categorical).alias("left_out"),
        pl.when(left_out.is_null()).then(wrong).cast(pl.UInt8).alias("wrong"),
        "requests",
        "end",
        _value(roles.get("blocks")).alias("blocks"),
        _value(roles.get("prompt")).alias("prompt"),
    )


def _value(column: str | None) -> pl.Expr:
    """Return the text of a column, null where it is empty or there is no such column."""
    if column is None:
        return pl.lit(None, pl.String)
    return pl.when(~pl.col(column).is_in(list(NO_VALUE))).then(pl.col(column))


def _fallback_column(table: LogTable, meaning: Meaning) -> tuple[str, ...]:
    known = meaning.known
    if known and known.fallback in table.columns:
        return (known.fallback,)
    column = base_column(table.columns, meaning.roles)
    return (column,) if column else ()


def _adapter_name(table: LogTable, meaning: Meaning) -> pl.Expr:
    """Return the name of the model that was asked."""
    names = [_value(meaning.roles.get("adapter")), *map(_value, _fallback_column(table, meaning))]
    return pl.coalesce(names).str.replace(r"^hosted_vllm/", "")


def _token_number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64, strict=False)


def _tokens_beside(meaning: Meaning) -> pl.Expr:
    """Return the tokens of prompts that ``input_tokens`` leave out, as Anthropic does: those in the prompt cache."""
    if not plain_name(meaning.roles.get("input", "")).endswith("inputtokens"):
        return pl.lit(0.0)
    beside = (meaning.roles[role] for role in ("cached", "created") if role in meaning.roles)
    return pl.sum_horizontal(pl.lit(0.0), *(_token_number(column).fill_null(0.0) for column in beside))


def _bucket(roles: dict[str, str], has_local_dates: bool) -> tuple[pl.Expr, pl.Expr]:
    """Return how many requests a row stands for and when its time ends, null where it is one request."""
    if "requests" not in roles:
        return pl.lit(None, pl.Float64).alias("requests"), pl.lit(None, pl.Float64).alias("end")
    number, moment, _ = time_columns(_value(roles.get("end")), has_local_dates)
    count = _value(roles["requests"]).cast(pl.Float64, strict=False)
    return count.alias("requests"), pl.coalesce(moment, number).alias("end")


def _left_out(meaning: Meaning) -> pl.Expr:
    """Return why a row cannot be used, null for requests."""
    operations = plain_name(meaning.roles.get("endpoint", "")) in _OPERATIONS
    columns = [pl.col(f"role_{role}") for role in ("status", "endpoint", "cache", "error")]
    failed = by_value(columns, lambda *values: _no_generation(*values, operations=operations), pl.String)
    tests = [(failed.is_not_null(), failed)]
    if meaning.known and meaning.known.zero_output:
        tests.append((pl.col("output") == 0, pl.lit(f"{meaning.known.zero_output}: no answer tokens")))
    if meaning.adapters_needed:
        tests.append((pl.col("adapter").is_null(), pl.lit("names no model")))
    if "requests" in meaning.roles:
        tests.append((pl.col("requests").fill_null(0) < 1, pl.lit("stands for no request")))
    tests.append((pl.col("role_time").is_null(), pl.lit("has no time")))
    if meaning.lengths_needed:
        no_tokens = pl.col("role_input").is_null() | pl.col("role_output").is_null()
        if meaning.adapters_needed:
            no_tokens |= (pl.col("input") == 0) & (pl.col("output") == 0)
        tests.append((no_tokens, pl.lit("has no token counts")))
    return pl.coalesce(pl.when(test).then(reason) for test, reason in tests)


def _no_generation(status: pl.Expr, endpoint: pl.Expr, cache: pl.Expr, error: pl.Expr, *, operations: bool) -> pl.Expr:
    """Return why no server generated text, as far as the columns of a row show."""
    endpoint = endpoint if operations else _path(endpoint)
    code = status.str.extract(r"(\d{3})$", 1).cast(pl.Int32, strict=False)
    other = ~endpoint.str.extract(r"([^/]*)/?$", 1).str.contains(_GENERATES)
    is_code = status.str.contains(r"^\d+(, ?\d+)*$")
    return pl.coalesce(
        pl.when(other).then(pl.lit("not a request for text: ") + endpoint),
        pl.when(is_code & ((code >= 400) | code.is_null())).then(pl.lit("failed: status ") + status),
        pl.when(~is_code & status.str.contains(_FAILED)).then(pl.lit("failed: ") + status),
        pl.when(~error.is_in(_NO_ERROR)).then(pl.lit("failed: ") + error),
        pl.when(cache.str.to_lowercase() == "true").then(pl.lit("answered from the cache of the gateway")),
    )


def _path(text: pl.Expr) -> pl.Expr:
    """Return the path in the text of an endpoint, without the query; null where it has none."""
    path = text.str.extract(r"^(?:[A-Z]+ )?(\S*/\S*?)(?: HTTP/[\d.]+)?$", 1)
    return path.str.replace(r"\?.*$", "")


def _is_wrong_time() -> pl.Expr:
    nothing = pl.col("number").is_null() & pl.col("moment").is_null()
    return pl.col("role_time").is_not_null() & (nothing | ~pl.col("number").is_finite().fill_null(True))


def _are_wrong_tokens(role: str, roles: dict[str, str]) -> pl.Expr:
    return pl.col(f"role_{role}").is_not_null() & ~_is_count(role, roles).fill_null(False)


def _is_count(role: str, roles: dict[str, str]) -> pl.Expr:
    """Whether the tokens are a number that a request may have; sums of several requests may be more."""
    tokens = pl.col(role)
    if "requests" in roles:
        return tokens.is_finite() & (tokens >= 0)
    return (tokens >= 0) & (tokens <= MAX_TOKENS) & (tokens == tokens.floor())
