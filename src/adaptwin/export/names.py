"""Names for stacks that allow few characters: a stable name for every name of a plan, never one for two."""

import hashlib
import re
from collections.abc import Container, Iterable

from adaptwin.errors import SpecError
from adaptwin.visible import quoted

_OTHER = re.compile(r"[^a-z0-9]+")
_PLAIN_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{,199}")
_DIGEST_LENGTH = 8  # characters of the digest that tells changed names apart


def dns_label(name: str, longest: int = 63, taken: Container[str] = ()) -> str:
    """Return a DNS label (RFC 1035: ``[a-z]([-a-z0-9]*[a-z0-9])?``) for a name, always the same one.

    A name that is a label already stays as it is. Any other, and one that is `taken`, becomes its letters and digits in
    lower case with a digest of the whole name: ``Team A/chat`` becomes ``team-a-chat-1f0c2a9b``.
    """
    plain = _OTHER.sub("-", name.lower()).strip("-")
    if plain == name and name[0].isalpha() and len(name) <= longest and name not in taken:
        return name
    start = plain if plain[:1].isalpha() else f"x-{plain}" if plain else "x"
    start = start[: longest - _DIGEST_LENGTH - 1].rstrip("-")
    text = name
    while (label := f"{start}-{_name_digest(text)}") in taken:
        text += "\n"  # which no name has
    return label


def _name_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def distinct_labels(names: Iterable[str], longest: int = 63, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return the DNS label of each name; raises `SpecError` naming two names that get the same one.

    Labels that are `taken` by something else on the stack are not used: a name such as one of them gets a digest.
    """
    labels: dict[str, str] = {}
    not_free = set(taken)
    owner: dict[str, str] = {}
    for name in names:
        label = dns_label(name, longest, not_free)
        if owner.setdefault(label, name) != name:
            raise SpecError(
                f"{quoted(owner[label])} and {quoted(name)} both become {quoted(label)} on this stack: rename one"
            )
        labels[name] = label
    return labels


def distinct_folders(names: Iterable[str]) -> dict[str, str]:
    """Return a name of a folder for each name, with letters, digits, ``.``, ``_`` and ``-`` only.

    A name that has no other characters stays as it is; any other gets its DNS label.
    """
    every = list(dict.fromkeys(names))
    plain = {name for name in every if _PLAIN_FOLDER.fullmatch(name)}
    labels = distinct_labels((name for name in every if name not in plain), taken=plain)
    return {name: labels.get(name, name) for name in every}
