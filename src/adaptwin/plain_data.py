"""Plain data from YAML and JSON text: mappings, lists and scalars, without surprises and within bounds.

Numbers are those of YAML 1.2 and JSON. What YAML 1.1 reads as something else than people mean, such as ``yes``,
``1:30``, ``010`` or ``2026-11-26``, becomes an `Ambiguous` scalar, which only a field for true or false accepts.
"""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adaptwin.errors import SpecError
from adaptwin.visible import quoted

MOST_DEPTH = 60  # of lists and mappings in one another
MOST_VALUES = 5_000_000  # scalars, lists and mappings of a file, with all that its aliases stand for
MOST_KEYS = 200_000  # of a mapping
MOST_DIGITS = 1000  # of a number
BOM = "\ufeff"

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, float | bool | None] = {
    ".inf": math.inf,
    "+.inf": math.inf,
    "-.inf": -math.inf,
    ".nan": math.nan,
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    **dict.fromkeys(("", "~", "null")),
}
_OTHER_BASE = re.compile(r"[-+]?0([0-9_]+|[oO][0-7_]+|[xX][0-9a-fA-F_]+|[bB][01_]+)")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t]+[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?")
_SURPRISES = (
    ("a number of another base than 10, or with leading zeros", _OTHER_BASE),
    ("a number or as text", _UNDERSCORES),
    ("a number of base 60", _BASE_60),
    ("a date", _DATE),
)
_UNENCODABLE = re.compile("[\x00\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_TAGS = ("str", "int", "float", "bool", "null", "seq", "map")


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A scalar that readers take for different things: its text, what YAML 1.1 takes it for, and whether it is that.

    `truth` is the truth value of ``true``, ``yes`` and their like, and None for others.
    """

    text: str
    taken_for: str
    truth: bool | None = None

    def __repr__(self) -> str:
        return self.text

    @property
    def advice(self) -> str:
        """What is wrong with it where a number or text is expected, and what to write."""
        return f"{self.text} can be read as {self.taken_for}: put quotes around text, and write numbers in plain digits"


def parse_yaml(text: str, file: str | Path) -> Any:
    """Return the data of YAML text, with `Ambiguous` scalars; raises `SpecError` naming file and line."""
    builder = _Builder(file)
    try:
        for event in yaml.parse(text.removeprefix(BOM), Loader=_Loader):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        raise SpecError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where, file) from None
    return builder.data


def parse_json(text: str, file: str | Path) -> Any:
    """Return the data of JSON text, with `Ambiguous` scalars for true and false; raises `SpecError`."""
    text = text.removeprefix(BOM)
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise SpecError(_too_many(), file=file)
    try:
        data = json.loads(text, object_pairs_hook=_mapping, parse_int=_json_integer)
    except json.JSONDecodeError as error:
        raise SpecError(f"not valid JSON: {error.msg}", f"line {error.lineno}", file) from None
    except RecursionError:
        raise SpecError(_too_deep(), file=file) from None
    return _checked(data, "", 0, file)


def plain(data: Any) -> Any:
    """Return data in which `Ambiguous` scalars are true, false or their text."""
    if isinstance(data, Ambiguous):
        return data.text if data.truth is None else data.truth
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list) else data


def kind_of_data(data: Any) -> str:
    """Return what data is, in words: a mapping, a list, a number, nothing, or text."""
    kinds = {dict: "a mapping", list: "a list", int: "a number", float: "a number", type(None): "nothing"}
    return kinds.get(type(data), "text")


def is_number(text: str) -> bool:
    """Return whether text is a number in plain digits, such as -1, 0.5 or 1e-3; surrounding spaces do not matter."""
    return _FLOAT.fullmatch(text.strip()) is not None


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read, with its size (all that it holds, and itself) and its height."""

    data: list[Any] | dict[str, Any]
    anchor: str | None
    line: int
    key: str | None = None  # of the value that comes next, if the list or mapping is one
    merges: bool = False  # whether the value that comes next is merged: its key is ``<<``
    merged: list[dict[str, Any]] = field(default_factory=list)
    size: int = 1
    height: int = 1


class _Builder:
    """Builds data from the events of a YAML parser, and refuses what is too large before it is built."""

    def __init__(self, file: str | Path) -> None:
        self.data: Any = None
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # value, size, height
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event; raises `SpecError`."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._broken("another document begins: a file holds one", line)

    def _scalar(self, event: Any, line: int) -> None:
        if self._expects_key():
            self._set_key(event, line)
            return
        value = self._value(event, line)
        if event.anchor:
            self._anchors[event.anchor] = value, 1, 0
        self._add(value, 1, 0, line)

    def _value(self, event: Any, line: int) -> Any:
        """The value of a scalar event; raises `SpecError`."""
        tag = self._tag(event.tag, line)
        if _UNENCODABLE.search(event.value):
            raise self._wrong(f"{quoted(event.value)} holds a character that no name or text can have", line)
        if tag == "str" or (not tag and not event.implicit[0]):
            return event.value
        value = self._resolved(event.value, line)
        if tag == "float" and type(value) is int:
            return float(value)
        if tag and not _is_a(value, tag):
            raise self._broken(f"{quoted(event.value)} is no !!{tag}", line)
        return value

    def _resolved(self, text: str, line: int) -> Any:
        if len(text) > MOST_DIGITS and _UNDERSCORES.fullmatch(text):
            raise self._wrong(_too_long(text), line)
        return resolved(text)

    def _tag(self, tag: str | None, line: int) -> str:
        """The short name of a tag; empty where there is none."""
        if not tag:
            return ""
        name = "str" if tag == "!" else tag.removeprefix(_TAG)
        if name not in _TAGS:
            allowed = ", ".join(f"!!{each}" for each in _TAGS)
            raise self._broken(f"{quoted(tag.replace(_TAG, '!!'))} is not a tag allowed here ({allowed})", line)
        return name

    def _begin(self, event: Any, line: int) -> None:
        is_list = isinstance(event, yaml.SequenceStartEvent)
        if self._expects_key():
            raise self._broken(f"a key must be text, not a {'list' if is_list else 'mapping'}", line)
        if len(self._open) >= MOST_DEPTH:
            raise self._wrong(_too_deep(), line)
        if (tag := self._tag(event.tag, line)) not in ("", "seq" if is_list else "map"):
            raise self._broken(f"a {'list' if is_list else 'mapping'} is no !!{tag}", line)
        self._open.append(_Open([] if is_list else {}, event.anchor, line))

    def _end(self) -> None:
        done = self._open.pop()
        if done.merged:
            assert isinstance(done.data, dict)
            whole: dict[str, Any] = {}
            for mapping in reversed(done.merged):
                whole.update(mapping)
            done.data = {**whole, **done.data}
        if done.anchor:
            self._anchors[done.anchor] = done.data, done.size, done.height
        self._add(done.data, done.size, done.height, done.line)

    def _alias(self, name: str, line: int) -> None:
        if self._expects_key():
            raise self._broken(f"the alias *{name} stands for a key, which must be text", line)
        if name not in self._anchors:
            inside = any(each.anchor == name for each in self._open)
            raise self._broken(f"the alias *{name} {'holds itself' if inside else 'stands for nothing'}", line)
        self._add(*self._anchors[name], line)

    def _add(self, value: Any, size: int, height: int, line: int) -> None:
        """Put a value into the list or mapping that is open, or make it the whole."""
        if not self._open:
            self.data = value
            return
        within = self._open[-1]
        within.size += size
        within.height = max(within.height, height + 1)
        if sum(each.size for each in self._open) > MOST_VALUES:
            raise self._wrong(_too_many(), line)
        if len(self._open) + height > MOST_DEPTH:
            raise self._wrong(_too_deep(), line)
        if isinstance(within.data, list):
            within.data.append(value)
            return
        if within.merges:
            within.merges = False
            within.merged.extend(self._merged(value, line))
            return
        key, within.key = within.key, None
        assert key is not None
        within.data[key] = value

    def _merged(self, value: Any, line: int) -> list[dict[str, Any]]:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in mappings):
            raise self._broken("<< takes a mapping, or a list of mappings", line)
        return mappings

    def _expects_key(self) -> bool:
        within = self._open[-1] if self._open else None
        return within is not None and isinstance(within.data, dict) and within.key is None and not within.merges

    def _set_key(self, event: Any, line: int) -> None:
        key, within = self._value(event, line), self._open[-1]
        if key == "<<" and event.implicit[0]:
            within.merges = True
            return
        if not isinstance(key, str):
            raise self._broken(f"the key {quoted(event.value)} is not text: put quotes around it", line)
        if key in within.data:
            raise self._broken(f"duplicate key {quoted(key)}", line)
        if len(within.data) >= MOST_KEYS:
            raise self._wrong(_too_many_keys(), line)
        within.key = key

    def _broken(self, message: str, line: int) -> SpecError:
        return self._wrong(f"not valid YAML: {message}", line)

    def _wrong(self, message: str, line: int) -> SpecError:
        return SpecError(message, f"line {line}", self._file)


def resolved(text: str) -> Any:
    """Return what plain YAML text stands for: a number, null, an `Ambiguous` scalar, or text."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not _OTHER_BASE.fullmatch(text):
        return float(text)
    if (lower := text.lower()) in _WORDS:
        value = _WORDS[lower]
        return Ambiguous(text, str(value).lower(), value) if isinstance(value, bool) else value
    return next((Ambiguous(text, kind) for kind, form in _SURPRISES if form.fullmatch(text)), text)


def _is_a(value: Any, tag: str) -> bool:
    if tag == "bool":
        return isinstance(value, Ambiguous) and value.truth is not None
    return {"int": type(value) is int, "float": isinstance(value, float), "null": value is None}.get(tag, False)


class _Repeated(dict[str, Any]):
    """A JSON object in which a key stands twice."""


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of a JSON object."""
    mapping = dict(pairs)
    return mapping if len(mapping) == len(pairs) else _Repeated({"": _first_twice(pairs)})


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _json_integer(text: str) -> Any:
    return int(text) if len(text) <= MOST_DIGITS else _LongNumber(_too_long(text))


class _LongNumber(str):
    """What is said of a number with too many digits."""

    __slots__ = ()


def _checked(value: Any, place: str, depth: int, file: str | Path) -> Any:
    """Return JSON data with `Ambiguous` scalars for true and false; raises `SpecError` naming the place."""
    kind = type(value)
    if kind is bool:
        return Ambiguous(str(value).lower(), str(value).lower(), value)
    if wrong := _wrong_in_json(value, kind):
        raise SpecError(wrong, place, file)
    if kind not in (list, dict):
        return value
    if depth >= MOST_DEPTH:
        raise SpecError(_too_deep(), place, file)
    for key, each in enumerate(value) if kind is list else value.items():
        if isinstance(key, str) and _UNENCODABLE.search(key):
            raise SpecError(f"the key {quoted(key)} holds a character that no text can have", place, file)
        if type(each) not in (int, float):
            within = f"{place}[{key}]" if kind is list else f"{place}.{key}".lstrip(".")
            value[key] = _checked(each, within, depth + 1, file)  # in place: a copy would need as much memory again
    return value


def _wrong_in_json(value: Any, kind: type) -> str:
    """What is wrong with a value of JSON by itself; empty where nothing is."""
    if kind is str and _UNENCODABLE.search(value):
        return f"{quoted(value)} holds a character that no name or text can have"
    if kind is _Repeated:
        return f"duplicate key {quoted(value[''])}"
    if kind is dict and len(value) > MOST_KEYS:
        return _too_many_keys()
    return str(value) if kind is _LongNumber else ""


def _too_many_keys() -> str:
    return f"a mapping of more than {MOST_KEYS:,} keys is too large"


def _too_long(number: str) -> str:
    return f"a number of {len(number):,} characters is too long (at most {MOST_DIGITS:,})"


def _too_deep() -> str:
    return f"cannot be read: its lists or mappings are nested too deeply (at most {MOST_DEPTH} in one another)"


def _too_many() -> str:
    return f"holds more than {MOST_VALUES:,} values"
