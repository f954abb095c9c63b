"""Why a GPU is full: a sentence with the numbers that show what limits it."""

from adaptwin.plan.forecast import MOST_HEADROOM, Brink, Forecast
from adaptwin.report.style.words import count, duration, number, percent


def why_full(forecast: Forecast, *, loras: int, max_loras: int, max_num_seqs: int) -> str:
    """Say what happens to a server just beyond its headroom, with the numbers that show what limits it."""
    if forecast.headroom_is_open:
        return f"It is far from full: it could serve {percent(MOST_HEADROOM)} more traffic."
    brink = forecast.brink
    if brink is None:
        return f"Its limit was not simulated. At the planned traffic, {_now(forecast, max_num_seqs)}."
    match forecast.binding:
        case "slots":
            fact = (
                f"{count(loras, 'adapter')} compete for {count(max_loras, 'slot')}, "
                f"of which {number(brink.mean_adapters)} are in use on average"
            )
        case "memory":
            fact = (
                f"the KV cache is {percent(brink.kv_usage)} full on average, "
                f"with {count(brink.preemptions, 'preemption')}"
            )
        case "slo":
            fact = _missed(brink)
        case "max_num_seqs":
            fact = (
                f"the batch is nearly full: {number(brink.mean_running)} requests run on average (max_num_seqs "
                f"{max_num_seqs:,}), and a token takes {duration(brink.itl_mean)}"
            )
        case "loads":
            fact = (
                f"steps wait for adapters to load {percent(brink.loading)} of the time: "
                f"{count(loras, 'adapter')} share {count(max_loras, 'slot')}"
            )
        case _:
            fact = (
                f"{number(brink.mean_running)} requests run at once (max_num_seqs {max_num_seqs:,}), a token takes "
                f"{duration(brink.itl_mean)}, and the GPU is busy {percent(brink.busy)} of the time"
            )
    waiting = f"; {number(brink.mean_waiting)} requests wait" if brink.mean_waiting >= 1.0 else ""
    return f"With {percent(brink.traffic - 1.0)} more traffic, {fact}{waiting}."


def _now(forecast: Forecast, max_num_seqs: int) -> str:
    return (
        f"{number(forecast.mean_running)} requests run at once (max_num_seqs {max_num_seqs:,}), the KV cache is "
        f"{percent(forecast.kv_usage)} full, and the GPU is busy {percent(forecast.busy)} of the time"
    )


def _missed(brink: Brink) -> str:
    missed = brink.missed
    if missed is None:
        return f"TTFT p99 is {duration(brink.ttft_p99)} and ITL p99 {duration(brink.itl_p99)}, above the latency limits"
    name = {"ttft": "TTFT p99", "itl": "mean ITL"}[missed.objective]
    return (
        f"the {name} of {missed.adapter} is {duration(missed.latency)}, above its target of {duration(missed.allowed)}"
    )
