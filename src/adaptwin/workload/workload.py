"""Adapter and Workload: the adapters of a fleet, their traffic, and the window of time that is simulated."""

import itertools
from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from adaptwin import file_kinds
from adaptwin.lazy import function_from
from adaptwin.plain_data import Ambiguous
from adaptwin.quantities import ItlLimit, TimeSpan, TtftLimit, parse_seconds
from adaptwin.spec import Line, Name, Spec
from adaptwin.workload.arrivals import parse_arrivals, with_absolute_path
from adaptwin.workload.lengths import ASSUMED_LENGTHS, Lengths
from adaptwin.workload.lora_ranks import MOST_RANK, SERVED_RANKS, listed
from adaptwin.workload.peft_features import PeftFeatures
from adaptwin.workload.recorded_prefixes import RecordedPrefixes, repeated_prefixes, require_prefixes
from adaptwin.workload.templates import Template, require_shares
from adaptwin.workload.timestamps import copies, deal, repeated

MOST_SEED = 2**63 - 1  # what a signed 64-bit integer holds
MOST_ADAPTERS = 2_000_000
MOST_SECONDS = 3.2e8  # ten years; times are kept in whole nanoseconds, of which 64 bits hold three hundred
MOST_RATE = 1e6  # requests per second of an adapter: far more than any number of servers is planned for
_ROUNDING = 1e-9  # of sums of shares


def _known_arrivals(value: str | tuple[float, ...] | None, info: ValidationInfo) -> str | tuple[float, ...] | None:
    if isinstance(value, str):
        if info.context:
            value = with_absolute_path(value, info.context["folder"])
        parse_arrivals(value)
    elif value:
        for place, (before, time) in enumerate(itertools.pairwise((0.0, *value))):
            if not before <= time <= MOST_SECONDS:
                known = f"from {before:g}, the timestamp before, " if place else "from 0 "
                raise ValueError(f"timestamp {place} is {time:g}; allowed: {known}to {MOST_SECONDS:g} seconds")
    return value


def _in_seconds(value: Any) -> Any:
    """Timestamps in seconds; each may be given as a time in words, such as ``500ms``."""
    if not isinstance(value, list | tuple) or not any(isinstance(time, str | Ambiguous) for time in value):
        return value
    for place, time in enumerate(value):
        if isinstance(time, Ambiguous):
            raise ValueError(f"entry {place}: {time.advice}")
    return [parse_seconds(time) if isinstance(time, str) else time for time in value]


ArrivalSource = Annotated[str | tuple[float, ...], BeforeValidator(_in_seconds), AfterValidator(_known_arrivals)]


class Adapter(Spec):
    """One LoRA adapter and its traffic; rank 0 stands for traffic to the base model, which needs no slot."""

    name: Name = Field(description="name of the adapter, unique in the fleet")
    rank: int = Field(
        description=f"LoRA rank, at most {MOST_RANK}; vLLM pads it to one of {listed(SERVED_RANKS)}; 0 for traffic to "
        "the base model"
    )
    rate: float = Field(ge=0, le=MOST_RATE, allow_inf_nan=False, description="requests per second")
    lengths: Lengths | None = Field(default=None, description="lengths of requests; None: those of the workload")
    arrivals: ArrivalSource | None = Field(
        default=None, description="arrival process or timestamps (seconds); None: the arrivals of the workload"
    )
    artifact: Line | None = Field(default=None, description="path or URL of the adapter's weights")
    target_modules: tuple[Line, ...] | None = Field(
        default=None, fail_fast=True, description="modules of the model that the adapter changes, as in PEFT"
    )
    slo_ttft: TtftLimit | None = Field(default=None, gt=0, description="limit on TTFT at the 99th percentile, seconds")
    slo_itl: ItlLimit | None = Field(default=None, gt=0, description="limit on the mean ITL, seconds")
    base: Name | None = Field(
        default=None, description="name of the base model that the adapter was trained on; formerly `base_model`"
    )
    features: PeftFeatures | None = Field(
        default=None, description="features beyond a plain LoRA, by which vLLM may refuse the adapter"
    )
    templates: tuple[Template, ...] | None = Field(
        default=None,
        description="what prompts begin with, such as a system prompt; None: the templates of the workload",
    )
    prefixes: RecordedPrefixes | None = Field(
        default=None,
        fail_fast=True,
        description="for each timestamp, which earlier timestamp of the adapter its prompt begins like, counted from "
        "0, and for how many tokens of that prompt and its answer; -1 and 0 for none",
    )

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, fields: Any) -> Any:
        """Take `base_model`, as `base` was called before."""
        if isinstance(fields, dict) and "base_model" in fields:
            if "base" in fields:
                raise ValueError("base_model is the former name of base: give one of them")
            fields = {("base" if name == "base_model" else name): value for name, value in fields.items()}
        return fields

    @field_validator("rank")
    @classmethod
    def _served_rank(cls, rank: int) -> int:
        if rank < 0:
            raise ValueError(f"{rank} must be at least 1, or 0 for traffic to the base model")
        if rank > MOST_RANK:
            raise ValueError(f"{rank} is above {MOST_RANK}, the highest that vLLM serves ({listed(SERVED_RANKS)})")
        return rank

    @field_validator("templates")
    @classmethod
    def _shares_of_templates(cls, templates: tuple[Template, ...] | None) -> tuple[Template, ...] | None:
        require_shares(templates)
        return templates

    @model_validator(mode="after")
    def _prefixes_belong_to_timestamps(self) -> Self:
        if self.prefixes is None:
            return self
        if not isinstance(self.arrivals, tuple):
            raise ValueError("prefixes: need timestamps as arrivals, one for each")
        if self.templates:
            raise ValueError("prefixes: are recorded, so that there can be no templates as well")
        lengths = self.lengths
        prompts = [pair[0] for pair in lengths.pairs] if lengths and lengths.belong_to(len(self.prefixes)) else None
        require_prefixes(self.prefixes, len(self.arrivals), prompts)
        return self

    def scaled(self, factor: float) -> Self:
        """Return the adapter with `factor` times its traffic.

        Of its timestamps, some are left out, or further ones lie between them. Lengths that belong to the timestamps,
        one pair each, are left out or repeated with them.
        """
        if factor == 1.0:
            return self
        if not isinstance(self.arrivals, tuple):
            return self.model_copy(update={"rate": self.rate * factor})
        return self._with_traffic(factor, copies(len(self.arrivals), factor, self.name))

    def split(self, share: float) -> tuple[Self, Self]:
        """Return an adapter with timestamps with this share of them, and with the rest."""
        assert isinstance(self.arrivals, tuple)
        number = copies(len(self.arrivals), share, self.name)
        return self._with_traffic(share, number), self._with_traffic(1.0 - share, 1 - number)

    def _with_traffic(self, factor: float, number: NDArray[np.int64]) -> Self:
        """Return the adapter with `factor` times its rate, and each of its timestamps as often as `number` says."""
        assert isinstance(self.arrivals, tuple)
        update: dict[str, Any] = {"rate": self.rate * factor, "arrivals": repeated(self.arrivals, number)}
        if self.lengths and self.lengths.belong_to(len(number)):
            update["lengths"] = self.lengths.repeated(number.tolist()) if number.any() else None
        if self.prefixes:
            update["prefixes"] = repeated_prefixes(self.prefixes, number)
        return self.model_copy(update=update)


class Workload(Spec):
    """Adapters and their traffic over a window of time, with the seed that it is drawn from."""

    file_kind = file_kinds.FLEET
    _facts = function_from("adaptwin.report.notebook.workload_view", "workload_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.workload_view", "workload_html")
    adapters: tuple[Adapter, ...] = Field(
        max_length=MOST_ADAPTERS, fail_fast=True, description="adapters and their traffic, with distinct names"
    )
    lengths: Lengths = Field(
        default=ASSUMED_LENGTHS, description="lengths of requests to adapters without lengths of their own"
    )
    arrivals: ArrivalSource = Field(
        default="poisson",
        description="arrival process, or timestamps (seconds), of adapters without arrivals of their own",
    )
    duration: TimeSpan = Field(
        default=3600.0, gt=0, le=MOST_SECONDS, allow_inf_nan=False, description="seconds of traffic"
    )
    templates: tuple[Template, ...] = Field(
        default=(), description="what prompts begin with, of adapters without templates or prefixes of their own"
    )
    seed: int = Field(default=0, ge=0, le=MOST_SEED, description="seed of all random draws")

    @field_validator("templates")
    @classmethod
    def _shares_of_templates(cls, templates: tuple[Template, ...]) -> tuple[Template, ...]:
        require_shares(templates)
        return templates

    @field_validator("adapters")
    @classmethod
    def _distinct_names(cls, adapters: tuple[Adapter, ...]) -> tuple[Adapter, ...]:
        seen: dict[str, int] = {}
        for index, adapter in enumerate(adapters):
            if adapter.name in seen:
                raise ValueError(f"duplicate name {adapter.name!r}: entries {seen[adapter.name]} and {index}")
            seen[adapter.name] = index
        return adapters

    def __len__(self) -> int:
        return len(self.adapters)

    @property
    def rate(self) -> float:
        """Requests per second of all adapters together."""
        return sum(self.rates)

    @property
    def max_rank(self) -> int:
        """The highest rank of any adapter; 0 when all traffic goes to the base model."""
        return max((adapter.rank for adapter in self.adapters), default=0)

    @property
    def has_objectives(self) -> bool:
        """Whether some adapter has a limit on latency of its own."""
        return any(adapter.slo_ttft or adapter.slo_itl for adapter in self.adapters)

    def lengths_of(self, adapter: Adapter) -> Lengths:
        """Return the adapter's own lengths, or else those of the workload."""
        return adapter.lengths or self.lengths

    def templates_of(self, adapter: Adapter) -> tuple[Template, ...]:
        """Return the templates that the prompts of an adapter begin with."""
        if adapter.prefixes is not None:
            return ()
        return self.templates if adapter.templates is None else adapter.templates

    @property
    def shares_prefixes(self) -> bool:
        """Whether prompts of some adapter begin alike."""
        return any(self.templates_of(adapter) or adapter.prefixes for adapter in self.adapters)

    @property
    def rates(self) -> list[float]:
        """Requests per second of each adapter, on average over the window.

        It is the adapter's rate, times the mean factor of a file of rates; or its replayed timestamps in the window
        over the duration. Of timestamps of the workload, it is the mean share that the adapter gets.
        """
        rates = MeanRates(self)
        if isinstance(self.arrivals, str) and all(adapter.arrivals is None for adapter in self.adapters):
            factor = rates.mean_factor(self.arrivals)
            return [adapter.rate * factor for adapter in self.adapters]
        return [rates.of(adapter) for adapter in self.adapters]

    def dealt(self, seed: int | None = None) -> Self:
        """Return the workload with its timestamps dealt to the adapters that have no arrivals of their own.

        Each adapter gets timestamps in proportion to its rate, drawn with the seed; None takes the workload's. Lengths
        of the workload that belong to its timestamps, one pair each, are dealt with them to the adapters without
        lengths of their own. A workload without timestamps is returned as it is.
        """
        if isinstance(self.arrivals, str):
            return self
        sharing = [adapter for adapter in self.adapters if adapter.arrivals is None]
        if not sharing:
            return self.model_copy(update={"arrivals": "poisson"})
        chances = [adapter.rate for adapter in sharing]
        places = iter(deal(len(self.arrivals), chances, self.seed if seed is None else seed))
        adapters = tuple(
            adapter if adapter.arrivals is not None else self._with_recorded(adapter, next(places).tolist())
            for adapter in self.adapters
        )
        return self.model_copy(update={"adapters": adapters, "arrivals": "poisson"})

    def _with_recorded(self, adapter: Adapter, places: list[int]) -> Adapter:
        """Return the adapter with the timestamps of the workload at these places, and with their lengths."""
        assert isinstance(self.arrivals, tuple)
        update: dict[str, Any] = {"arrivals": tuple(self.arrivals[place] for place in places)}
        if places and not adapter.lengths and self.lengths.belong_to(len(self.arrivals)):
            update["lengths"] = self.lengths.at(places)
        return adapter.model_copy(update=update)

    def with_arrivals(self, arrivals: str) -> Self:
        """Return the workload with other arrivals; adapters with their own arrivals keep them. Raises `SpecError`.

        The path of a file of rates starts from the working directory.
        """
        return type(self)(**{**dict(self), "arrivals": with_absolute_path(arrivals, Path())})

    def part(self, shares: Mapping[str, float], seed: int | None = None) -> Self:
        """Return the traffic that one server of a fleet receives: each named adapter with this share of its traffic."""
        part = self.parts([shares], seed)[0]
        return part if seed is None else part.model_copy(update={"seed": seed})

    def parts(self, servers: Iterable[Mapping[str, float]], seed: int | None = None) -> list[Self]:
        """Return the traffic that each of several servers receives, given the shares of its adapters.

        Timestamps of the workload are dealt once for all servers, with `seed` or the workload's. Those of a split
        adapter are divided between its servers: each server gets its share of those that the servers before it left.
        """
        whole = self.dealt(seed)
        place = {adapter.name: index for index, adapter in enumerate(whole.adapters)}
        left: dict[str, tuple[Adapter, float]] = {}  # what the servers before have left of a split adapter
        parts = []
        for shares in servers:
            chosen = []
            for index, share in sorted((place[name], share) for name, share in shares.items() if name in place):
                adapter = whole.adapters[index]
                if share >= 1.0 or not isinstance(adapter.arrivals, tuple):
                    chosen.append(adapter.scaled(min(1.0, share)))
                    continue
                rest, remaining = left.get(adapter.name, (adapter, 1.0))
                if share > remaining + _ROUNDING:
                    rest, remaining = adapter, 1.0
                part, rest = rest.split(min(1.0, share / remaining))
                left[adapter.name] = rest, remaining - share
                chosen.append(part)
            parts.append(whole.model_copy(update={"adapters": tuple(chosen)}))
        return parts

    def without(self, names: Container[str]) -> Self:
        """Return the workload without the named adapters.

        The other adapters keep their traffic: timestamps of the workload are thinned out by the share of the others.
        """
        kept = tuple(adapter for adapter in self.adapters if adapter.name not in names)
        changed = self.model_copy(update={"adapters": kept})
        sharing = [adapter for adapter in self.adapters if adapter.arrivals is None]
        if isinstance(self.arrivals, str) or not sharing:
            return changed
        rates = MeanRates(self)
        left = sum(rates.of(adapter) for adapter in sharing if adapter.name not in names)
        every = sum(map(rates.of, sharing))
        number = copies(len(self.arrivals), left / every if every > 0 else 1.0, "")
        update: dict[str, Any] = {"arrivals": repeated(self.arrivals, number)}
        if self.lengths.belong_to(len(number)) and number.any():
            update["lengths"] = self.lengths.repeated(number.tolist())
        return changed.model_copy(update=update)

    def scaled(self, factor: float) -> Self:
        """Return the workload with `factor` times the traffic of every adapter."""
        whole = self.dealt()
        return whole.model_copy(update={"adapters": tuple(adapter.scaled(factor) for adapter in whole.adapters)})

    @property
    def late_timestamps(self) -> tuple[int, int]:
        """Number of timestamps that lie after the window, and of all timestamps."""
        every = [self.arrivals, *(adapter.arrivals for adapter in self.adapters)]
        lists = [arrivals for arrivals in every if isinstance(arrivals, tuple)]
        return sum(len(times) - bisect_left(times, self.duration) for times in lists), sum(map(len, lists))


class MeanRates:
    """Mean requests per second of the adapters of a workload over its window."""

    def __init__(self, workload: Workload) -> None:
        self._usual, self._duration = workload.arrivals, workload.duration
        self._factors: dict[str, float] = {}  # by arrival process
        if isinstance(self._usual, tuple):
            sharing = [adapter.rate for adapter in workload.adapters if adapter.arrivals is None]
            self._total, self._sharing = sum(sharing), len(sharing)

    def of(self, adapter: Adapter) -> float:
        """Return the mean rate of an adapter, as `Workload.rates` says."""
        arrivals = self._usual if adapter.arrivals is None else adapter.arrivals
        if isinstance(arrivals, str):
            return adapter.rate * self.mean_factor(arrivals)
        replayed = bisect_left(arrivals, self._duration) / self._duration
        if adapter.arrivals is not None:
            return replayed
        return replayed * (adapter.rate / self._total if self._total > 0 else 1.0 / self._sharing)

    def mean_factor(self, arrivals: str) -> float:
        """Return the mean factor of an arrival process on the rates of its adapters."""
        if not arrivals.startswith("rates:"):
            return 1.0
        if arrivals not in self._factors:
            seconds = parse_arrivals(arrivals).seconds_at_factor_one(0.0, self._duration)
            self._factors[arrivals] = seconds / self._duration
        return self._factors[arrivals]
