"""Settings of a server that the planner chooses, and those that are common to all servers."""

from adaptwin.twin.server import Server

PLANNED = ("max_loras", "max_lora_rank", "max_cpu_loras", "kv_cache_tokens", "merged")  # never common to all servers


def common_settings(server: Server) -> Server:
    """Return the settings of a server without those that depend on its adapters."""
    return server.model_copy(update={name: getattr(Server(), name) for name in PLANNED})
