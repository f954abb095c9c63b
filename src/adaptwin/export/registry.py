"""Export targets by name: each is a function from a plan to the text of a file."""

from collections.abc import Callable

from adaptwin.export.vllm import vllm_script
from adaptwin.plan.plan import Plan

TARGETS: dict[str, Callable[[Plan], str]] = {"vllm": vllm_script}
