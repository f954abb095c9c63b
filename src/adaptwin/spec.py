"""Spec: an immutable, strictly validated value with a file form."""

import difflib
import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from adaptwin.errors import SpecError, did_you_mean, not_one_of
from adaptwin.file_kinds import FileKind, recognised
from adaptwin.flags import with_flags
from adaptwin.plain_data import Ambiguous, kind_of_data, parse_json, parse_yaml, plain, resolved
from adaptwin.quantities import number_meant
from adaptwin.visible import quoted, require_no_control, visible
from adaptwin.writing import write_atomically

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

IN_FILE = {"file": True}  # context of a dump whose result a file holds
MOST_TEXT_BYTES = 1 << 28  # of a text file, such as a log: 256 MiB
_NEARLY = 0.75  # likeness of two keys, from 0 to 1, from which one may be a misspelling of the other
_MOST_NAMED = 5  # fields of a file of another kind that a message names
MOST_FIELD_BYTES = 1 << 26  # of a YAML or JSON file: 64 MiB

# Left out of completion: what only pydantic needs, its deprecated methods, and what reading a file needs.
_UNLISTED = {name for name in dir(BaseModel) if not name.startswith("__")} - {"model_copy"} | {"file_kind", "moved"}

_NO_WHOLE_NUMBER = ("int_parsing", "int_type", "int_from_float")  # what pydantic calls it
_NO_NUMBER = ("float_parsing", "float_type")

Line = Annotated[str, AfterValidator(require_no_control)]  # text in one line, without control characters
Name = Annotated[str, Field(min_length=1), AfterValidator(require_no_control)]


class Fact(str):
    """Text that stands for a value, or for a part of it, and is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class SpecType(ModelMetaclass):
    """The class of all classes of values, whose `dir` lists what people need.

    It also tells type checkers to take the constructor of `Spec` as it is, which takes fields by position and converts
    their values; for classes of pydantic's own metaclass they would require names and exact types.
    """

    def __dir__(cls) -> list[str]:  # noqa: N805 (the class of a class)
        return _listed_names(super().__dir__())


def _listed_names(names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in _UNLISTED]


class Spec(BaseModel, metaclass=SpecType):
    """A frozen value that is read from and written to a YAML file.

    Unknown keys, missing fields and values out of range raise `SpecError`, which names file, field and value. Fields
    may be given by position, in the order of their declaration. `moved` maps keys of earlier versions to the keys that
    replace them. `file_kind` is the kind of the file, by which a file of another kind
    is recognised.
    """

    moved: ClassVar[dict[str, str]] = {}
    file_kind: ClassVar[FileKind | None] = None
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, ser_json_inf_nan="null")

    def __init__(self, /, *values: Any, **fields: Any) -> None:
        fields.update(zip(type(self).model_fields, values, strict=False))
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise spec_error(error, type(self)) from None

    # Tells pydantic not to call this constructor for nested values, so that errors keep their full path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __dir__(self) -> list[str]:
        return _listed_names(super().__dir__())

    def _facts(self) -> Iterable[str]:
        """Return what stands for the value where it is shown in a line; nothing to show the fields that are given."""
        return ()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        facts = [(None, Fact(visible(fact))) for fact in self._facts()]
        return facts or [each for each in super().__repr_args__() if not self._is_default(*each)]

    def _is_default(self, name: str | None, value: Any) -> bool:
        """Return whether a value is the default of the field of this name."""
        field = type(self).model_fields.get(name or "")
        if field is None or field.is_required():
            return False
        default = field.get_default(call_default_factory=True, validated_data={})
        return type(value) is type(default) and bool(value == default)

    def __str__(self) -> str:
        return repr(self)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a value from a YAML or JSON file; raises `SpecError` naming file and field."""
        fields: dict[str, Any] = {}
        try:
            fields = _read_fields(path)
            return cls.parse(with_flags(fields, cls), file=path)
        except SpecError as error:
            raise cls._named(error, path, fields) from None

    @classmethod
    def _named(cls, error: SpecError, path: str | Path, fields: dict[str, Any]) -> SpecError:
        """Return the error that says that a file is of another kind, if it is, and else the error as it is."""
        if cls.file_kind is None:
            return error
        found = recognised(error, path, cls.file_kind)
        if found is error and fields and not _is_like(fields, cls):
            needed = [name for name, field in cls.model_fields.items() if field.is_required()]
            has, lacks = (", ".join(map(quoted, list(names)[:_MOST_NAMED])) for names in (fields, needed))
            return SpecError(f"this is not {cls.file_kind.name}: it has {has}, but not {lacks}", file=path)
        return found

    @classmethod
    def parse(cls, fields: dict[str, Any], file: str | Path | None = None) -> Self:
        """Make a value from plain data; raises `SpecError` naming `file`, which is where the data comes from."""
        try:
            return cls.model_validate(fields, context={"folder": Path(file).parent if file else Path()})
        except ValidationError as error:
            raise spec_error(error, cls, file) from None
        except SpecError as error:
            raise (error.at(file) if file and not error.file else error) from None

    def write(self, path: str | Path) -> None:
        """Write the value to a YAML file, which is replaced as a whole or not at all; raises `SpecError`."""
        is_json = Path(path).suffix == ".json"
        form = self.file_form()
        write_atomically(path, json.dumps(form, indent=1, ensure_ascii=False) + "\n" if is_json else dump_yaml(form))

    def file_form(self) -> dict[str, Any]:
        """Return the value as plain data, as its file holds it."""
        return self.model_dump(mode="json", exclude_none=True, context=IN_FILE)


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read a mapping from a YAML or JSON file; raises `SpecError` naming the file and the place."""
    fields: dict[str, Any] = plain(_read_fields(path))
    return fields


def _read_fields(path: str | Path) -> dict[str, Any]:
    """Read a mapping from a YAML or JSON file, with `Ambiguous` scalars; raises `SpecError`."""
    text = read_text(path, MOST_FIELD_BYTES)
    if not text.strip():
        raise SpecError("the file is empty", file=path)
    data = parse_json(text, path) if Path(path).suffix.lower() == ".json" else parse_yaml(text, path)
    if data is None:
        raise SpecError("the file is empty", file=path)
    if not isinstance(data, dict):
        raise SpecError(f"expected a mapping of fields, found {kind_of_data(data)}", file=path)
    return data


def _is_like(fields: dict[str, Any], spec: type[BaseModel]) -> bool:
    """Return whether the fields of a file are those of a class, or nearly, at least one of them."""
    known = [*spec.model_fields, *getattr(spec, "moved", {})]
    return any(difflib.get_close_matches(str(key), known, n=1, cutoff=_NEARLY) for key in fields)


def read_text(path: str | Path, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """Read the text of a file, with line breaks as they are in Python; raises `SpecError` when it cannot be read.

    A file that is not UTF-8, holds NUL characters, or has more than `most_bytes` is refused.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        hint = "; standard input is /dev/stdin" if str(path) == "-" else ""
        raise SpecError(f"no such file{hint}", file=path) from None
    except (OSError, ValueError) as error:  # a directory, no permission, a NUL in the path
        raise SpecError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None
    if len(content) > most_bytes:
        raise SpecError(f"cannot be read: it is too large (at most {most_bytes >> 20} MiB)", file=path)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError("cannot be read: it is text in UTF-16; save it as UTF-8", file=path)
    if (nul := content.find(b"\x00")) >= 0:
        raise SpecError("cannot be read: a NUL character, so this is no text in UTF-8", _line_of(content, nul), path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        message = f"cannot be read: byte 0x{content[error.start]:02x} is no text in UTF-8; save the file as UTF-8"
        raise SpecError(message, _line_of(content, error.start), path) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line_of(content: bytes, place: int) -> str:
    breaks = content.count(b"\n", 0, place) or content.count(b"\r", 0, place)
    return f"line {1 + breaks}"


def dump_yaml(data: Any) -> str:
    """Format plain data as YAML: fields in their own order, short lists and mappings on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """A YAML dumper that writes floats in their shortest form: 0.1, 2.5e-05."""


def _represent_float(dumper: Any, value: float) -> Any:
    text = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(repr(value), repr(value))
    if "e" in text and "." not in text:  # YAML 1.1 reads 1e-05 as text: a float needs a dot
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_text(dumper: Any, text: str) -> Any:
    """Write text as it is, or in quotes where a reader would take it for something else."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if resolved(text) == text else "'")


def _represent_list(dumper: Any, values: list[Any]) -> Any:
    """Write lists of numbers, and lists of such lists, in flow style: on as few lines as they need."""
    numeric = bool(values) and all(
        isinstance(value, int | float) or (isinstance(value, list) and all(isinstance(v, int | float) for v in value))
        for value in values
    )
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=numeric or None)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


def spec_error(error: ValidationError, spec: type[BaseModel], file: str | Path | None = None) -> SpecError:
    """Return the first problem that pydantic found; without a file, the error names the class.

    A key of an earlier version takes precedence: a field that is missing too is most likely the one that replaced it.
    """
    field, message = first_problem(error, spec)
    return SpecError(message, field if file else f"{spec.__name__}.{field}".rstrip("."), file)


def first_problem(error: ValidationError, spec: type[BaseModel]) -> tuple[str, str]:
    """Return field path and message of the first problem.

    A key of an earlier version comes first, then a key that is nearly the missing one: each explains what is missing.
    """
    problems: list[Any] = error.errors(include_url=False)
    missing = {tuple(each["loc"]) for each in problems if each["type"] == "missing"}
    moved = (each for each in problems if _moved_to(each, spec))
    misspelt = (each for each in problems if _is_nearly(each, missing))
    problem = next(chain(moved, misspelt), problems[0])
    return field_path(problem["loc"]), what_is_wrong(problem, spec)


def field_path(location: tuple[int | str, ...]) -> str:
    """Format a location as a path: ``("adapters", 3, "rank")`` becomes ``adapters[3].rank``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def what_is_wrong(problem: dict[str, Any], spec: type[BaseModel]) -> str:
    """Return what is wrong with a value, given a problem as pydantic lists it and the class of the whole."""
    value, kind, limits = problem["input"], problem["type"], problem.get("ctx", {})
    explain: dict[str, Callable[[], str]] = {
        "missing": lambda: "missing",
        "extra_forbidden": lambda: _unknown_key(problem["loc"], spec),
        "greater_than": lambda: f"{quoted(value)} must be above {limits['gt']:g}",
        "greater_than_equal": lambda: f"{quoted(value)} must be at least {limits['ge']:g}",
        "less_than": lambda: f"{quoted(value)} must be below {limits['lt']:g}",
        "less_than_equal": lambda: f"{quoted(value)} must be at most {limits['le']:g}",
        **dict.fromkeys(_NO_WHOLE_NUMBER, lambda: f"{quoted(value)} is not a whole number"),
        **dict.fromkeys(_NO_NUMBER, lambda: f"{quoted(value)} is not a number{number_meant(str(value))}"),
        "literal_error": lambda: not_one_of(value, re.findall(r"'([^']*)'", limits["expected"])),
        "value_error": lambda: str(limits["error"]),
        "too_short": lambda: f"too few entries: {limits['actual_length']} (at least {limits['min_length']} needed)",
        "too_long": lambda: f"too many entries (at most {limits['max_length']:,})",
    }
    if isinstance(value, Ambiguous) and kind != "extra_forbidden":
        return value.advice
    if kind in explain:
        return explain[kind]()
    if kind == "string_type" and (value is None or isinstance(value, int | float)):
        return f"{'null' if value is None else quoted(value)} is not text: put quotes around it if it is"
    return f"{quoted(value)} is not valid: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _unknown_key(location: tuple[int | str, ...], spec: type[BaseModel]) -> str:
    """Return the message for an unknown key: the keys allowed there, or what replaced a key of an earlier version."""
    allowed = _spec_at(location[:-1], spec)
    if now := getattr(allowed, "moved", {}).get(location[-1]):
        return f"is now called {now}"
    fields = getattr(allowed, "model_fields", {})
    if not fields:
        return "unknown key"
    within = [
        f"; did you mean {name}.{location[-1]}?"
        for name, field in fields.items()
        if location[-1] in getattr(_model_in(field.annotation), "model_fields", {})
    ]
    hint = within[0] if within else did_you_mean(location[-1], fields)
    return f"unknown key (allowed: {', '.join(fields)}){hint}"


def _moved_to(problem: dict[str, Any], spec: type[BaseModel]) -> bool:
    """Return whether the problem is a key of an earlier version."""
    if problem["type"] != "extra_forbidden":
        return False
    return problem["loc"][-1] in getattr(_spec_at(problem["loc"][:-1], spec), "moved", {})


def _is_nearly(problem: dict[str, Any], missing: set[tuple[int | str, ...]]) -> bool:
    """Return whether the problem is an unknown key that is nearly one of those missing in the same place."""
    if problem["type"] != "extra_forbidden":
        return False
    *place, key = problem["loc"]
    beside = [str(location[-1]) for location in missing if list(location[:-1]) == place]
    return bool(did_you_mean(key, beside))


def _spec_at(location: tuple[int | str, ...], spec: type[BaseModel]) -> Any:
    """Return the Spec at a location inside another one, or None."""
    found: Any = spec
    for part in location:
        fields = getattr(found, "model_fields", {})
        if isinstance(part, str) and part in fields:
            found = _model_in(fields[part].annotation)
    return found


def _model_in(annotation: Any) -> Any:
    """Return the Spec inside an annotation such as ``list[Adapter] | None``, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(part) for part in getattr(annotation, "__args__", ())]
    return next((model for model in found if model is not None), None)
