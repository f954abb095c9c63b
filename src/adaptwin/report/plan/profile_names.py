"""short_profile_names: profiles of one base model, without the name of the model, for narrow tables."""

from collections.abc import Sequence
from itertools import takewhile

_LEAST_CHARACTERS = 6  # that are worth leaving out


def short_profile_names(names: Sequence[str]) -> dict[str, str]:
    """Return each name without the parts at the end that all have, such as ``h100-64gb-…``.

    Names stay whole where they have little in common, and where one would have nothing left.
    """
    parts = [name.split("-")[::-1] for name in dict.fromkeys(names)]
    shared = [each[0] for each in takewhile(lambda each: len(set(each)) == 1, zip(*parts, strict=False))]
    cut = sum(len(part) + 1 for part in shared)
    if cut < _LEAST_CHARACTERS or any(len(part) == len(shared) for part in parts):
        return {name: name for name in names}
    return {name: f"{name[:-cut]}-…" for name in names}
