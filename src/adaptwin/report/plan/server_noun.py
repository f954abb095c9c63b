"""What a server of a plan is called: a GPU where each server has one, else a server."""

from collections.abc import Iterable

from adaptwin.plan.plan import Plan


def server_noun(plan: Plan) -> str:
    """Return ``GPU`` if each server of a plan has one GPU, else ``server``."""
    return noun_for(map(plan.gpus_of, plan.servers))


def noun_for(sizes: Iterable[int]) -> str:
    """Return ``GPU`` if all of these servers, given by their numbers of GPUs, have one, else ``server``."""
    return "server" if any(size > 1 for size in sizes) else "GPU"


def heading_of(noun: str) -> str:
    """Return a noun as the heading of a column: ``GPU`` as it is, ``Server`` with a capital."""
    return noun[0].upper() + noun[1:]
