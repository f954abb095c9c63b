"""PlanOptions: the options of a plan, besides its workload and profiles."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, ValidationInfo, WrapValidator

from adaptwin.errors import SpecError
from adaptwin.plain_data import is_number
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.profile.profile import MOST_PRICE
from adaptwin.quantities import FieldShare, ItlLimit, TimeSpan, TtftLimit, parse_share
from adaptwin.spec import Line, Name, Spec, first_problem


def _require_within(value: float, *, low: int, high: int) -> float:
    if not low <= value <= high:
        raise ValueError(f"{value} must be from {low} to {high}")
    return value


def _within(low: int, high: int) -> AfterValidator:
    return AfterValidator(partial(_require_within, low=low, high=high))


def _require_probability(value: float) -> float:
    if not 0.0 < value <= MOST_CONFIDENCE:
        raise ValueError(f"{value} must be above 0 and at most {MOST_CONFIDENCE}")
    return value


MOST_CONFIDENCE = 0.995  # for which 800 runs are simulated
MOST_GPUS = 10_000  # of a plan

Share = Annotated[FieldShare, _within(0, 10)]
AskedConfidence = Annotated[FieldShare, AfterValidator(_require_probability)]
RateUncertainty = Annotated[FieldShare, _within(0, 1)]
Spare = Annotated[int, _within(0, 8)]
Price = Annotated[float, Field(gt=0, le=MOST_PRICE, allow_inf_nan=False)]
LatencyKind = Literal["itl", "ttft"]
VerifiedServers = Literal["samples", "all"]


_SHARE: TypeAdapter[float] = TypeAdapter(Share)


def _share_or_profile(value: Any, _union: Any, info: ValidationInfo) -> Any:
    """Validate a margin; errors name the field instead of the branches of the union."""
    if value == "profile":
        return value
    if isinstance(value, str):
        if not is_number(value.removesuffix("%")):
            raise ValueError(f"{value!r} is neither a share, such as 0.2, nor the word profile")
        value = parse_share(value)
        return _SHARE.validate_python(value)
    return _SHARE.validate_python(value, context=info.context)


Currency = Annotated[Line, Field(max_length=12)]
Margin = Annotated[Share | Literal["profile"], WrapValidator(_share_or_profile)]


class PlanOptions(Spec):
    """Options of a plan: keywords of `make_plan`, `planning` in a fleet file, options of `adaptwin plan`.

    Objective and strategy are given by name; `make_plan` refuses names that it does not know.
    """

    objective: Name = Field(default="min-gpus", description="what the plan optimises, by name")
    strategy: Name = Field(default="pack", description="how adapters are placed on servers of one type, by name")
    headroom: Share = Field(
        default=0.0,
        description="extra traffic that every GPU must be able to serve if rates grow or are wrong, as a share",
    )
    margin: Margin = Field(
        default=0.0,
        description="extra traffic, on top of headroom, to allow for errors of the twin: `profile` to use the "
        "profile's measured uncertainty, or a share",
    )
    gpus: int | None = Field(
        default=None,
        ge=1,
        le=MOST_GPUS,
        description="number of GPUs, for objectives that do not choose it; as many servers as these GPUs make whole, "
        "where each has several",
    )
    ttft_p99: TtftLimit | None = Field(
        default=None,
        gt=0,
        description="upper limit for the 99th percentile of the time to first token on every server, such as "
        "2s or 50ms; in a file, a number is in seconds",
    )
    itl_p99: ItlLimit | None = Field(
        default=None,
        gt=0,
        description="upper limit for the 99th percentile of the time between tokens on every server, such as "
        "2s or 50ms; in a file, a number is in seconds",
    )
    latency: LatencyKind = Field(
        default="itl",
        description="latency that the objective min-latency minimises, and that others lower on as many GPUs: itl or "
        "ttft",
    )
    constraints: Constraints = Field(
        default=Constraints(), description="adapters that are pinned to a server, kept apart, or kept together"
    )
    host_memory_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="host memory that the adapters of a server may take, in GiB; vLLM pins it, for each GPU of a "
        "server anew",
    )
    verify: VerifiedServers = Field(
        default="samples",
        description="servers that are simulated to verify the plan: all, or samples where many have like adapters",
    )
    allow_merged: bool = Field(
        default=False,
        description="whether an adapter with much traffic may get servers of its own with its weights merged into "
        "those of the model, where this saves GPUs; to serve it as a LoRA adapter again, they must restart; only under "
        "objectives that find the number of GPUs",
    )
    confidence: AskedConfidence | None = Field(
        default=None,
        description="probability with which a fresh window of traffic must hold, such as 95%, as simulated; only under "
        "objectives that find the number of GPUs",
    )
    rate_uncertainty: RateUncertainty = Field(
        default=0.0,
        description="how wrong each rate may be in these simulations, as a share: the standard deviation of the factor "
        "on it",
    )
    prices: dict[Name, Price] = Field(
        default_factory=dict,
        description="price of one GPU per hour, by profile, in any currency; a group costs that for each of its GPUs",
    )
    currency: Currency = Field(default="", description="currency of all prices, such as USD, as reports show it")
    spare: Spare = Field(
        default=0,
        description="number of GPUs that may fail at once with all adapters still served; a server stops when any of "
        "its GPUs fails, so that as many servers may stop at once",
    )
    accept_rough: bool = Field(
        default=False,
        description="also plan with profiles whose grade is rough: models with experts, whose law no real server was "
        "compared with",
    )
    time_limit: TimeSpan | None = Field(default=None, gt=0, description="time limit of the search, in seconds")

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Make options from keywords; raises `SpecError`, which names the keyword."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            field, message = first_problem(error, cls)
            raise SpecError(message, field) from None

    @property
    def latency_limits(self) -> LatencyLimits:
        """The limits on latency that every server must keep."""
        return LatencyLimits(ttft_p99=self.ttft_p99, itl_p99=self.itl_p99)
