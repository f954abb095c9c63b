"""docs/reference/python.md: every public function, class and error."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import adaptwin
from adaptwin.spec import Spec
from field_tables import classes_in, field_table
from files_page import FILES_PAGE, described_classes
from measured_page import generated_by
from reference_text import Docstring, bullet, code, docstring_of, link, paragraph, prose, table

WHAT = "This page shows every public function and class of `adaptwin`."

HOW = """Import names from the package itself: `from adaptwin import load_profile, make_plan, read_fleet`. Inside the
package, units are seconds, tokens, bytes and requests per second. Wrong input raises `SpecError`. What commands do with
these functions is on the page of the [command line](command-line.md), and how to use them on the
[how-to pages](../README.md#how-to-get-something-done)."""

SPEC_TITLE = "Values with a file form"
SPEC_NOTE = """Most classes are values: they cannot be changed, and their fields are checked when they are made. Fields
are given by name, or by position in the order of their tables; `value.model_copy(update={...})` returns a changed copy.
They share these methods, here with the name of `Plan`. A `Run` and a `Surrogate` are written as JSON, all others as
YAML."""

GROUPS: dict[str, tuple[str, ...]] = {
    "Making, checking and changing plans": (
        "make_plan", "make_plans", "make_front", "verify", "stress", "replan", "replan_plans", "explain",
        "Plan", "Plans", "Front", "PlacedServer", "PlanOptions", "Constraints", "Forecast", "Decision", "Alternative",
        "Failover", "Migration", "Check", "Stress", "StressScenario", "Explanation",
    ),
    "Simulating servers": ("simulate", "simulate_many", "Server", "Run"),
    "Describing the workload": ("read_fleet", "Fleet", "Workload", "Adapter", "Lengths", "Template"),
    "Profiles and calibration": (
        "load_profile", "shipped_profiles", "Profile", "derive_profile", "shipped_gpus", "load_gpu", "shipped_models",
        "fit", "fit_to_files", "compare", "FileFit", "Fit", "Measurements", "MeasuredRun",
    ),
    "Surrogates and sweeps": (
        "surrogate_for", "load_surrogate", "train", "Surrogate", "Prediction", "load_design", "sweep", "Design",
        "Dataset",
    ),
    "Errors": ("AdaptwinError", "SpecError", "Infeasible", "OutOfMemory"),
}  # fmt: skip
WITH_PARTS = ("Explanation",)  # classes whose parts are described, too, although they are in no file
SIGNATURE_WIDTH = 100
END = generated_by("reference", after="a change to a public function or class")


def python_page() -> str:
    """Return the page; fails if a public name is in no group, or in two."""
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(adaptwin.__all__), set(grouped) ^ set(adaptwin.__all__)
    parts = ["# Python", paragraph(WHAT), paragraph(_linked(HOW)), *_contents(), *_spec_section()]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _described(name)
    return "\n\n".join([*parts, END]) + "\n"


def _contents() -> Iterator[str]:
    for title, names in GROUPS.items():
        rows = [[_link_to_name(name), docstring_of(getattr(adaptwin, name)).summary] for name in names]
        yield f"**{link(title, title)}**\n\n{table(['name', 'what it is'], rows)}"


def _heading(name: str) -> str:
    """Return the heading of a name; that of a class differs from that of a function even in lower case."""
    return f"class {name}" if inspect.isclass(getattr(adaptwin, name)) else name


def _link_to_name(name: str) -> str:
    return link(code(name), _heading(name))


def _linked(text: str, besides: str = "") -> str:
    """Link the public names in a text to their sections, except the one that is being described."""

    def linked(match: re.Match[str]) -> str:
        known = match[1] in adaptwin.__all__ and match[1] != besides
        return _link_to_name(match[1]) if known else match[0]

    return re.sub(r"(?<!\[)`(\w+)`", linked, text)


def _spec_section() -> Iterator[str]:
    yield f"## {SPEC_TITLE}"
    yield paragraph(_linked(SPEC_NOTE))
    yield _members(Spec)


def _described(name: str) -> Iterator[str]:
    value = getattr(adaptwin, name)
    yield f"### {_heading(name)}"
    yield from _class(value) if inspect.isclass(value) else _function(value)


def _function(function: Any) -> Iterator[str]:
    doc = _linked_docstring(function)
    yield f"```py\n{_signature(function)}\n```"
    yield doc.text
    if doc.arguments:
        yield f"**Arguments**\n\n{_listed(doc.arguments)}"
    if doc.errors:
        yield f"**Raises**\n\n{_listed([(_linked(code(error)), text) for error, text in doc.errors])}"


def _listed(entries: Sequence[tuple[str, str]]) -> str:
    return "\n".join(bullet(f"{name if '`' in name else code(name)}: {text}") for name, text in entries)


def _linked_docstring(described: Any) -> Docstring:
    return docstring_of(described, lambda text: _linked(text, described.__name__))


def _class(described: type) -> Iterator[str]:
    doc = _linked_docstring(described)
    yield doc.text
    if doc.arguments:
        yield _listed(doc.arguments)
    yield from _fields(described)
    if members := _members(described):
        yield f"**Methods and properties**\n\n{members}"


def _fields(described: Any) -> Iterator[str]:
    if issubclass(described, adaptwin.AdaptwinError):
        bases = ", ".join(_linked(code(base.__name__)) for base in described.__bases__)
        yield f"Derived from {bases}. The program ends with exit code {described.exit_code}."
    elif not issubclass(described, Spec):
        yield _named_fields(described)
    elif described in described_classes():
        yield f"Fields: see {link(described.__name__, described.__name__, FILES_PAGE)} in the reference of the files."
    else:
        yield field_table(described, _link_to_spec)
        yield from _parts(described) if described.__name__ in WITH_PARTS else ()


def _parts(described: type[Spec]) -> Iterator[str]:
    """Describe the parts of a class that is in no file."""
    for spec in classes_in(described, list(described_classes())):
        if spec is not described:
            yield f"#### {spec.__name__}"
            yield _linked_docstring(spec).text
            yield field_table(spec, _link_to_spec)
            if members := _members(spec):
                yield members


def _link_to_spec(spec: type[Spec]) -> str:
    if spec in described_classes():
        return link(spec.__name__, spec.__name__, FILES_PAGE)
    is_part = any(spec in classes_in(getattr(adaptwin, name)) for name in WITH_PARTS)
    return link(spec.__name__, spec.__name__) if is_part else code(spec.__name__)


def _named_fields(described: Any) -> str:
    """Return the table of a named tuple, whose fields are described by their comments, if they are not yet."""
    found = re.finditer(r"^    (\w+): ([^=#\n]+?)(?: = [^#\n]+?)?(?:  # (.*))?$", inspect.getsource(described), re.M)
    rows = [[code(each[1]), code(each[2]), prose(each[3] or "")] for each in found if each[1] in described._fields]
    if any(meaning for *_, meaning in rows):
        return table(["field", "type", "meaning"], rows)
    return table(["field", "type"], [row[:2] for row in rows])


def _members(described: type) -> str:
    """List the public methods and properties that a class adds, each with the first line of its docstring."""
    lines = []
    for name, member in vars(described).items():
        inherited = described is not Spec and name in vars(Spec)
        if name.startswith("_") or inherited or not _is_member(member):
            continue
        text = _linked(_first_line(member), described.__name__)
        lines.append(bullet(f"{code(_called(described, name, member))}: {text}"))
    return "\n".join(lines)


def _is_member(member: object) -> bool:
    return isinstance(member, property | cached_property | classmethod) or inspect.isfunction(member)


def _first_line(member: Any) -> str:
    return prose((inspect.getdoc(getattr(member, "__func__", member)) or "").partition("\n")[0])


def _called(described: type, name: str, member: Any) -> str:
    """Return how a property or method is used, with its types."""
    if isinstance(member, property | cached_property):
        function = member.fget if isinstance(member, property) else member.func
        return f"{name}: {_type(_definition(function).returns, function)}"
    function = getattr(member, "__func__", member)
    node, owner = _definition(function), "Plan" if described is Spec else described.__name__
    prefix = f"{owner}." if isinstance(member, classmethod) else ""
    result = re.sub(r"\bSelf\b", owner, _type(node.returns, function))
    arguments = ", ".join(_parameters(node, function)[1:])
    return f"{prefix}{name}({arguments})" + ("" if result == "None" else f" -> {result}")


def _signature(function: Any) -> str:
    """Return the definition of a function without its body; on several lines if it is long."""
    node = _definition(function)
    parameters, result = _parameters(node, function), _type(node.returns, function)
    line = f"{function.__name__}({', '.join(parameters)}) -> {result}"
    if len(line) <= SIGNATURE_WIDTH:
        return line
    return "\n".join([f"{function.__name__}(", *(f"    {each}," for each in parameters), f") -> {result}"])


def _definition(function: Any) -> ast.FunctionDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def _parameters(node: ast.FunctionDef, function: Any) -> list[str]:
    """Return the parameters with the types that the source names, and with the values of named constants."""
    known = inspect.signature(function).parameters
    arguments = [*node.args.posonlyargs, *node.args.args]
    written = [_parameter(argument, known, function) for argument in arguments]
    if node.args.kwonlyargs:
        written += ["*", *(_parameter(argument, known, function) for argument in node.args.kwonlyargs)]
    return written


def _type(annotation: ast.expr | None, function: Any) -> str:
    """Write a type as the source does, but without quotes, and with the values that the name of a choice stands for."""
    if annotation is None:
        return "None"
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    text = ast.unparse(annotation).replace("'", '"')
    choice = function.__globals__.get(text)
    if get_origin(choice) is Literal:
        return f"Literal[{', '.join(map(_default, get_args(choice)))}]"
    return text


def _parameter(argument: ast.arg, known: Any, function: Any) -> str:
    annotation = f": {_type(argument.annotation, function)}" if argument.annotation else ""
    default = known[argument.arg].default if argument.arg in known else inspect.Parameter.empty
    if default is inspect.Parameter.empty:
        return f"{argument.arg}{annotation}"
    return f"{argument.arg}{annotation} = {_default(default)}"


def _default(value: object) -> str:
    if inspect.isfunction(value):
        return value.__name__
    if isinstance(value, Spec):
        return f"{type(value).__name__}()"
    return repr(value).replace("'", '"')
