"""Quantities in words: times such as ``500ms`` and ``1h``, and shares such as ``20%``, read alike everywhere."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, SerializationInfo, ValidationInfo

from adaptwin.plain_data import is_number

SECONDS_OF = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WITH_UNIT = re.compile(rf"(.*?)\s*({'|'.join(SECONDS_OF)})")


def parse_number(text: str) -> float:
    """Return a number in plain digits, such as -1, 0.5 or 1e-3; raises `ValueError` for all else.

    Infinity and NaN are returned, as ``inf`` and ``nan``, so that callers can say what they allow.
    """
    if not is_number(text) and text.strip().lower() not in ("inf", "-inf", "nan"):
        raise ValueError(f"{text!r} is not a number{number_meant(text)}")
    return float(text)


def number_meant(text: str) -> str:
    """Return ``; write 1000`` for 1_000 or 1,000, and nothing for what cannot be told."""
    plain = re.sub(r"(?<=\d)[_,](?=\d{3}(\D|$))", "", text)
    if plain != text and is_number(plain):
        point = text.replace(",", ".", 1)
        decimals = point if is_number(point) and point != text else "a point"
        return f"; write {plain} for thousands, or {decimals} for decimals"
    if is_number(point := text.replace(",", ".", 1)):
        return f"; write {point}"
    return "; a share is written as a number, such as 0.05" if text.endswith("%") else ""


def parse_seconds(text: str) -> float:
    """Return ``500ms``, ``2s``, ``30m`` (or ``30min``), ``1h`` or ``1d`` in seconds; a bare number is in seconds.

    Raises `ValueError` for what is no time.
    """
    text = text.strip()
    matched = _WITH_UNIT.fullmatch(text)
    number, unit = matched.groups() if matched else (text, "s")
    if not is_number(number):
        raise ValueError(f"{text!r} is not a time, such as 500ms or 2s (units: {', '.join(SECONDS_OF)})")
    return _product(number, SECONDS_OF[unit])


def parse_latency(text: str) -> float:
    """Return ``500ms`` or ``2s`` in seconds, above 0; a bare number is refused, because it may mean either unit.

    Raises `ValueError`.
    """
    value = parse_seconds(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} must be above 0")
    if is_number(text):
        raise ValueError(f"{text!r} has no unit: write {text}ms or {text}s")
    return value


def parse_share(text: str) -> float:
    """Return ``20%`` or ``0.2`` as 0.2; raises `ValueError` for what is no share, and for bare numbers above 1."""
    text = text.strip()
    number = text.removesuffix("%").rstrip()
    if not is_number(number):
        raise ValueError(f"{text!r} is not a share, such as 20% or 0.2")
    if text.endswith("%"):
        return _product(number, 0.01)
    _refuse_bare_percents(text, float(number))
    return float(number)


def _product(number: str, factor: float) -> float:
    """The product of a number in words and a factor, rounded once, so that 20 % is 0.2."""
    try:
        return float(Decimal(number) * Decimal(repr(factor)))
    except ArithmeticError:
        raise ValueError(f"{number!r} is out of range") from None


def _refuse_bare_percents(text: str, value: float) -> None:
    if value > 1:
        raise ValueError(f"{text!r} is {100 * value:g}%: write {text}% or {value / 100:g} if that was meant")


def _seconds_of_field(value: Any) -> Any:
    return parse_seconds(value) if isinstance(value, str) else value


class _BareLatency:
    """Latencies without a unit, which files mean in seconds: only as many as are plausible, for 50 may be ms.

    Args:
        most: The longest time that needs no unit, in seconds.
    """

    def __init__(self, most: float) -> None:
        self.most = most

    def read(self, value: Any, info: ValidationInfo) -> Any:
        """Return a latency in seconds; raises `ValueError` for a number in a file that may be milliseconds."""
        if isinstance(value, str):
            return parse_seconds(value)
        if info.context and isinstance(value, int | float) and value > self.most:
            raise ValueError(f"{value:g} has no unit: write {value:g}ms or {value:g}s")
        return value

    def written(self, value: Any, info: SerializationInfo) -> Any:
        """Return the form in a file: with the unit where a number would be refused."""
        return f"{value!r}s" if info.context and isinstance(value, float) and value > self.most else value


_TTFT, _ITL = _BareLatency(10.0), _BareLatency(1.0)


def _fraction_of_field(value: Any) -> Any:
    return parse_share(value) if isinstance(value, str) else value


def _share_of_field(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return parse_share(value)
    if info.context and isinstance(value, int | float):  # in a file; in Python, 1.5 is 150 %
        _refuse_bare_percents(f"{value:g}", value)
    return value


def _share_in_file(value: Any, info: SerializationInfo) -> Any:
    """The form in a file of a share: in per cent above 1, because a bare number above 1 is refused there."""
    in_file = info.context and isinstance(value, float) and value > 1
    return f"{(Decimal(repr(value)) * 100).normalize():f}%" if in_file else value


# Types of fields, which files and Python may give as text as well.
TimeSpan = Annotated[float, BeforeValidator(_seconds_of_field)]  # in seconds
TtftLimit = Annotated[
    float, BeforeValidator(_TTFT.read), PlainSerializer(_TTFT.written, when_used="json")
]  # in seconds
ItlLimit = Annotated[float, BeforeValidator(_ITL.read), PlainSerializer(_ITL.written, when_used="json")]  # in seconds
Fraction = Annotated[float, BeforeValidator(_fraction_of_field)]  # a share that is at most 1
FieldShare = Annotated[float, BeforeValidator(_share_of_field), PlainSerializer(_share_in_file, when_used="json")]
