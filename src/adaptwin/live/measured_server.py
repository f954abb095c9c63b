"""MeasuredServer: what is known of a server that is to be measured: its models, its settings and their sources."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.errors import ServerError, SpecError
from adaptwin.live.listed_models import ListedModels
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.vllm_server import VllmServer
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.workload.lora_ranks import padded_rank
from adaptwin.workload.workload import Adapter

SLOT_SETTINGS = ("max_loras", "max_lora_rank", "max_cpu_loras", "max_num_seqs", "max_num_batched_tokens")


class MeasuredServer(NamedTuple):
    """A running server and what is known of it."""

    base: str  # name of the base model
    adapters: tuple[Adapter, ...]  # with their ranks, without traffic
    server: Server
    vllm_version: str
    kv_cache_tokens: int | None
    determines_memory: bool  # whether vLLM chose the size of the KV cache by the GPU's memory
    gpu_memory_utilization: float | None
    said: tuple[str, ...]  # what is assumed, in sentences


async def measured_server(
    asked: VllmServer,
    profile: Profile,
    *,
    settings: Mapping[str, int],
    ranks: Mapping[str, int],
    log: StartUpFacts | None,
) -> MeasuredServer:
    """Ask a server what it is; settings that are given take precedence over the log, and this over the metrics.

    Args:
        asked: The server.
        profile: Profile of the GPU and the model, which supplies what nothing else says.
        settings: Settings of the server, by their names.
        ranks: Rank of each adapter, by name; others are read from their folders, if these can be read here.
        log: Start-up log of the server.

    Raises:
        ServerError: The server cannot be used, or answers other requests.
        SpecError: The rank of an adapter is not known.
    """
    models, metrics, version = await asked.models(), await asked.metrics(), await asked.version()
    _require_idle(metrics, asked.url)
    said: list[str] = []
    adapters = tuple(
        Adapter(name=model.name, rank=_rank_of(model.name, model.root, ranks), rate=0.0) for model in models.adapters
    )
    known: dict[str, int | None] = {name: settings.get(name) or getattr(log, name, None) for name in SLOT_SETTINGS}
    if adapters:
        most = max(adapter.rank for adapter in adapters)
        slots = known["max_loras"] or metrics.max_loras or await _slots_after_a_request(asked, models)
        known["max_loras"] = slots
        if not known["max_lora_rank"]:
            known["max_lora_rank"] = padded_rank(most, profile.vllm_version)
            said.append(f"max_lora_rank is taken to be {known['max_lora_rank']}, as the highest rank needs")
        if not known["max_cpu_loras"]:
            known["max_cpu_loras"] = max(slots, len(adapters))
            said.append("host memory is taken to hold all adapters (max_cpu_loras)")
    else:
        known |= {"max_loras": 0, "max_cpu_loras": 0}
        said.append("the server lists no adapter, so nothing is measured of LoRA")
    budgets = ("max_num_seqs", "max_num_batched_tokens")
    said += [f"{name} is taken to be vLLM's default for the GPU" for name in budgets if not known[name]]
    server = Server(
        **{name: value for name, value in known.items() if value is not None},
        max_model_len=models.base.max_model_len,
        block_size=metrics.block_size or 16,
        enable_prefix_caching=metrics.caches_prefixes,
        kv_cache_tokens=metrics.kv_cache_tokens,
    )
    return MeasuredServer(
        base=models.base.name,
        adapters=adapters,
        server=server,
        vllm_version=version or (log.vllm_version if log and log.vllm_version else profile.vllm_version),
        kv_cache_tokens=metrics.kv_cache_tokens,
        determines_memory=metrics.kv_cache_is_sized and metrics.kv_cache_tokens is not None,
        gpu_memory_utilization=metrics.gpu_memory_utilization,
        said=tuple(said),
    )


def _require_idle(metrics: ServerMetrics, url: str) -> None:
    """Raise `ServerError` if the server answers other requests, which would be measured as well."""
    others = (metrics.running or 0) + (metrics.waiting or 0)
    if others:
        raise ServerError(f"{others:.0f} other requests are there: a server is measured without any", url)


def _rank_of(name: str, root: str, ranks: Mapping[str, int]) -> int:
    """Return the rank of an adapter, as given or by its folder; raises `SpecError` if it is not known."""
    if name in ranks:
        return ranks[name]
    config = Path(root) / "adapter_config.json"
    try:
        rank = json.loads(config.read_text(encoding="utf-8"))["r"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpecError(
            f"the rank of adapter {name!r} is not known: {root} cannot be read here; give a CSV with the columns "
            "name,rank (--adapters)",
            "adapters",
        ) from None
    return int(rank)


async def _slots_after_a_request(asked: VllmServer, models: ListedModels) -> int:
    """Return the slots of a server, which its metrics say once it has answered a request for an adapter."""
    await asked.complete(models.adapters[0].name, [200, 201, 202, 203], 2)
    slots = (await asked.metrics()).max_loras
    if not slots:
        raise ServerError("/metrics has no lora_requests_info: say how many slots it has with --max-loras", asked.url)
    return slots
