"""Export targets by name. Each is a function that returns the text of a file for a plan."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from adaptwin.lazy import function_from

if TYPE_CHECKING:
    from adaptwin.plan.plan import Plan

TARGETS: dict[str, "Callable[[Plan], str]"] = {
    "vllm": function_from(f"{__package__}.vllm", "vllm_script"),
}
