"""Adapter and Workload: the adapters of a fleet, their traffic, and the window of time that is simulated."""

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
)  # values that vLLM accepts for --max-lora-rank (vllm/config/lora.py)


def _known_arrivals(value: str | tuple[float, ...] | None, info: ValidationInfo) -> str | tuple[float, ...] | None:
    if isinstance(value, str):
        if value.startswith("rates:") and info.context:
            value = f"rates:{Path(info.context['folder'], value.removeprefix('rates:')).resolve()}"
        parse_arrivals(value)
    elif value and (min(value) < 0 or list(value) != sorted(value)):
        raise ValueError("timestamps must be at least 0 and in ascending order")
    return value


ArrivalSource = Annotated[str | tuple[float, ...], AfterValidator(_known_arrivals)]


class Adapter(Spec):
    """One LoRA adapter and its traffic; rank 0 stands for traffic to the base model, which needs no slot."""

    name: str = Field(min_length=1, description="name of the adapter, unique in the fleet")
    rank: int = Field(
        description=f"LoRA rank, one of {', '.join(map(str, SERVED_RANKS))}; 0 for traffic to the base model"
    )
    rate: float = Field(ge=0, allow_inf_nan=False, description="requests per second")
    lengths: Lengths | None = Field(default=None, description="lengths of requests; None: those of the workload")
    arrivals: ArrivalSource | None = Field(
        default=None, description="arrival process or timestamps (seconds); None: the arrivals of the workload"
    )
    artifact: str | None = Field(default=None, description="path or URL of the adapter's weights")
    target_modules: tuple[str, ...] | None = Field(
        default=None, description="modules of the model that the adapter changes, as in PEFT"
    )
    slo_ttft: float | None = Field(default=None, gt=0, description="limit on TTFT at the 99th percentile, seconds")
    slo_itl: float | None = Field(default=None, gt=0, description="limit on the mean ITL, seconds")

    @field_validator("rank")
    @classmethod
    def _served_rank(cls, rank: int) -> int:
        if rank != 0 and rank not in SERVED_RANKS:
            raise ValueError(f"{rank} is not a rank vLLM serves ({', '.join(map(str, SERVED_RANKS))}; 0: base model)")
        return rank

    def scaled(self, factor: float) -> Self:
        """Return the adapter with `factor` times its traffic; its timestamps are thinned out evenly or repeated."""
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
    """Adapters and their traffic over a window of time, with the seed that it is drawn from."""

    file_kind = file_kinds.FLEET
    adapters: tuple[Adapter, ...] = Field(description="adapters and their traffic, with distinct names")
    lengths: Lengths = Field(
        default=Lengths(kind="sharegpt"), description="lengths of requests to adapters without lengths of their own"
    )
    arrivals: ArrivalSource = Field(
        default="poisson",
        description="arrival process, or timestamps (seconds), of adapters without arrivals of their own",
    )
    duration: float = Field(default=3600.0, gt=0, allow_inf_nan=False, description="seconds of traffic")
    seed: int = Field(default=0, ge=0, description="seed of all random draws")

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
        return sum(self.rate_of(adapter) for adapter in self.adapters)

    @property
    def max_rank(self) -> int:
        """The highest rank of any adapter; 0 when all traffic goes to the base model."""
        return max((adapter.rank for adapter in self.adapters), default=0)

    def lengths_of(self, adapter: Adapter) -> Lengths:
        """Return the adapter's own lengths, or else those of the workload."""
        return adapter.lengths or self.lengths

    def rate_of(self, adapter: Adapter) -> float:
        """Requests per second of an adapter: its rate, or its replayed timestamps in the window over the duration."""
        if isinstance(adapter.arrivals, tuple):
            return sum(time < self.duration for time in adapter.arrivals) / self.duration
        return adapter.rate

    def tokens_per_second(self, adapter: Adapter) -> float:
        """Mean prompt and output tokens per second that the adapter's requests ask for."""
        lengths = self.lengths_of(adapter)
        return self.rate_of(adapter) * (lengths.mean_input + lengths.mean_output)

    def with_arrivals(self, arrivals: str) -> Self:
        """Return the workload with other arrivals; adapters with their own arrivals keep them. Raises `SpecError`."""
        return type(self)(**{**dict(self), "arrivals": arrivals})

    def part(self, shares: Mapping[str, float], seed: int | None = None) -> Self:
        """Return the traffic that one server of a fleet receives: each named adapter with this share of its traffic."""
        part = self.parts([shares])[0]
        return part if seed is None else part.model_copy(update={"seed": seed})

    def parts(self, servers: Iterable[Mapping[str, float]]) -> list[Self]:
        """Return the traffic that each of several servers receives, given the shares of its adapters."""
        place = {adapter.name: index for index, adapter in enumerate(self.adapters)}
        parts = []
        for shares in servers:
            known = sorted((place[name], share) for name, share in shares.items() if name in place)
            chosen = tuple(self.adapters[index].scaled(min(1.0, share)) for index, share in known)
            parts.append(self.model_copy(update={"adapters": chosen}))
        return parts

    def scaled(self, factor: float) -> Self:
        """Return the workload with `factor` times the traffic of every adapter."""
        return self.model_copy(update={"adapters": tuple(adapter.scaled(factor) for adapter in self.adapters)})
