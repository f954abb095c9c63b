"""Why one server cannot serve adapters, even alone: what was asked, what is attainable, and what would help."""

import math
from collections.abc import Mapping

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart

LEAST_PARTS = (256, 64, 16, 4, 1)  # parts of an adapter's traffic at which its best latency is looked for
ROOM_FOR_LIMIT = 1.2  # a limit on latency that is suggested, over the best that is attainable


def require_attainable(capacity: Capacity, name: str) -> None:
    """Raise `Infeasible` if an adapter misses a limit on latency even with little of its traffic alone on a server."""
    adapter = capacity.adapter(name)
    if not (capacity.latency_limits or adapter.slo_ttft or adapter.slo_itl):
        return
    whole = {name: 1.0}
    if capacity.estimate(whole, (capacity.slot_choices(whole) or [1])[-1]).ok:
        return
    if missed := latency_missed(capacity, name, _answer_alone(capacity, whole)):
        raise Infeasible(f"{_not_served_here(capacity, name)}: {missed}")


def unservable(capacity: Capacity, item: AdapterPart) -> Infeasible:
    """Return the error for a part of an adapter that no server serves even alone, though it cannot be split further."""
    name = item.name
    answer = _answer_alone(capacity, {name: item.share})
    if missed := latency_missed(capacity, name, answer):
        return Infeasible(f"{_not_served_here(capacity, name)}: {missed}")
    parts = f"split over {round(1 / item.share):,} servers, " if item.share < 1 else ""
    return Infeasible(f"{_not_served_here(capacity, name)}, {parts}{served_at_most(capacity, {name: item.share})}")


def _not_served_here(capacity: Capacity, name: str) -> str:
    rate = f"{capacity.path(name)}.rate: {capacity.rate(name):g} requests/s"
    return f"{rate} of {name!r} cannot be served on {capacity.profile.name}"


def served_at_most(capacity: Capacity, shares: Mapping[str, float]) -> str:
    """Return what one server serves of these adapters, or which latency it misses, and what would help."""
    answer = _answer_alone(capacity, shares)
    for name in shares:
        if len(shares) == 1 and (missed := latency_missed(capacity, name, answer)):
            return missed
    if not answer.starts:
        return "and no server starts with them: lower ranks, fewer adapters or another profile would help"
    requests = sum(capacity.rate(name) * share for name, share in shares.items())
    offered = sum(capacity.tokens(name) * share for name, share in shares.items())
    served = requests * answer.throughput / offered if offered else 0.0
    tokens = f"{_three_digits(answer.throughput)} of {_three_digits(offered)} tokens/s"
    return (
        f"one server serves {_three_digits(served)} of {_three_digits(requests)} requests/s "
        f"({tokens}), simulated, and is {answer.verdict}: "
        "shorter requests, lower ranks, another profile or a lower rate would help"
    )


def latency_missed(capacity: Capacity, name: str, answer: Answer) -> str:
    """Return which limit on latency an adapter misses alone on a server; empty if it misses none.

    It says the limit, the lowest latency with little of the adapter's traffic, and a limit that can be kept.
    """
    if answer.verdict != "slow":
        return ""
    adapter, limits = capacity.adapter(name), capacity.latency_limits
    best = _least_loaded(capacity, name)
    for limit, latency, what, option in (
        (limits.ttft_p99, best.ttft_p99, "TTFT p99", "--ttft-p99"),
        (limits.itl_p99, best.itl_p99, "ITL p99", "--itl-p99"),
        (adapter.slo_ttft, best.ttft_p99, "TTFT p99", f"{capacity.path(name)}.slo_ttft"),
        (adapter.slo_itl, best.itl_mean, "mean ITL", f"{capacity.path(name)}.slo_itl"),
    ):
        if limit is not None and latency > limit:
            return _said(limit, latency, what, option)
    return ""


def _said(limit: float, latency: float, what: str, option: str) -> str:
    enough = _rounded_up(ROOM_FOR_LIMIT * latency)
    possible = f"{option}{' ' if option.startswith('--') else ': '}{_latency_in_words(enough)}"
    return (
        f"{what} must be at most {_latency_in_words(limit)}, but {_latency_in_words(latency)} is the best that it gets "
        f"alone on a server, simulated; {possible}, shorter prompts, a lower rank or another profile would do"
    )


def _least_loaded(capacity: Capacity, name: str) -> Answer:
    """Return the answer with the least of an adapter's traffic that has a latency."""
    answers = (_answer_alone(capacity, {name: 1.0 / parts}) for parts in LEAST_PARTS)
    with_latency = [answer for answer in answers if math.isfinite(answer.ttft_p99)]
    return min(with_latency, key=lambda answer: answer.ttft_p99, default=_answer_alone(capacity, {name: 1.0}))


def _answer_alone(capacity: Capacity, shares: Mapping[str, float]) -> Answer:
    """Return the answer for a server with these adapters only, with the most slots with which it starts."""
    slots = capacity.slot_choices(shares) or [1]
    return capacity.ask(shares, slots[-1])


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _latency_in_words(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"


def _rounded_up(seconds: float) -> float:
    """Return seconds with two digits, rounded up."""
    step = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return round(math.ceil(seconds / step) * step, 9)
