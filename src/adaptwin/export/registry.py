"""Export targets by name. Each is a function that returns the text of a file for a plan, or several of one fleet."""

from collections.abc import Callable

from adaptwin.lazy import function_from

TARGETS: dict[str, "Callable[..., str]"] = {
    "vllm": function_from(f"{__package__}.vllm", "vllm_script"),
}
