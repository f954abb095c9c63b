"""Design: the servers and the traffic that a sweep simulates, as a design file holds them."""

import itertools
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationInfo, WrapValidator, field_validator, model_validator

from adaptwin import file_kinds
from adaptwin.dataset.shipped_designs import shipped_designs
from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.lazy import function_from
from adaptwin.profile.hardware.model_config import model_meant
from adaptwin.profile.profile import is_profile_file, shipped_profiles
from adaptwin.profile.profile_source import DerivedProfile, ProfileSource
from adaptwin.quantities import Fraction
from adaptwin.spec import Spec
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.drawing.requests import MOST_REQUESTS
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.lora_ranks import MOST_RANK
from adaptwin.workload.sources.popularity import parse_popularity

NO_SCIPY = "{} needs SciPy: pip install 'adaptwin[train]'"
LengthKind = Literal["sharegpt", "fixed", "lognormal", "several"]
Values = dict[str, Any]  # one value per dimension of a design; means of lengths that no kind uses may be absent
MEANS: dict[LengthKind, tuple[str, ...]] = {  # dimensions that each kind of lengths uses
    "sharegpt": (),
    "fixed": ("input_mean", "output_mean"),
    "lognormal": ("input_mean", "output_mean", "length_cv"),
    "several": ("input_mean", "output_mean", "length_cv"),
}
BOUNDS = {  # lowest and highest value allowed in a dimension
    "adapters": (1, 100_000),
    "base_share": (0, 0.99),
    "utilisation": (1e-6, 1000),
    "input_mean": (1, MAX_TOKENS / 4),  # several lognormals are up to four times as long
    "output_mean": (1, MAX_TOKENS / 4),
    "length_cv": (0, 100),
    "system_prompt": (0, 0.99),
    "duration": (0.001, 1e8),
    "max_loras": (1, 100_000),
    "max_num_seqs": (1, 1_000_000),
    "max_num_batched_tokens": (1, MAX_TOKENS),
    "max_model_len": (1, MAX_TOKENS),
    "gpu_memory_utilization": (0.01, 1),
}


class Range(Spec):
    """A range of numbers from which a value is drawn evenly."""

    low: float = Field(allow_inf_nan=False, description="lowest value")
    high: float = Field(allow_inf_nan=False, description="highest value")
    log: bool = Field(default=False, description="whether values are drawn evenly on a logarithmic scale")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be above 0 on a logarithmic range")
        return self

    def at(self, share: float) -> float:
        """Return the number below which this share of the range lies."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


def _choices_of(kind: type[float]) -> WrapValidator:
    """Accept a list of numbers or a `Range`, with errors that name the place and not the branches of a union."""
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
    """Mixes of adapters on servers, each simulated under several loads.

    Every field from `adapters` on is a dimension: a list of choices, or a `Range`. A choice that is listed twice is
    drawn twice as often. A mix has one value of each dimension. The sampler ``grid`` takes all combinations that can be
    simulated; the other samplers draw `mixes` of them. The contents of a mix depend only on the design and the number
    of the mix.
    """

    file_kind = file_kinds.DESIGN
    _facts = function_from("adaptwin.report.notebook.surrogate_view", "design_facts")
    profiles: tuple[ProfileSource, ...] = Field(
        min_length=1,
        description="shipped names or files, or GPUs and models to derive profiles from; assigned to mixes in turn",
    )
    sampler: Literal["grid", "sobol", "lhs", "random"] = Field(
        default="sobol",
        description="how mixes are drawn: all combinations, a Sobol sequence, a Latin hypercube, or independently",
    )
    mixes: int = Field(default=1000, ge=1, description="number of mixes to draw; ignored by the sampler grid")
    loads: int = Field(default=4, ge=1, description="runs of each mix, at different total rates")
    boundary: Fraction = Field(
        default=0.5, ge=0, le=1, description="share of the loads placed where the server stops serving all traffic"
    )
    seed: int = Field(default=0, ge=0, description="seed of all random draws")
    most_requests: int = Field(
        default=400_000, ge=1, le=MOST_REQUESTS, description="requests in one run; a higher rate is lowered to this"
    )

    adapters: Counts = Field(default=Range(low=1, high=512, log=True), description="adapters of a mix")
    ranks: tuple[tuple[int, ...], ...] = Field(
        default=((8,), (8, 16), (8, 16, 32)),
        description="lists of LoRA ranks; the ranks of the drawn list are assigned to adapters in turn",
    )
    popularity: tuple[str, ...] = Field(
        default=("uniform", "dirichlet:0.5", "zipf:1.0"),
        description="how traffic is shared; or rates:3.2,1.6,0.8, requests/s assigned to adapters in turn",
    )
    base_share: Numbers = Field(default=(0.0,), description="share of the traffic that goes to the base model")
    utilisation: Numbers | None = Field(
        default=Range(low=0.03, high=3.0, log=True),
        description="arriving traffic over what a full batch serves; null if popularities are rates",
    )
    lengths: tuple[LengthKind, ...] = Field(
        default=("sharegpt",), description="kind of request lengths; several: three lognormal distributions"
    )
    input_mean: Numbers = Field(
        default=Range(low=20, high=4000, log=True), description="mean prompt tokens; unused by sharegpt"
    )
    output_mean: Numbers = Field(
        default=Range(low=10, high=800, log=True), description="mean answer tokens; unused by sharegpt"
    )
    length_cv: Numbers = Field(
        default=Range(low=0.2, high=1.5), description="coefficient of variation of lognormal lengths, one or several"
    )
    system_prompt: Numbers = Field(
        default=(0.0,),
        description="tokens of a system prompt that the requests of each adapter begin with, over its mean prompt",
    )
    arrivals: tuple[str, ...] = Field(
        default=("poisson",), description="arrival process: poisson, gamma:cv=3 or regimes:period=300,factor=1.5"
    )
    duration: Numbers = Field(default=(3600.0,), description="seconds of traffic in a run")
    max_loras: Counts = Field(
        default=Range(low=0.0, high=1.2),
        description="slots; a range is on a log scale from 1 slot (0) to the most that start and are useful (1)",
    )
    further_padding: tuple[bool, ...] = Field(
        default=(False,), description="whether max_lora_rank is one step above the highest rank"
    )
    max_num_seqs: tuple[int, ...] = Field(default=(256,), description="requests that may run at once")
    max_num_batched_tokens: tuple[int, ...] = Field(
        default=(2048,), description="token budget of a step; raised to max_num_seqs where it is lower"
    )
    max_model_len: tuple[int | None, ...] = Field(
        default=(None,), description="tokens of one request, prompt and answer; null: the model's"
    )
    gpu_memory_utilization: Numbers = Field(default=(0.9,), description="share of the GPU memory that vLLM may use")
    async_scheduling: tuple[bool, ...] = Field(
        default=(False,), description="whether a step is planned while the previous one is computed"
    )

    @field_validator("profiles")
    @classmethod
    def _beside_the_design(cls, sources: tuple[ProfileSource, ...], info: ValidationInfo) -> tuple[ProfileSource, ...]:
        folder = Path(info.context["folder"]) if info.context else None
        return tuple(_source_from(source, folder) for source in sources)

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
            raise ValueError("each list needs at least one rank")
        for rank in itertools.chain(*mixes):
            if not 1 <= rank <= MOST_RANK:
                raise ValueError(f"{rank} is not a rank from 1 to {MOST_RANK}")
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
                raise ValueError(f"{text!r}: a design cannot use a file (poisson, gamma:cv=3, regimes:factor=1.5)")
            parse_arrivals(text)
        return processes

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for name in dimension_names():
            if getattr(self, name) == ():
                raise ValueError(f"{name}: needs at least one value")
        absolute = {absolute_rates(text) is not None for text in self.popularity}
        if absolute != {self.utilisation is None}:
            raise ValueError("popularity: rates:... needs utilisation null, all others need a utilisation")
        if self.utilisation is None and self.loads > 1:
            raise ValueError(f"loads: {self.loads} must be 1 if popularities are rates")
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
        """Return the plain data of the design file, with all defaults and a utilisation that is null."""
        return self.model_dump(mode="json")

    def values(self) -> list[Values]:
        """Return the values of every mix, in order; a grid includes combinations that cannot be simulated."""
        fixed = {name: (getattr(self, name) or (None,))[0] for name in dimension_names() if not self._is_range(name)}
        choices = [getattr(self, name) for name in self.varying]
        if self.sampler == "grid":
            rows: Iterable[Iterable[Any]] = itertools.product(*choices)
        else:
            rows = ([_value_at(c, u) for c, u in zip(choices, point, strict=True)] for point in self._points())
        return [{**fixed, **dict(zip(self.varying, row, strict=True))} for row in rows]

    def _points(self) -> NDArray[np.float64]:
        """Draw points of the unit cube, shape (mixes, varying dimensions)."""
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
        else:  # drawn as a power of two, because only then a Sobol sequence is evenly spread
            points = qmc.Sobol(dimensions, rng=self.seed).random_base2((self.mixes - 1).bit_length())[: self.mixes]
        return points


def _source_from(source: ProfileSource, folder: Path | None) -> ProfileSource:
    """Return a source whose paths do not depend on the folder of the design file; None where there is no file."""
    if isinstance(source, DerivedProfile):
        try:
            meant = model_meant(source.model, folder or Path())
        except SpecError as error:
            raise ValueError(f"model: {error.message}") from None
        return source.model_copy(update={"model": str(meant.resolve() if isinstance(meant, Path) else meant)})
    if is_profile_file(source):
        return str(((folder or Path()) / source).resolve())
    if folder and source not in shipped_profiles():
        raise ValueError(neither_file_nor(source, shipped_profiles()))
    return source


def dimension_names() -> list[str]:
    """Return the names of all dimensions of a design, in order."""
    names = list(Design.model_fields)
    return names[names.index("adapters") :]


def absolute_rates(popularity: str) -> tuple[float, ...] | None:
    """Parse the requests/s of ``rates:3.2,1.6,0.8``; None for a popularity that gives shares and not rates."""
    if not popularity.startswith("rates:"):
        return None
    try:
        rates = tuple(float(rate) for rate in popularity.removeprefix("rates:").split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 <= rate < math.inf for rate in rates):
        raise SpecError(f"{popularity!r} must be rates: followed by requests/s, separated by commas", "popularity")
    return rates


def _value_at(dimension: tuple[Any, ...] | Range, share: float) -> Any:
    return dimension.at(share) if isinstance(dimension, Range) else dimension[int(share * len(dimension))]


def load_design(name_or_path: str | Path) -> Design:
    """Load a shipped design by name, or a design from a file; raises `SpecError` if there is neither."""
    shipped = shipped_designs()
    if str(name_or_path) in shipped:
        return Design.read(shipped[str(name_or_path)])
    if Path(name_or_path).suffix in (".yaml", ".yml", ".json") or os.path.exists(name_or_path):
        return Design.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "design")
