"""Export: a plan in the files of a serving stack. `export` writes them; `registry` lists the stacks.

`export` loads what it needs when it is first called, so that the names of the stacks can be listed quickly.
"""

from collections.abc import Callable

from adaptwin.lazy import function_from

export: Callable[..., dict[str, str]] = function_from(f"{__name__}.exported", "export")
