"""Plans: one plan for each base model of a fleet."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl
from pydantic import Field, model_validator

from adaptwin import file_kinds
from adaptwin.file_kinds import WrongKind
from adaptwin.lazy import function_from
from adaptwin.plan.plan import Plan
from adaptwin.spec import Spec
from adaptwin.workload.workload import Workload

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Plans(Spec):
    """The plans of a fleet, one for each base model; adapters and servers have names of their own in the whole fleet.

    The file of a single plan is that of the plan itself.
    """

    file_kind = file_kinds.PLANS
    _facts = function_from("adaptwin.report.notebook.plan_view", "plans_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.plan_view", "plans_html")

    plans: tuple[Plan, ...] = Field(min_length=1, description="plans, one for each base model")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        """Check that no base model, adapter or server is in two plans."""
        for what, names in (
            ("base model", (plan.base for plan in self.plans)),
            ("adapter", (adapter.name for plan in self.plans for adapter in plan.workload.adapters)),
            ("server", (server.name for plan in self.plans for server in plan.servers)),
        ):
            if twice := _first_repeated(names):
                raise ValueError(f"plans: two plans have the {what} {twice!r}")
        return self

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read plans from a YAML or JSON file, which may be that of a single plan; raises `SpecError`."""
        try:
            return cls(plans=(Plan.read(path),))
        except WrongKind as error:
            if error.kind != file_kinds.PLANS:
                raise
        return super().read(path)

    def file_form(self) -> dict[str, Any]:
        """Return the plain data of the file, which is that of the plan if there is one only."""
        return super().file_form() if self.are_several else self.plans[0].file_form()

    @property
    def are_several(self) -> bool:
        """Whether the fleet has several base models."""
        return len(self.plans) > 1

    @property
    def workload(self) -> Workload:
        """The adapters of all plans with their traffic."""
        first, *others = (plan.workload for plan in self.plans)
        adapters = [*first.adapters, *(adapter for other in others for adapter in other.adapters)]
        return first.model_copy(update={"adapters": tuple(adapters)})

    def with_arrivals(self, arrivals: str) -> Self:
        """Return the plans for other arrivals; adapters with their own arrivals keep them. Raises `SpecError`."""
        changed = (plan.model_copy(update={"workload": plan.workload.with_arrivals(arrivals)}) for plan in self.plans)
        return self.model_copy(update={"plans": tuple(changed)})

    def to_polars(self) -> pl.DataFrame:
        """Return the tables of all plans as one, with the `base` model in the first column; see `Plan.to_polars`."""
        return pl.concat(
            plan.to_polars().select(pl.lit(plan.base, dtype=pl.String).alias("base"), pl.all()) for plan in self.plans
        )

    @property
    def figures(self) -> "Mapping[str, Mapping[str, Figure]]":
        """The plotly figures of each plan, by its base model and by name, as in ``plans.figures[BASE]["packing"]``."""
        return {plan.base: plan.figures for plan in self.plans}

    @property
    def gpus(self) -> int:
        """Number of GPUs of all plans, standbys included."""
        return sum(plan.gpus for plan in self.plans)

    @property
    def lower_bound(self) -> int:
        """Lower bound on the number of GPUs, each of which serves one base model or is a spare of it."""
        return sum(plan.lower_bound for plan in self.plans)

    @property
    def cost_per_hour(self) -> float | None:
        """Total price of the GPUs per hour; None where a price is unknown."""
        return _total(plan.cost_per_hour for plan in self.plans)

    @property
    def cost_bound(self) -> float | None:
        """Lower bound on the price per hour; None where a price is unknown."""
        return _total(plan.cost_bound for plan in self.plans)

    @property
    def currency(self) -> str:
        """Currency of all prices; empty if it is not known."""
        return self.plans[0].options.currency

    @property
    def verified(self) -> bool:
        """Whether every plan held in simulations with fresh arrivals."""
        return all(plan.verified for plan in self.plans)

    @property
    def breaks_promise(self) -> bool:
        """Whether a plan is not verified although its objective promises that no adapter is starved."""
        return any(plan.promises and not plan.verified for plan in self.plans)


def _first_repeated(names: Iterable[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _total(prices: Iterable[float | None]) -> float | None:
    known = list(prices)
    return None if None in known else sum(price for price in known if price)
