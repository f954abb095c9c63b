"""Fields: values of a report in JSON, read one by one with the place of each in errors."""

import math
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError
from adaptwin.visible import quoted

MOST_OF_REPORT = 1e12  # of any figure: no benchmark has more tokens, or takes as long


class Fields:
    """A mapping of a report, and where it stands in the file."""

    def __init__(self, data: Any, file: Path, place: str = "") -> None:
        """Raises `SpecError` if the data is no mapping."""
        if not isinstance(data, dict):
            raise SpecError(f"expected a mapping of fields, found {quoted(data)}", place, file)
        self.data, self.file, self.place = data, file, place

    def at(self, name: str) -> str:
        """Return the place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def part(self, name: str) -> "Fields":
        """Return a mapping inside this one; without fields if it is missing or null."""
        return Fields(self.data.get(name) or {}, self.file, self.at(name))

    def has(self, name: str) -> bool:
        """Return whether a field is there and not null."""
        return self.data.get(name) is not None

    def rate(self, name: str) -> float | None:
        """Return a number that may be infinite, as text or as JSON's Infinity; None if the field is missing."""
        value = self.data.get(name)
        if value == math.inf or (isinstance(value, str) and value.lower() in ("inf", "infinity")):
            return math.inf
        return self.optional(name)

    def optional(self, name: str) -> float | None:
        """Return a number from 0 to `MOST_OF_REPORT`; None if the field is missing, null or not a number (NaN)."""
        value = self.data.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_OF_REPORT:
            message = f"{quoted(value)} must be a number from 0 to {MOST_OF_REPORT:.0e}"
            raise SpecError(message, self.at(name), self.file)
        return float(value)

    def number(self, name: str) -> float:
        """Return a number that is above 0."""
        value = self.optional(name)
        if value is None:
            raise SpecError("is missing", self.at(name), self.file)
        if value == 0:
            raise SpecError("0 must be above 0", self.at(name), self.file)
        return value

    def count(self, name: str) -> int:
        """Return a whole number of at least 0; 0 if the field is missing."""
        value = self.optional(name) or 0.0
        if not value.is_integer():
            raise SpecError(f"{value:g} must be a whole number", self.at(name), self.file)
        return int(value)

    def text(self, name: str) -> str | None:
        """Return a text in one line; None if the field holds none."""
        value = self.data.get(name)
        return value if isinstance(value, str) and value.strip() and value.isprintable() else None

    def numbers(self, name: str) -> list[float]:
        """Return a list of numbers; empty if the field is missing."""
        values = self.data.get(name) or []
        if not isinstance(values, list) or not all(
            type(value) in (int, float) and 0 <= value <= MOST_OF_REPORT for value in values
        ):
            raise SpecError("must be a list of numbers of at least 0", self.at(name), self.file)
        return [float(value) for value in values]

    def wrong(self, message: str, name: str = "") -> SpecError:
        """Return the error that something is wrong with a field, or with the whole mapping."""
        return SpecError(message, self.at(name) if name else self.place, self.file)
