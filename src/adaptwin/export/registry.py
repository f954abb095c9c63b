"""Export targets by name. Each is a function that returns the text of a file for a plan."""

from collections.abc import Callable

from adaptwin.export.vllm import vllm_script
from adaptwin.plan.plan import Plan

TARGETS: dict[str, Callable[[Plan], str]] = {"vllm": vllm_script}
