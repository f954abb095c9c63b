"""The settings common to all servers of a plan, and those that are a planner's to choose."""

from adaptwin.errors import SpecError
from adaptwin.twin.server import Server

PLANNED = ("max_loras", "max_lora_rank", "max_cpu_loras", "kv_cache_tokens")  # settings that are a planner's to choose


def common_settings(server: Server) -> Server:
    """The settings that were given to the planner: without those that are its own to choose."""
    return server.model_copy(update={name: getattr(Server(), name) for name in PLANNED})


def require_free(template: Server) -> None:
    """Raise `SpecError` where a setting is given that is the planner's to choose."""
    for name in PLANNED:
        if getattr(template, name) != getattr(Server(), name):
            raise SpecError(f"{getattr(template, name)}: this setting is the planner's to choose", f"server.{name}")
