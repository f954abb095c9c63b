"""Addresses of servers, each of which may have the name of a server of a plan before it: ``NAME=URL``."""

from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.live.connection import server_url, server_urls


class Address(NamedTuple):
    """Where a server is, and its name in the plan if it was given."""

    name: str | None
    url: str


def addresses_of(texts: Sequence[str]) -> list[Address]:
    """Return the addresses in texts of the form ``URL`` or ``NAME=URL``; raises `SpecError` for one given twice."""
    found = [_address(text) for text in texts]
    server_urls([address.url for address in found])
    names = [address.name for address in found if address.name]
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise SpecError(f"{twice!r} has two addresses", "url")
    return found


def _address(text: str) -> Address:
    name, is_named, url = text.partition("=")
    if not is_named or "://" in name or "/" in name:
        return Address(None, server_url(text))
    return Address(name, server_url(url))
