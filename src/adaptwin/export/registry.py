"""Serving stacks by name. Each has a module of its own, which is imported when it is first used."""

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from adaptwin.export.stack import Stack

STACKS: dict[str, str] = {
    "vllm": "vllm",
    "kubernetes": "kubernetes",
    "compose": "compose",
    "litellm": "litellm",
    "production-stack": "production_stack",
    "aibrix": "aibrix",
    "dynamo": "dynamo",
    "llm-d": "llm_d",
    "kserve": "kserve",
    "kubeai": "kubeai",
    "ray-serve": "ray_serve",
    "envoy-ai-gateway": "envoy_ai_gateway",
    "skypilot": "skypilot",
    "csv": "csv_tables",
}


def stack_of(name: str) -> "Stack":
    """Return a stack by its name in `STACKS`: a constant of its module, such as ``RAY_SERVE``."""
    module = importlib.import_module(f"{__package__}.{STACKS[name]}")
    return cast("Stack", getattr(module, name.upper().replace("-", "_")))
