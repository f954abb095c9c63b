"""Lengths: how long prompts and answers are, as joint (input, output) pairs of tokens."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_serializer, model_validator

from adaptwin.spec import Spec

TABLE_SIZE = 8192  # entries in the table of a published distribution
OWN_TABLE_SIZE = 1024  # entries in the table of a lognormal; smaller, as every adapter may have one of its own
MAX_TOKENS = 10_000_000  # more than the context of any model
MEAN_ERROR = 0.005  # of the mean of a lognormal's table
MOST_VARIATION = 10.0  # coefficient of variation of a lognormal: a table of its size shows no more
KINDS = ("sharegpt", "fixed", "lognormal", "empirical")


class LengthTable(NamedTuple):
    """Token counts to draw from uniformly; `joint`: entry i of both arrays belongs to one request."""

    input: NDArray[np.int32]
    output: NDArray[np.int32]
    joint: bool


class Mixture(NamedTuple):
    """A mixture of two lognormals, rounded to whole tokens and truncated to ``low..high``."""

    weight: float
    mu: tuple[float, float]
    sigma: tuple[float, float]
    low: int
    high: int


# ShareGPT (first two turns, 4 to 1,024 tokens): fitted to its published histogram after tilting the histogram to the
# means and standard deviations under the tokenizers of Llama-3.1 and Qwen-2.5 (222 / 249 in, 196 / 210 out).
_SHAREGPT_INPUT = Mixture(0.9716, (-5.042, 6.0426), (16.2671, 0.3551), 4, 1024)
_SHAREGPT_OUTPUT = Mixture(0.5075, (3.6871, 5.7626), (0.5212, 0.6319), 4, 1024)
# Long prompts have short answers: many conversations begin with a turn of the model. In every measured run, a running
# request holds 360 tokens of KV cache on average; with independent lengths it would hold 441
# (docs/measured/accuracy.md).
_SHAREGPT_CORRELATION = -0.385


class Lengths(Spec):
    """Prompt and answer lengths of requests, in tokens; made by `named`, `fixed`, `lognormal` or `empirical`.

    In a file: ``sharegpt``, ``{sharegpt: assumed}`` where nothing is known, ``{fixed: [250, 231]}``,
    ``{empirical: [[12, 80], [300, 40]]}`` or ``{lognormal: {input_mean: 300, input_cv: 1.0, output_mean: 200,
    output_cv: 1.0}}``.
    """

    kind: Literal["sharegpt", "fixed", "lognormal", "empirical"] = Field(description="kind of distribution")
    pairs: tuple[tuple[int, int], ...] = Field(
        default=(), fail_fast=True, description="pairs of prompt and answer tokens; of fixed lengths, a single one"
    )
    input_mean: float | None = Field(
        default=None, ge=1, le=MAX_TOKENS, allow_inf_nan=False, description="mean prompt tokens, lognormal"
    )
    input_cv: float | None = Field(
        default=None,
        ge=0,
        le=MOST_VARIATION,
        allow_inf_nan=False,
        description="coefficient of variation of prompt tokens, lognormal",
    )
    output_mean: float | None = Field(
        default=None, ge=1, le=MAX_TOKENS, allow_inf_nan=False, description="mean answer tokens, lognormal"
    )
    output_cv: float | None = Field(
        default=None,
        ge=0,
        le=MOST_VARIATION,
        allow_inf_nan=False,
        description="coefficient of variation of answer tokens, lognormal",
    )
    are_limits: bool = Field(
        default=False,
        description="whether outputs are max_tokens, which an answer may not reach (ModelShape.early_stop_share); "
        "always true of sharegpt, as its answers come from another model",
    )
    assumed: bool = Field(default=False, description="whether the lengths are not known, and ShareGPT's stand for them")

    @classmethod
    def named(cls, name: str) -> Self:
        """Return a published distribution: ``sharegpt`` (mean 222 prompt tokens, 196 answer tokens)."""
        return cls.model_validate(name) if name == "sharegpt" else cls(kind=name)

    @classmethod
    def fixed(cls, input: int, output: int) -> Self:  # noqa: A002 (the usual terms)
        """Return lengths where every request has `input` prompt tokens and `output` answer tokens."""
        return cls(kind="fixed", pairs=((input, output),))

    @classmethod
    def empirical(cls, pairs: Iterable[tuple[int, int]], *, are_limits: bool = False) -> Self:
        """Return lengths that are resampled from measured (input, output) pairs, in tokens."""
        return cls(kind="empirical", pairs=tuple((int(i), int(o)) for i, o in pairs), are_limits=are_limits)

    @classmethod
    def lognormal(cls, *, input_mean: float, input_cv: float, output_mean: float, output_cv: float) -> Self:
        """Return independent lognormal lengths with these means (tokens) and coefficients of variation."""
        return cls(
            kind="lognormal",
            input_mean=input_mean,
            input_cv=input_cv,
            output_mean=output_mean,
            output_cv=output_cv,
        )

    @model_validator(mode="before")
    @classmethod
    def _from_file_form(cls, data: Any) -> Any:
        if data == "sharegpt":
            return {"kind": "sharegpt", "are_limits": True}
        if data == {"sharegpt": "assumed"}:
            return {"kind": "sharegpt", "are_limits": True, "assumed": True}
        if isinstance(data, str):
            raise ValueError(f"{data!r} is not a known distribution (sharegpt)")
        if isinstance(data, dict) and data.get("kind") == "sharegpt":
            return {**data, "are_limits": True}
        if isinstance(data, dict) and (kinds := [kind for kind in KINDS[1:] if kind in data]):
            kind, rest = kinds[0], {name: value for name, value in data.items() if name != kinds[0]}
            if kind == "lognormal" and isinstance(data[kind], dict):
                return {"kind": kind, **data[kind], **rest}
            return {"kind": kind, "pairs": [data[kind]] if kind == "fixed" else data[kind], **rest}
        return data

    @field_validator("pairs")
    @classmethod
    def _in_range(cls, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for pair in pairs:
            if not 1 <= min(pair) <= max(pair) <= MAX_TOKENS:
                raise ValueError(f"{list(pair)}: input and output must be from 1 to {MAX_TOKENS:,} tokens")
        return pairs

    @model_validator(mode="after")
    def _complete(self) -> Self:
        moments = (self.input_mean, self.input_cv, self.output_mean, self.output_cv)
        if self.kind == "lognormal" and None in moments:
            raise ValueError("lognormal needs input_mean, input_cv, output_mean and output_cv")
        for name, mean, cv in (("input", self.input_mean, self.input_cv), ("output", self.output_mean, self.output_cv)):
            if mean is not None and cv is not None and mean * float(_lognormal_quantiles(cv)[-1]) > MAX_TOKENS:
                raise ValueError(f"{name}_mean {mean:g} with {name}_cv {cv:g} exceeds {MAX_TOKENS:,} tokens at times")
        if self.assumed and self.kind != "sharegpt":
            raise ValueError(f"{self.kind} lengths are given, not assumed")
        if self.kind in ("fixed", "empirical") and not self.pairs:
            raise ValueError(f"{self.kind} needs at least one pair of input and output tokens")
        return self

    @model_serializer
    def _file_form(self) -> Any:
        if self.kind == "sharegpt":
            return {"sharegpt": "assumed"} if self.assumed else "sharegpt"
        if self.kind == "lognormal":
            moments = ("input_mean", "input_cv", "output_mean", "output_cv")
            form: dict[str, Any] = {"lognormal": {name: getattr(self, name) for name in moments}}
        else:
            pairs = [list(pair) for pair in self.pairs]
            form = {self.kind: pairs[0] if self.kind == "fixed" else pairs}
        return {**form, "are_limits": True} if self.are_limits else form

    def __hash__(self) -> int:
        return self.fingerprint

    @cached_property
    def fingerprint(self) -> int:
        """The hash, computed once: every look-up of a table needs it, and there may be thousands of pairs."""
        return hash(tuple(getattr(self, name) for name in type(self).model_fields))

    def belong_to(self, timestamps: int) -> bool:
        """Whether the pairs belong to so many timestamps, one pair each."""
        return self.kind == "empirical" and len(self.pairs) == timestamps

    def at(self, places: Iterable[int]) -> Self:
        """Return lengths with the measured pairs at these places only."""
        return type(self)(kind=self.kind, pairs=tuple(self.pairs[i] for i in places), are_limits=self.are_limits)

    def repeated(self, number: Sequence[int]) -> Self:
        """Return lengths with each measured pair as often as `number` says."""
        pairs = tuple(pair for pair, many in zip(self.pairs, number, strict=True) for _ in range(many))
        return type(self)(kind=self.kind, pairs=pairs, are_limits=self.are_limits)

    def table(self) -> LengthTable:
        """Return the distribution as a table of equally likely entries."""
        return _length_table(self)

    @property
    def mean_input(self) -> float:
        """Mean prompt tokens."""
        return float(self.table().input.mean())

    @property
    def mean_output(self) -> float:
        """Mean answer tokens."""
        return float(self.table().output.mean())


ASSUMED_LENGTHS = Lengths(kind="sharegpt", assumed=True)  # where nothing is known


@lru_cache(maxsize=4096)
def _length_table(lengths: Lengths) -> LengthTable:
    if lengths.kind == "sharegpt":
        return _paired(_mixture_table(_SHAREGPT_INPUT), _mixture_table(_SHAREGPT_OUTPUT), _SHAREGPT_CORRELATION)
    if lengths.kind == "lognormal":
        assert lengths.input_mean is not None
        assert lengths.output_mean is not None
        assert lengths.input_cv is not None
        assert lengths.output_cv is not None
        return LengthTable(
            _lognormal_table(lengths.input_mean, lengths.input_cv),
            _lognormal_table(lengths.output_mean, lengths.output_cv),
            joint=False,
        )
    pairs = np.array(lengths.pairs, dtype=np.int32)
    return LengthTable(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]), joint=True)


def _mixture_table(mixture: Mixture) -> NDArray[np.int32]:
    tokens = np.arange(mixture.low, mixture.high + 1)
    edges = np.log(np.append(tokens - 0.5, mixture.high + 0.5))
    weights = (mixture.weight, 1.0 - mixture.weight)
    cumulative = np.zeros(len(edges))
    for weight, mu, sigma in zip(weights, mixture.mu, mixture.sigma, strict=True):
        cumulative += weight * np.array([0.5 * math.erf((edge - mu) / (sigma * math.sqrt(2.0))) for edge in edges])
    share = np.diff(cumulative)
    quantiles = (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
    table: NDArray[np.int32] = tokens[np.searchsorted(np.cumsum(share) / share.sum(), quantiles)].astype(np.int32)
    return table


def _paired(inputs: NDArray[np.int32], outputs: NDArray[np.int32], correlation: float) -> LengthTable:
    """Pair the entries of two ascending tables by a Gaussian copula with this correlation; each keeps its entries."""
    normal: NDArray[np.float64] = _normal_quantiles(len(inputs))
    golden = np.arange(len(inputs)) * ((math.sqrt(5.0) - 1.0) / 2.0) % 1.0  # evenly spread over any stretch of inputs
    score = np.add(correlation * normal, math.sqrt(1.0 - correlation**2) * normal[_sorted_positions(golden)])
    return LengthTable(inputs, np.ascontiguousarray(outputs[_sorted_positions(score)]), joint=True)


def _sorted_positions(values: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    return np.argsort(np.argsort(values))


def _lognormal_table(mean: float, cv: float) -> NDArray[np.int32]:
    """Return quantiles of a lognormal, scaled so that the entries have this mean even after rounding.

    No entry is below 1, so a mean near 1 allows for few entries above it, whatever the coefficient of variation. Where
    many entries are equal, as without variation, rounding all of them up or all of them down can miss the mean; then
    some are rounded up and some down.
    """
    values = _lognormal_quantiles(cv)
    low, high = 0.0, 2.0 * mean
    for _ in range(60):  # the mean of the entries rises with the scale
        scale = (low + high) / 2.0
        low, high = (scale, high) if np.maximum(1.0, np.rint(scale * values)).mean() < mean else (low, scale)
    below, table = (np.maximum(1.0, np.rint(scale * values)).astype(np.int32) for scale in (low, high))
    if table.mean() > (1.0 + MEAN_ERROR) * mean:
        too_many = round(float(table.sum() - mean * len(table)))
        table[np.flatnonzero(table > below)[:too_many]] -= 1
    return table


@lru_cache(maxsize=256)
def _lognormal_quantiles(cv: float) -> NDArray[np.float64]:
    """Return quantiles of a lognormal, scaled to a mean of 1 and with this coefficient of variation.

    The quantiles of a lognormal vary less than the lognormal itself, because the highest one stands for all above it;
    so they are those of a slightly wider one.
    """
    low, high = 0.0, 2.0 * math.sqrt(math.log1p(cv * cv))
    values = np.ones(OWN_TABLE_SIZE)
    for _ in range(50):
        sigma = (low + high) / 2.0
        values = np.exp(sigma * _normal_quantiles(OWN_TABLE_SIZE))
        values /= values.mean()
        low, high = (sigma, high) if values.std() < cv else (low, sigma)
    return values


@lru_cache(maxsize=4)
def _normal_quantiles(size: int) -> NDArray[np.float64]:
    """Return the medians of `size` equally likely intervals of the standard normal distribution."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((i + 0.5) / size) for i in range(size)])
