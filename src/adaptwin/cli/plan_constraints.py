"""Constraints and prices of the command line: ``--pin``, ``--apart``, ``--together`` and ``--price``."""

import typer

from adaptwin.plan.constraints import Constraints


def constraints_of_options(
    pin: list[str] | None, apart: list[str] | None, together: list[str] | None
) -> Constraints | None:
    """The constraints of the command line, which replace the fleet's; None where it has none."""
    if not (pin or apart or together):
        return None
    return Constraints(
        pinned=_pinned(pin or []), apart=_groups("--apart", apart), together=_groups("--together", together)
    )


def _pinned(texts: list[str]) -> dict[str, str]:
    pinned: dict[str, str] = {}
    for name, server in map(_pair, texts):
        if pinned.setdefault(name, server) != server:
            raise typer.BadParameter(f"{name!r} is pinned to {pinned[name]} and to {server}", param_hint="--pin")
    return pinned


def _pair(text: str) -> tuple[str, str]:
    name, equals, server = text.rpartition("=")
    if not (name and equals and server):
        raise typer.BadParameter(f"{text!r} is not ADAPTER=GPU", param_hint="--pin")
    return name, server


def prices_of_options(texts: list[str] | None) -> dict[str, float]:
    """The prices of the command line; each replaces the fleet's price of its profile."""
    return dict(map(_price, texts or []))


def _price(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not (name and 0 < value < float("inf")):
        raise typer.BadParameter(f"{text!r} is not PROFILE=PRICE with a price above 0", param_hint="--price")
    return name, value


def _groups(option: str, texts: list[str] | None) -> tuple[tuple[str, ...], ...]:
    groups = tuple(tuple(name.strip() for name in text.split(",")) for text in texts or [])
    for text, group in zip(texts or [], groups, strict=True):
        if len(group) < 2 or not all(group):
            raise typer.BadParameter(f"{text!r} does not name several adapters, as in a,b", param_hint=option)
    return groups
