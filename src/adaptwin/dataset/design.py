"""Design: which servers under which traffic a sweep plays - what a design file holds."""

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationInfo, WrapValidator, field_validator, model_validator

from adaptwin import file_kinds
from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.profile.profile import is_profile_file
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Spec
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.drawing.requests import MOST_REQUESTS
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.sources.popularity import parse_popularity
from adaptwin.workload.workload import SERVED_RANKS

NO_SCIPY = "{} needs SciPy: pip install 'adaptwin[train]'"
LengthKind = Literal["sharegpt", "fixed", "lognormal", "several"]
Values = dict[str, Any]  # one value for each dimension of a design; none for means of lengths that nobody asks for
MEANS: dict[LengthKind, tuple[str, ...]] = {  # dimensions that each kind of lengths asks for
    "sharegpt": (),
    "fixed": ("input_mean", "output_mean"),
    "lognormal": ("input_mean", "output_mean", "length_cv"),
    "several": ("input_mean", "output_mean", "length_cv"),
}
BOUNDS = {  # of the values of a dimension
    "adapters": (1, 100_000),
    "base_share": (0, 0.99),
    "utilisation": (1e-6, 1000),
    "input_mean": (1, MAX_TOKENS / 4),  # several lognormals are up to four times as long
    "output_mean": (1, MAX_TOKENS / 4),
    "length_cv": (0, 100),
    "duration": (0.001, 1e8),
    "max_loras": (1, 100_000),
    "max_num_seqs": (1, 1_000_000),
    "max_num_batched_tokens": (1, MAX_TOKENS),
    "max_model_len": (1, MAX_TOKENS),
    "gpu_memory_utilization": (0.01, 1),
}


class Range(Spec):
    """A number drawn between two ends."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = Field(default=False, description="evenly over the logarithm")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be above 0 on a logarithmic range")
        return self

    def at(self, share: float) -> float:
        """The number below which this share of the range lies."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


def _choices_of(kind: type[float]) -> WrapValidator:
    """Takes a list of numbers or a `Range`; errors name the place, not the branches of a union."""
    choices: TypeAdapter[Any] = TypeAdapter(tuple[kind, ...])  # type: ignore[valid-type]

    def validate(value: Any, _union: Any) -> Any:
        if isinstance(value, Range):
            return value
        if isinstance(value, dict):
            return Range.model_validate(value)
        if isinstance(value, list | tuple):
            return choices.validate_python(value)
        raise ValueError(f"{value!r} is neither a list of values nor a range such as {{low: 1, high: 9}}")

    return WrapValidator(validate)


Numbers = Annotated[tuple[float, ...] | Range, _choices_of(float)]
Counts = Annotated[tuple[int, ...] | Range, _choices_of(int)]


class Design(Spec):
    """Mixes of adapters on servers, each played under several loads.

    Every field from `adapters` on is a dimension: a list of choices, or a `Range`. What stands twice in a list is drawn
    twice as often. A mix has one value of each; ``grid`` takes all combinations that make sense, the other samplers
    draw `mixes` of them. What is in a mix follows from the design and the number of the mix alone.
    """

    file_kind = file_kinds.DESIGN
    profiles: tuple[str, ...] = Field(min_length=1, description="shipped names or files; mixes take turns")
    sampler: Literal["grid", "sobol", "lhs", "random"] = "sobol"
    mixes: int = Field(default=1000, ge=1, description="how many are drawn; a grid has as many as it has")
    loads: int = Field(default=4, ge=1, description="runs of each mix, under different total rates")
    boundary: float = Field(
        default=0.5, ge=0, le=1, description="share of the loads that close in on where the server stops serving all"
    )
    seed: int = Field(default=0, ge=0)
    most_requests: int = Field(
        default=400_000, ge=1, le=MOST_REQUESTS, description="in one run; a higher rate is lowered to that"
    )

    adapters: Counts = Range(low=1, high=512, log=True)
    ranks: tuple[tuple[int, ...], ...] = Field(default=((8,), (8, 16), (8, 16, 32)), description="assigned in turn")
    popularity: tuple[str, ...] = Field(
        default=("uniform", "dirichlet:0.5", "zipf:1.0"),
        description="or rates:3.2,1.6,0.8: requests/s, assigned in turn",
    )
    base_share: Numbers = Field(default=(0.0,), description="of the traffic, to the base model")
    utilisation: Numbers | None = Field(
        default=Range(low=0.03, high=3.0, log=True),
        description="arriving traffic over what a full batch serves; null where popularities are rates",
    )
    lengths: tuple[LengthKind, ...] = Field(default=("sharegpt",), description="several: three lognormals")
    input_mean: Numbers = Field(default=Range(low=20, high=4000, log=True), description="unless sharegpt")
    output_mean: Numbers = Field(default=Range(low=10, high=800, log=True), description="unless sharegpt")
    length_cv: Numbers = Field(default=Range(low=0.2, high=1.5), description="of lognormal lengths, one or several")
    arrivals: tuple[str, ...] = ("poisson",)
    duration: Numbers = (3600.0,)
    max_loras: Counts = Field(
        default=Range(low=0.0, high=1.2),
        description="slots; a range is of the logarithm, from one (0) to the most that start and are of use (1)",
    )
    further_padding: tuple[bool, ...] = Field(
        default=(False,), description="max_lora_rank is a step above the highest rank"
    )
    max_num_seqs: tuple[int, ...] = (256,)
    max_num_batched_tokens: tuple[int, ...] = Field(default=(2048,), description="at least max_num_seqs is taken")
    max_model_len: tuple[int | None, ...] = (None,)
    gpu_memory_utilization: Numbers = (0.9,)
    async_scheduling: tuple[bool, ...] = (False,)

    @field_validator("profiles")
    @classmethod
    def _beside_the_design(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        folder = Path(info.context["folder"]) if info.context else Path()
        return tuple(str((folder / name).resolve()) if is_profile_file(name) else name for name in names)

    @field_validator(*BOUNDS)
    @classmethod
    def _within_bounds(cls, values: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        low, high = BOUNDS[info.field_name]
        if isinstance(values, Range) and info.field_name == "max_loras":
            low, high = 0, 10
        given = (values.low, values.high) if isinstance(values, Range) else values or ()
        for value in given:
            if value is not None and not low <= value <= high:
                raise ValueError(f"{value:.9g} must be from {low:.9g} to {high:.9g}")
        return values

    @field_validator("ranks")
    @classmethod
    def _served_ranks(cls, mixes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if () in mixes:
            raise ValueError("each entry needs at least one rank")
        for rank in itertools.chain(*mixes):
            if rank not in SERVED_RANKS:
                raise ValueError(f"{rank} is not one of {', '.join(map(str, SERVED_RANKS))}")
        return mixes

    @field_validator("popularity")
    @classmethod
    def _known_popularities(cls, popularities: tuple[str, ...]) -> tuple[str, ...]:
        for text in popularities:
            try:
                if absolute_rates(text) is None:
                    parse_popularity(text)
            except SpecError as error:
                raise ValueError(error.message) from None
        return popularities

    @field_validator("arrivals")
    @classmethod
    def _known_arrivals(cls, processes: tuple[str, ...]) -> tuple[str, ...]:
        for text in processes:
            if text.startswith("rates:"):
                raise ValueError(f"{text!r}: a file is no part of a design (poisson, gamma:cv=3, regimes:factor=1.5)")
            parse_arrivals(text)
        return processes

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for name in dimension_names():
            if getattr(self, name) == ():
                raise ValueError(f"{name}: needs at least one value")
        absolute = {absolute_rates(text) is not None for text in self.popularity}
        if absolute != {self.utilisation is None}:
            raise ValueError("popularity: rates:... go with utilisation null, all others with a utilisation")
        if self.utilisation is None and self.loads > 1:
            raise ValueError(f"loads: {self.loads} must be 1 where popularities are rates")
        if self.sampler == "grid" and (ranges := [name for name in self.varying if self._is_range(name)]):
            raise ValueError(f"{ranges[0]}: a grid needs a list of values, not a range")
        return self

    def _is_range(self, name: str) -> bool:
        return isinstance(getattr(self, name), Range)

    @property
    def varying(self) -> list[str]:
        """Names of the dimensions that take more than one value, in order."""
        asked = {name for kind in self.lengths for name in MEANS[kind]}
        idle = set(MEANS["several"]) - asked
        return [
            name
            for name in dimension_names()
            if name not in idle and (self._is_range(name) or len(getattr(self, name) or ()) > 1)
        ]

    def file_form(self) -> dict[str, Any]:
        """The plain data that its file holds, with a utilisation that is null."""
        return self.model_dump(mode="json")

    def values(self) -> list[Values]:
        """The values of every mix, in order; combinations of a grid that make no sense are among them."""
        fixed = {name: (getattr(self, name) or (None,))[0] for name in dimension_names() if not self._is_range(name)}
        choices = [getattr(self, name) for name in self.varying]
        if self.sampler == "grid":
            rows: Iterable[Iterable[Any]] = itertools.product(*choices)
        else:
            rows = ([_value_at(c, u) for c, u in zip(choices, point, strict=True)] for point in self._points())
        return [{**fixed, **dict(zip(self.varying, row, strict=True))} for row in rows]

    def _points(self) -> NDArray[np.float64]:
        """Points of the unit cube, shape (mixes, varying dimensions)."""
        dimensions = len(self.varying)
        if self.sampler == "random" or not dimensions:
            return np.random.default_rng(self.seed).random((self.mixes, dimensions))
        try:
            from scipy.stats import qmc
        except ImportError:
            raise SpecError(NO_SCIPY.format(self.sampler), "sampler") from None
        points: NDArray[np.float64]
        if self.sampler == "lhs":
            points = qmc.LatinHypercube(dimensions, rng=self.seed).random(self.mixes)
        else:  # a power of two of them, which alone are evenly spread
            points = qmc.Sobol(dimensions, rng=self.seed).random_base2((self.mixes - 1).bit_length())[: self.mixes]
        return points


def dimension_names() -> list[str]:
    """All dimensions of a design, in order."""
    names = list(Design.model_fields)
    return names[names.index("adapters") :]


def absolute_rates(popularity: str) -> tuple[float, ...] | None:
    """The requests/s of ``rates:3.2,1.6,0.8``; None of a popularity that leaves the total open."""
    if not popularity.startswith("rates:"):
        return None
    try:
        rates = tuple(float(rate) for rate in popularity.removeprefix("rates:").split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 <= rate < math.inf for rate in rates):
        raise SpecError(f"{popularity!r} must be rates: and then requests/s, separated by commas", "popularity")
    return rates


def _value_at(dimension: tuple[Any, ...] | Range, share: float) -> Any:
    return dimension.at(share) if isinstance(dimension, Range) else dimension[int(share * len(dimension))]


def shipped_designs() -> list[str]:
    """Names of the designs that come with adaptwin."""
    return list(_shipped_design_files())


def load_design(name_or_path: str | Path) -> Design:
    """A shipped design by name, or one from a YAML file; raises `SpecError` when there is neither."""
    shipped = _shipped_design_files()
    if str(name_or_path) in shipped:
        return Design.read(shipped[str(name_or_path)])
    if Path(name_or_path).suffix in (".yaml", ".yml", ".json") or Path(name_or_path).exists():
        return Design.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "design")


def _shipped_design_files() -> dict[str, Path]:
    return shipped_files("adaptwin.dataset", ".yaml")
