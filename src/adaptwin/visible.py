"""Visible text: names, paths and notes of users, without characters that a terminal would obey or hide.

Names may come from anywhere. Each output escapes them in one place: the terminal in `report.style.terminal` and
`cli.terminal`, pages in `report.style.page`, exported files in `export.comments`, and errors in `errors`.
"""

import json
import re
from functools import lru_cache

_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_QUOTED = 80  # characters of a value in an error message


def visible(text: str, *, keep: str = "") -> str:
    r"""Return the text with invisible characters as escapes, such as ``\x1b``, ``\n`` or ``\u202e``.

    Invisible are control characters, line breaks, changes of the direction of writing, characters without a width
    that show nothing, and halves of surrogate pairs.

    Args:
        text: Any text.
        keep: Characters to leave as they are, such as a line break between paragraphs.
    """
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def visible_json(text: str) -> str:
    """Return JSON that reads back equal, with invisible characters inside strings in the escapes of JSON."""
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in "\n\t\r" else json.dumps(found[0])[1:-1], text)


def quoted(value: object) -> str:
    """Return a value as an error message shows it: in quotes if it is text, escaped, and shortened if it is long."""
    try:
        text = visible(repr(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists in one another
        return f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= _LONGEST_QUOTED else f"{text[: _LONGEST_QUOTED - 3]}..."


def require_no_control(name: str) -> str:
    """Return a name as it is; raises `ValueError` if it has a control character or a line break."""
    if found := _CONTROL.search(name):
        raise ValueError(f"{quoted(name)} has {_kind_of_control(found[0])}: names may hold no control characters")
    return name


def _kind_of_control(character: str) -> str:
    kind = "a line break" if character in "\n\r\x85\u2028\u2029" else "a control character"
    return f"{kind} ({_escape(character)})"


@lru_cache(maxsize=1024)
def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
