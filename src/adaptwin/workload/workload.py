"""Adapter and Workload: who is served, how much each asks for, and for how long we look."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from adaptwin import file_kinds
from adaptwin.spec import Spec
from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.lengths import Lengths

SERVED_RANKS = (
    1,
    8,
    16,
    32,
    64,
    128,
    256,
    320,
    512,
)  # vLLM's choices for --max-lora-rank (vllm/config/lora.py)


def _known_arrivals(value: str | tuple[float, ...] | None, info: ValidationInfo) -> str | tuple[float, ...] | None:
    if isinstance(value, str):
        if value.startswith("rates:") and info.context:
            value = f"rates:{Path(info.context['folder'], value.removeprefix('rates:')).resolve()}"
        parse_arrivals(value)
    elif value and (min(value) < 0 or list(value) != sorted(value)):
        raise ValueError("timestamps must be at least 0 and in rising order")
    return value


ArrivalSource = Annotated[str | tuple[float, ...], AfterValidator(_known_arrivals)]


class Adapter(Spec):
    """One LoRA adapter and the traffic it gets; rank 0 is traffic to the base model, which needs no slot."""

    name: str = Field(min_length=1)
    rank: int
    rate: float = Field(ge=0, allow_inf_nan=False, description="requests per second")
    lengths: Lengths | None = Field(default=None, description="None takes the workload's")
    arrivals: ArrivalSource | None = Field(default=None, description="None takes the workload's")
    artifact: str | None = Field(default=None, description="path or URL of the weights")
    target_modules: tuple[str, ...] | None = None
    slo_ttft: float | None = Field(default=None, gt=0, description="seconds, for the 99th percentile")
    slo_itl: float | None = Field(default=None, gt=0, description="seconds, for the mean")

    @field_validator("rank")
    @classmethod
    def _served_rank(cls, rank: int) -> int:
        if rank != 0 and rank not in SERVED_RANKS:
            raise ValueError(f"{rank} is not a rank vLLM serves ({', '.join(map(str, SERVED_RANKS))}; 0: base model)")
        return rank

    def scaled(self, factor: float) -> Self:
        """The adapter with `factor` times its traffic; of replayed timestamps an even selection, or repetitions."""
        if factor == 1.0:
            return self
        update: dict[str, Any] = {"rate": self.rate * factor}
        if isinstance(self.arrivals, tuple):
            copies = (int((i + 1) * factor) - int(i * factor) for i in range(len(self.arrivals)))
            update["arrivals"] = tuple(
                time for time, count in zip(self.arrivals, copies, strict=True) for _ in range(count)
            )
        return self.model_copy(update=update)


class Workload(Spec):
    """Adapters and their traffic over a window of time; the seed is part of it."""

    file_kind = file_kinds.FLEET
    adapters: tuple[Adapter, ...]
    lengths: Lengths = Lengths(kind="sharegpt")
    arrivals: ArrivalSource = "poisson"
    duration: float = Field(default=3600.0, gt=0, allow_inf_nan=False, description="seconds")
    seed: int = Field(default=0, ge=0)

    @field_validator("adapters")
    @classmethod
    def _distinct_names(cls, adapters: tuple[Adapter, ...]) -> tuple[Adapter, ...]:
        seen: dict[str, int] = {}
        for index, adapter in enumerate(adapters):
            if adapter.name in seen:
                raise ValueError(f"name {adapter.name!r} stands twice: entries {seen[adapter.name]} and {index}")
            seen[adapter.name] = index
        return adapters

    def __len__(self) -> int:
        return len(self.adapters)

    @property
    def rate(self) -> float:
        """Requests per second over all adapters."""
        return sum(self.rate_of(adapter) for adapter in self.adapters)

    @property
    def max_rank(self) -> int:
        """The highest rank among the adapters; 0 when there is only base-model traffic."""
        return max((adapter.rank for adapter in self.adapters), default=0)

    def lengths_of(self, adapter: Adapter) -> Lengths:
        """The adapter's own lengths, or the workload's."""
        return adapter.lengths or self.lengths

    def rate_of(self, adapter: Adapter) -> float:
        """Requests per second of an adapter: its rate, or what its replayed timestamps come to."""
        if isinstance(adapter.arrivals, tuple):
            return sum(time < self.duration for time in adapter.arrivals) / self.duration
        return adapter.rate

    def tokens_per_second(self, adapter: Adapter) -> float:
        """Prompt and output tokens per second that the adapter asks for in the mean."""
        lengths = self.lengths_of(adapter)
        return self.rate_of(adapter) * (lengths.mean_input + lengths.mean_output)

    def with_arrivals(self, arrivals: str) -> Self:
        """The workload with other arrivals; adapters with arrivals of their own keep those. Raises `SpecError`."""
        return type(self)(**{**dict(self), "arrivals": arrivals})

    def part(self, shares: Mapping[str, float], seed: int | None = None) -> Self:
        """The traffic of the named adapters only, each with its share: what one server sees of a fleet."""
        part = self.parts([shares])[0]
        return part if seed is None else part.model_copy(update={"seed": seed})

    def parts(self, servers: Iterable[Mapping[str, float]]) -> list[Self]:
        """What each of several servers sees, given the adapters of each with their shares."""
        place = {adapter.name: index for index, adapter in enumerate(self.adapters)}
        parts = []
        for shares in servers:
            known = sorted((place[name], share) for name, share in shares.items() if name in place)
            chosen = tuple(self.adapters[index].scaled(min(1.0, share)) for index, share in known)
            parts.append(self.model_copy(update={"adapters": chosen}))
        return parts

    def scaled(self, factor: float) -> Self:
        """The same adapters with `factor` times the traffic each."""
        return self.model_copy(update={"adapters": tuple(adapter.scaled(factor) for adapter in self.adapters)})
