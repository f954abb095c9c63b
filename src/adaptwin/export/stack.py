"""Stack: what an exporter is, and what it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import ServingPlan


class Written(NamedTuple):
    """The files of an export, and what the stack cannot express."""

    files: dict[str, str | list[Any]]  # text, or documents of plain data, by file name
    said: list[str]  # what was done instead of what the stack cannot express, and what is left to do; a line each


class Stack(NamedTuple):
    """A serving stack that plans are exported to; its words are those of docs/reference/serving-stacks.md."""

    title: str
    version: str  # of the stack, whose schema or parser was read
    pins: str  # how an adapter is kept on its planned server
    weights: str  # how the requests of a split adapter are divided
    merged: str  # how a server with merged weights is written
    names: str  # what becomes of names
    write: Callable[[ServingPlan, ExportOptions], Written]
