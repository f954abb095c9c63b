"""Export targets by name: each is a function from a plan to the text of a file."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from adaptwin.lazy import function_from

if TYPE_CHECKING:
    from adaptwin.plan.plan import Plan

TARGETS: dict[str, "Callable[[Plan], str]"] = {
    "vllm": function_from(f"{__package__}.vllm", "vllm_script"),
}
