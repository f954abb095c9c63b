"""PlanCall: what a call of adaptwin plan asks for, once its files are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.plan.plans import Plans
    from adaptwin.profile.profile import Profile
    from adaptwin.progress import Progress
    from adaptwin.surrogate.surrogate import Surrogate


class PlanCall(NamedTuple):
    """What to plan, how to search, and where the result goes."""

    file: Path  # of the fleet
    fleet: "Fleet"
    profiles: "Sequence[Profile]"
    overrides: Mapping[str, Any]  # fields of `PlanOptions`
    arrivals: str | None
    seed: int | None
    surrogate: "Surrogate | Literal['shipped'] | None"
    stress_runs: int  # 0: none
    engine: Literal["local", "ray"]
    address: str | None
    out: Path | None
    report: Path | None
    as_json: bool

    @contextmanager
    def searching(self) -> "Iterator[Progress]":
        """Show the progress of a search, whose errors name the file of the fleet."""
        from adaptwin.cli.progress import progress_bar
        from adaptwin.engine import workers

        with progress_bar() as progress, workers(self.engine, self.address):
            try:
                yield progress
            except Infeasible as error:
                raise Infeasible(f"{self.file}: {error}") from None
            except SpecError as error:
                raise (error.at(self.file) if error.field.startswith("server.") else error) from None

    def stressed(self, plans: "Plans", progress: "Progress") -> "Plans":
        """Return the plans with the runs under stress that are asked for."""
        from adaptwin.placement.verification.stress import stress

        if not self.stress_runs:
            return plans
        changed = (
            plan.model_copy(update={"stress": stress(plan, runs=self.stress_runs, progress=progress)})
            for plan in plans.plans
        )
        return plans.model_copy(update={"plans": tuple(changed)})

    @property
    def time_limit(self) -> float | None:
        """Seconds of search, of the command line or of the fleet."""
        limit: float | None = self.overrides.get("time_limit", self.fleet.planning.time_limit)
        return limit
