"""Names of what is shipped, as people type them: the start of a name is enough if only one begins so."""

import re
from collections.abc import Iterable

from adaptwin.errors import SpecError
from adaptwin.visible import quoted

_SEPARATORS_OF_NAMES = re.compile(r"[-_\s]")


def names_meant(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the name that is meant, several if the start of a name fits several, or none.

    Case and separators do not matter: ``H100_SXM`` is ``h100-sxm``. A whole name goes before the start of others. A
    number with a letter is another one than the number: ``l40`` does not mean ``l40s``.
    """
    by_key = {_name_key(name): name for name in names}
    key = _name_key(wanted)
    return [by_key[key]] if key in by_key else [name for name in by_key.values() if _begins(name, key)]


def _begins(name: str, key: str) -> bool:
    """Whether a name begins with a key, and not with a number that goes on with a letter."""
    ends = [place for place in range(1, len(name) + 1) if _name_key(name[:place]) == key]
    return bool(ends) and not (name[ends[0] - 1].isdigit() and name[ends[0] : ends[0] + 1].isalpha())


def several_meant(wanted: str, found: Iterable[str], field: str) -> SpecError:
    """Return the error that the start of a name fits several names."""
    return SpecError(f"{quoted(wanted)} is one of {', '.join(found)}: name one", field)


def _name_key(name: str) -> str:
    return _SEPARATORS_OF_NAMES.sub("", name).lower()
