"""The export targets by name."""

from collections.abc import Callable

from adaptwin.export.vllm import vllm_script
from adaptwin.plan.plan import Plan

TARGETS: dict[str, Callable[[Plan], str]] = {"vllm": vllm_script}
