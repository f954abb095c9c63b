"""Settings that are common to all servers of a plan, and settings that the planner chooses."""

from adaptwin.errors import SpecError
from adaptwin.twin.server import Server

PLANNED = ("max_loras", "max_lora_rank", "max_cpu_loras", "kv_cache_tokens")  # settings that the planner chooses


def common_settings(server: Server) -> Server:
    """Return the settings that were given to the planner: those of a server without those that the planner chooses."""
    return server.model_copy(update={name: getattr(Server(), name) for name in PLANNED})


def require_free(template: Server) -> None:
    """Raise `SpecError` if a setting is given that the planner chooses."""
    for name in PLANNED:
        if getattr(template, name) != getattr(Server(), name):
            raise SpecError(f"{getattr(template, name)}: the planner chooses this setting; omit it", f"server.{name}")
