"""function_from: a function of another module, which is imported when the function is first called.

Registries use it, so that their names can be listed without importing everything that the named functions need.
"""

import importlib
from collections.abc import Callable
from typing import Any


def function_from(module: str, name: str) -> Callable[..., Any]:
    """Return a function that calls `name` of `module`, and imports the module at its first call.

    Args:
        module: Full name of the module, such as ``adaptwin.export.vllm``.
        name: Name of the function in that module.
    """

    def call(*values: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*values, **named)

    call.__name__ = call.__qualname__ = name
    return call
