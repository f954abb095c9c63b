"""Migration: the steps that turn a running fleet into another one."""

from typing import Literal, Self

from pydantic import Field, model_validator

from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.spec import Name, Spec
from adaptwin.twin.server import Server

Action = Literal["start", "load", "route", "unload", "restart", "stop"]


NEEDED: dict[Action, tuple[str, ...]] = {  # fields that each action needs
    "start": ("server", "profile", "settings"),
    "load": ("server", "adapter"),
    "route": ("adapter", "shares"),
    "unload": ("server", "adapter"),
    "restart": ("server", "settings"),
    "stop": ("server",),
}


class Step(Spec):
    """One action on a running fleet.

    ``start`` and ``restart`` name a server, its profile and its settings, and the adapter whose weights are merged into
    those of the model, if they are (``settings.merged``); ``stop`` names a server. ``load`` and
    ``unload`` name a server and an adapter (vLLM's ``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter``); where
    the adapter is already loaded, ``load`` replaces its weights in place (``load_inplace``). ``route`` names an adapter
    and the servers that take its requests from then on, with their shares; with no servers, its requests are refused.
    """

    action: Action = Field(description="what to do")
    server: Name | None = Field(default=None, description="server that the step is about; None for route")
    adapter: Name | None = Field(
        default=None, description="adapter of load, unload and route; of start and restart, the one with merged weights"
    )
    shares: dict[Name, TrafficShare] | None = Field(
        default=None, description="share of the adapter's requests that each server takes from then on, for route"
    )
    profile: Name | None = Field(default=None, description="profile of the server, for start and restart")
    settings: Server | None = Field(default=None, description="vLLM settings of the server, for start and restart")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := [name for name in NEEDED[self.action] if getattr(self, name) is None]:
            raise ValueError(f"{missing[0]}: missing (needed to {self.action}: {', '.join(NEEDED[self.action])})")
        if self.settings and self.settings.merged and self.adapter is None:
            raise ValueError("adapter: missing (settings.merged needs the adapter whose weights are merged)")
        return self


class Balancing(Spec):
    """Moves that only relieve the fullest servers, and what they gain, by the estimate of the search."""

    moves: int = Field(ge=0, description="loads of an adapter that was served before, for balance alone")
    headroom_before: float = Field(description="lowest headroom of a server without these moves, as a share")
    headroom_after: float = Field(description="lowest headroom of a server with them, as a share")


class Migration(Spec):
    """The steps from one plan to another, in an order in which every adapter stays served, and their counts."""

    gpus_before: int = Field(ge=0, description="GPUs of the plan that ran before")
    extra_gpus: int = Field(ge=0, description="GPUs needed temporarily, beyond those of the larger of the two plans")
    moves: int = Field(
        ge=0, description="loads of an adapter that was served before, on a server that did not serve it"
    )
    restarts: int = Field(ge=0, description="servers that restart with other settings")
    added: int = Field(ge=0, description="adapters that were not served before")
    departed: int = Field(ge=0, description="adapters that are no longer served")
    balancing: Balancing | None = Field(default=None, description="moves for balance alone; None where there are none")
    overloaded: tuple[Name, ...] = Field(
        default=(), description="servers that for some of the steps get more traffic than they bear, by the twin"
    )
    steps: tuple[Step, ...] = Field(description="steps, in the order in which to take them")
