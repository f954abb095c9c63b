"""Make the folders that `adaptwin fit` reads from what was measured: one for each model.

    python3 assemble.py events.jsonl [more.jsonl ...] OUT

writes OUT/MODEL/{setup.yaml, memory.csv, loads.csv, planning.csv, steps.csv, runs.json}; OUT/MODEL/extra with what the
fit has no columns for (prompts continued behind a long context, variants of an engine, steps with requests waiting);
and OUT/raw.parquet (raw.csv without pyarrow) with every step measured. Where the events are of several GPUs, each has
folders of its own. Needs nothing beside Python.
"""

import csv
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine_spec import EngineSpec
from events import Event, read
from machine import NO_GPU
from models import MODELS

MEMORY = ("max_loras", "max_lora_rank", "kv_cache_tokens")
LOADS = ("source", "rank", "max_lora_rank", "seconds")
PLANNING = ("running", "waiting", "seconds")
SPREAD = ("count", "low", "high")
STEPS = ("max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds")
BESIDE = (  # further columns of steps
    "engine",
    "name",
    "period",
    "prefill",
    "prefill_pairs",
    "waiting",
    "mean",
    "low",
    "high",
    "count",
    "planning",
    "update",
    "async",
)
STARTS = (
    "engine",
    *MEMORY,
    "peak_activation_memory",
    "non_torch_memory",
    "cudagraph_memory_estimate",
    "requested_memory",
    "available_kv_cache_memory_bytes",
    "model_memory_usage",
    "start_seconds",
    "compile_seconds",
    "import_seconds",
)
SHAPES = (
    "name",
    "hidden",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "intermediate",
    "vocabulary",
    "max_model_len",
    "lora_embeddings",
)


def main() -> int:
    """Read the files, and write the folders; returns the exit code."""
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    *paths, out = [Path(word) for word in sys.argv[1:]]
    events = merged(paths)
    out.mkdir(parents=True, exist_ok=True)
    parts = by_gpu(events)
    for (model, gpu), part in parts.items():
        several = sum(other == model for other, _ in parts) > 1
        folder = out / (f"{model}-{_slug(gpu)}" if several else model)
        print(f"{model}: {assemble(part, model, folder)} -> {folder}")
    raw(events, out)
    return 0 if parts else 1


def merged(paths: Iterable[Path]) -> list[Event]:
    """The events of several calls, each once."""
    found = {json.dumps(event, sort_keys=True): event for path in paths for event in read(path)}
    return list(found.values())


def by_gpu(events: list[Event]) -> dict[tuple[str, str], list[Event]]:
    """The events of each model on each GPU on which an engine started."""
    starts = dict.fromkeys(
        (e["model"], e["gpu"]) for model in MODELS for e in _of(events, model) if e["kind"] == "start"
    )
    return {(model, gpu): [e for e in _of(events, model) if e.get("gpu", gpu) == gpu] for model, gpu in starts}


def assemble(events: list[Event], model: str, folder: Path) -> str:
    """Write the folder of one model on one GPU; returns what is in it, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    starts, steps, loads, runs = ([e for e in events if e["kind"] == kind] for kind in ("start", "step", "load", "run"))
    usual = usual_flags(steps)
    (folder / "setup.yaml").write_text(setup(starts[-1], model, usual))
    memory = servers_in_memory(starts, usual)
    _table(folder / "memory.csv", MEMORY, memory)
    _table(folder / "extra/starts.csv", STARTS, starts)
    _table(folder / "loads.csv", (*LOADS, *SPREAD), medians(filter(is_usual_load, loads), LOADS))
    _table(folder / "extra/all_loads.csv", (*LOADS, "cold"), loads)
    planning = [_planning(step) for step in steps if is_fitted(step, usual)]
    _table(folder / "planning.csv", (*PLANNING, *SPREAD), medians(planning, PLANNING))
    fitted = [_timed(step) for step in steps if is_fitted(step, usual)]
    rest = [_timed(step) for step in steps if not is_fitted(step, usual)]
    _table(folder / "steps.csv", (*STEPS, *BESIDE), fitted)
    _table(folder / "extra/other_steps.csv", (*STEPS, *BESIDE), rest)
    if runs:
        (folder / "runs.json").write_text(json.dumps([_run(event) for event in runs], indent=1) + "\n")
    slots = sorted({step["max_loras"] for step in fitted})
    return (
        f"{len(memory)} servers in memory, {len(loads)} loads, {len(fitted)} steps for the fit "
        f"({len(rest)} beside it), slots {slots}, {len(runs)} runs"
    )


def flags(event: Event) -> set[str]:
    """The variant of an engine; few CUDA graphs are none, as steps are measured at sizes that are captured anyway."""
    return set(EngineSpec.parse(event["engine"]).flags) - {"few"}


def usual_flags(steps: list[Event]) -> set[str]:
    """The variant that most steps were measured with, which is the one that the fit sees."""
    found = Counter(frozenset(flags(step)) for step in steps)
    return set(found.most_common(1)[0][0]) if found else set()


def is_fitted(step: Event, usual: set[str]) -> bool:
    """Whether the columns of `steps` and `planning` say all about a step.

    A scheduler passes over requests that wait for a slot, but not over those that wait for room; and a prompt behind
    tokens that count as computed has blocks allocated for all of them at once.
    """
    asked = step["asked"]
    return flags(step) == usual and not (asked["waiting"] or asked["behind"] or asked["base_too"])


def servers_in_memory(starts: list[Event], usual: set[str]) -> list[Event]:
    """The first start of each size of server; none on a CPU, where the size of the KV cache is given."""
    found: dict[tuple[int, int], Event] = {}
    for start in starts:
        if flags(start) <= usual | {"sync"} and start["gpu"] != NO_GPU:
            found.setdefault((start["max_loras"], start["max_lora_rank"]), start)
    return [*found.values()]


def is_usual_load(load: Event) -> bool:
    """Whether a load is not vLLM's own, to warm up (rank 0), and not from the device, which runs have only once."""
    return load["rank"] > 0 and not load.get("cold")


def medians(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """One row for those that are alike in all columns but `seconds`, with their median, range and number.

    The fit uses medians anyway. Rows that differ, as they do on a busy host, it would take for other settings.
    """
    alike = [name for name in columns if name != "seconds"]
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in alike), []).append(row["seconds"])
    return [
        {
            **dict(zip(alike, key, strict=True)),
            "seconds": statistics.median(found),
            "count": len(found),
            "low": min(found),
            "high": max(found),
        }
        for key, found in sorted(groups.items())
    ]


def setup(start: Event, model: str, usual: set[str]) -> str:
    """The text of setup.yaml: JSON is YAML, so that every value is quoted as it must be."""
    shapes = MODELS[model]
    variant = " ".join(sorted(usual)) or "default settings"
    told = {
        "name": f"{_slug(start['gpu'])}-{model}",
        "hardware": start["gpu"],
        "gpu_gib": round(start["gpu_gib"], 4),
        "gpu_memory_utilization": start["gpu_memory_utilization"],
        "max_num_seqs": start["max_num_seqs"],
        "max_num_batched_tokens": start["token_budget"],
        "vllm_version": start["vllm"],
        "source": f"single steps of the engine in process, dummy weights, {variant}",
        "start": shapes.start,
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in told.items()]
    lines += ["model:", *(f"  {name}: {json.dumps(getattr(shapes, name))}" for name in SHAPES)]
    return "\n".join([*lines, "  tied_embeddings: false"]) + "\n"


def raw(events: list[Event], out: Path) -> None:
    """Write every step measured, a row each, with what was asked for."""
    rows = []
    for event in events:
        if event["kind"] == "step":
            flat = {name: value for name, value in _timed(event).items() if name not in ("asked", "all", "kind")}
            asked = {f"asked_{name}": value for name, value in event["asked"].items()}
            rows += [{**flat, **asked, "one": seconds} for seconds in event["all"]]
    if not rows:
        return
    try:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out / "raw.parquet")
    except ImportError:
        _table(out / "raw.csv", tuple(rows[0]), rows)


def _of(events: Iterable[Event], model: str) -> list[Event]:
    return [event for event in events if event.get("model") == model]


def _planning(step: Event) -> dict[str, Any]:
    return {"running": round(step["running"]), "waiting": round(step["waiting"]), "seconds": step["planning"]}


def _timed(step: Event) -> dict[str, Any]:
    """A step with its time as the fit reads it.

    Asynchronous scheduling hides the planning, which the fit takes off a step as if it were in it. `period` is the time
    as measured.
    """
    return {**step, "period": step["seconds"], "seconds": step["seconds"] + step["planning"] * step["async"]}


def _run(event: Event) -> dict[str, Any]:
    figures = {name: value for name, value in event["measured"].items() if value is not None}
    name = f"{event['engine']} {event['name']}"
    return {"name": name, "server": event["server"], "workload": event["workload"], **figures}


def _slug(gpu: str) -> str:
    """The name of a GPU as part of the name of a file or profile."""
    return "-".join(gpu.lower().replace("(", " ").replace(")", " ").split())


def _table(path: Path, columns: Sequence[str], rows: list[Any]) -> None:
    """Write a CSV file, unless it would have no rows."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
