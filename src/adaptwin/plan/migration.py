"""Step and Migration: how a running fleet becomes another one, action by action."""

from typing import Literal

from pydantic import Field

from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.spec import Spec
from adaptwin.twin.server import Server

Action = Literal["start", "load", "route", "unload", "restart", "stop"]


class Step(Spec):
    """One action on a running fleet.

    ``start`` and ``restart`` name a server, its profile and its settings; ``stop`` names a server. ``load`` and
    ``unload`` name a server and an adapter (vLLM's ``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter``); where
    the adapter is loaded already, ``load`` replaces its weights in place (``load_inplace``). ``route`` names an adapter
    and gives the servers that take its requests from now on, with their shares; without any, they are refused.
    """

    action: Action
    server: str | None = None
    adapter: str | None = None
    shares: dict[str, TrafficShare] | None = None
    profile: str | None = None
    settings: Server | None = None


class Migration(Spec):
    """The steps from one plan to another, in an order that leaves no adapter unserved, and what they come to."""

    gpus_before: int = Field(ge=0)
    extra_gpus: int = Field(ge=0, description="GPUs needed for a while, beyond those of the larger of the two plans")
    moves: int = Field(ge=0, description="loads of an adapter that was served before, on a server it was not on")
    restarts: int = Field(ge=0, description="servers that get other settings")
    added: int = Field(ge=0, description="adapters that were not served before")
    departed: int = Field(ge=0, description="adapters that are no longer served")
    steps: tuple[Step, ...]
