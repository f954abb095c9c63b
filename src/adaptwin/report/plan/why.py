"""Why a GPU is full, in a sentence with the numbers that show it."""

from adaptwin.plan.forecast import MOST_HEADROOM, Brink, Forecast
from adaptwin.report.style.words import count, duration, number, percent


def what_binds(forecast: Forecast, max_num_seqs: int) -> str:
    """The binding constraint; ``max_num_seqs`` where this limit keeps the GPU from computing more."""
    if forecast.headroom_is_open:
        return "nothing"
    return "max_num_seqs" if forecast.binding == "compute" and forecast.fills_batch(max_num_seqs) else forecast.binding


def why_full(forecast: Forecast, *, loras: int, max_loras: int, max_num_seqs: int) -> str:
    """What happens to a server just beyond its headroom, with the numbers that show what limits it."""
    if forecast.headroom_is_open:
        return f"It is far from full: {percent(MOST_HEADROOM)} more traffic would be served."
    brink = forecast.brink
    if brink is None:
        return f"Where it is full was not measured; now {_now(forecast, max_num_seqs)}."
    match what_binds(forecast, max_num_seqs):
        case "slots":
            fact = (
                f"{count(loras, 'adapter')} share {count(max_loras, 'slot')}, "
                f"{number(brink.mean_adapters)} of them in the batch on average"
            )
        case "memory":
            fact = (
                f"the KV cache is {percent(brink.kv_usage)} full on average, {count(brink.preemptions, 'preemption')}"
            )
        case "slo":
            fact = _missed(brink)
        case "max_num_seqs":
            fact = (
                f"the batch is at its limit, max_num_seqs: {number(brink.mean_running)} of {max_num_seqs:,} running "
                f"on average, a token every {duration(brink.itl_mean)}"
            )
        case _:
            fact = (
                f"{number(brink.mean_running)} requests run at once (max_num_seqs {max_num_seqs:,}), a token takes "
                f"{duration(brink.itl_mean)}, busy {percent(brink.busy)} of the time"
            )
    waiting = f"; {number(brink.mean_waiting)} requests wait" if brink.mean_waiting >= 1.0 else ""
    return f"With {percent(brink.traffic - 1.0)} more traffic {fact}{waiting}."


def _now(forecast: Forecast, max_num_seqs: int) -> str:
    return (
        f"{number(forecast.mean_running)} requests run at once (max_num_seqs {max_num_seqs:,}), the KV cache is "
        f"{percent(forecast.kv_usage)} full, busy {percent(forecast.busy)} of the time"
    )


def _missed(brink: Brink) -> str:
    missed = brink.missed
    if missed is None:
        return f"TTFT p99 is {duration(brink.ttft_p99)} and ITL p99 {duration(brink.itl_p99)}, more than was promised"
    name = {"ttft": "TTFT p99", "itl": "mean ITL"}[missed.objective]
    return f"the {name} of {missed.adapter} is {duration(missed.latency)}, {duration(missed.allowed)} is allowed"
