"""Applied: what a plan needed, and what of it is done."""

from pydantic import Field

from adaptwin.plan.migration import Step
from adaptwin.spec import Spec


class Applied(Spec):
    """The steps to a plan, how many of them are taken, and what is left."""

    steps: tuple[Step, ...] = Field(description="steps that the running fleet needs, in their order")
    reloads: tuple[Step, ...] = Field(
        default=(), description="loads among the steps that replace the weights of an adapter that is loaded already"
    )
    taken: int = Field(default=0, description="number of steps that are taken")
    undrained: tuple[Step, ...] = Field(
        default=(), description="unloads that were left out because requests did not end in time"
    )
    waits_for: Step | None = Field(
        default=None, description="server that somebody must start or restart before the steps go on; None: nobody"
    )
    waits_for_routes: bool = Field(
        default=False, description="whether requests must be routed by the plan before the steps go on"
    )
    waits_for_router: bool = Field(
        default=False, description="whether a router must be started again, as it does not follow the routes by itself"
    )
    notes: tuple[str, ...] = Field(default=(), description="what is worth knowing besides, a sentence each")
    to_stop: tuple[str, ...] = Field(default=(), description="servers that the plan no longer needs")
    restarts: dict[str, tuple[str, ...]] = Field(
        default={}, description="settings that differ from the plan's and need a restart, in words, by server"
    )
    unchecked: tuple[str, ...] = Field(default=(), description="settings that the servers do not say")
    unmanaged: dict[str, tuple[str, ...]] = Field(
        default={}, description="adapters that are loaded and that the plan does not know, by server; left alone"
    )
    is_dry_run: bool = Field(default=False, description="whether nothing was done")

    @property
    def is_complete(self) -> bool:
        """Whether the running fleet is that of the plan."""
        return self.taken == len(self.steps) and not (
            self.undrained or self.waits_for or self.waits_for_routes or self.restarts
        )
