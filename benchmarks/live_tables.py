"""Tables and sentences of the page about real servers on a CPU."""

import statistics
from typing import Any

from measured_page import generated_by, paragraph, section

WHAT = """This page holds the twin against real vLLM servers: a profile is fitted with `adaptwin measure` and
`adaptwin fit`, traffic is sent with `adaptwin replay`, and the twin simulates the same requests. The servers are vLLM
0.32.0 on the CPU of the build machine, with a tiny random Llama (4 layers, hidden size 256) and random LoRA adapters of
rank 8 and 16. Server, scheduler, adapter manager and API are those of a GPU; only the kernels are others."""

CAUTION = """Read it for the loop, not for the times. Two cores run the server and its client, so repeats of the very
same replay differ; the column *spread* says by how much. On a CPU, the time of a step does not
depend on the number of distinct adapters in it, so that nothing is learnt here of that term."""

FIGURES = (("throughput", "tok/s", 1.0, 0), ("itl", "ITL, ms", 1000.0, 1), ("ttft_mean", "TTFT, ms", 1000.0, 0))


def page_of(kept: dict[str, Any]) -> str:
    """Return the page."""
    head = f"# Real servers\n\n{paragraph(WHAT)}\n\n{paragraph(CAUTION)}"
    parts = [head, _loads(kept["loads"]), _two(kept["two"]), _starved(kept["starved"])]
    return "\n\n".join([*parts, generated_by("live", after="a change to the live loop, the fit or the twin")])


def _loads(found: dict[str, Any]) -> str:
    real, twin = found["real"], found["twin"]
    keys = list(dict.fromkeys((row["slots"], row["load"]) for row in real))
    body, errors, spreads = [], {name: [] for name, *_ in FIGURES}, {name: [] for name, *_ in FIGURES}
    for slots, load in keys:
        mine = [row for row in real if (row["slots"], row["load"]) == (slots, load)]
        theirs = next(row for row in twin if (row["slots"], row["load"]) == (slots, load))
        cells = [str(slots), f"{load:g}", f"{mine[0]['rate']:.2f}"]
        for name, _, factor, digits in FIGURES:
            values = [row[name] for row in mine]
            median = statistics.median(values)
            error = theirs[name] / median - 1
            errors[name].append(abs(error))
            spread = (max(values) - min(values)) / median
            spreads[name].append(spread)
            cells += [f"{factor * median:,.{digits}f}", f"{spread:.0%}", f"{error:+.0%}"]
        body.append(cells)
    header = ["slots", "load", "req/s"]
    for _, label, *_ in FIGURES:
        header += [label, "spread", "twin"]
    means = ", ".join(
        f"{statistics.mean(values):.1%} in {label.partition(',')[0]}"
        for (name, label, *_), values in zip(FIGURES, errors.values(), strict=True)
    )
    widest = ", ".join(
        f"{max(values):.0%} in {label.partition(',')[0]}"
        for (name, label, *_), values in zip(FIGURES, spreads.values(), strict=True)
    )
    note = f"""Medians of {len(real) // len(keys)} repeats of the same replay, the spread between its repeats (largest
    less smallest, over the median), and the error of the twin. 12 adapters are active; *load* is a share of what the
    micro-benchmarks say the server sustains ({found["capacity"]:.1f} requests/s). The profile was fitted to the server
    with 16 slots alone. Mean error of the twin: {means}; widest spread: {widest}."""
    return section("Below, near and above saturation", header, body, paragraph(note))


def _two(found: dict[str, Any]) -> str:
    header = ["", "requests/s", "tok/s", "ITL, ms", "TTFT mean, ms", "worst verdict"]
    body = []
    for name, label in (
        ("plan", "measured, routed by the plan"),
        ("twin", "the twin"),
        ("round-robin", "measured, in turn"),
    ):
        for place, row in enumerate(found[name]):
            cells = [f"{label}, server {place}", f"{row['rate']:.2f}", f"{row['throughput']:,.0f}"]
            body.append([*cells, f"{1000 * row['itl']:.1f}", f"{1000 * row['ttft_mean']:,.0f}", row["worst"]])
    most = found["most_ttft"]
    note = f"""{found["adapters"]} adapters with {found["rate"]:.1f} requests/s on two servers with a core each; the
    profile is that of a server with two cores, so the error is reported without an aim. The adapter that waited longest
    had a TTFT (p99) of {most["plan"]:.1f} s routed by the plan ({most["twin"]:.1f} s by the twin), and of
    {most["round-robin"]:.1f} s when requests went to the servers in turn."""
    return section("Two servers and a plan", header, body, paragraph(note))


def _starved(found: dict[str, Any]) -> str:
    before, after = found["before"], found["after"]
    header = [
        "adapter",
        *(f"{what}, max_loras {each['slots']}, s" for each in (before, after) for what in ("TTFT p50", "p99")),
    ]
    body = [
        [name, *(_seconds(each[what][name]) for each in (before, after) for what in ("ttft_p50", "ttft_p99"))]
        for name in before["ttft_p50"]
    ]
    note = f"""Two hot adapters (a00, a01) hold both slots of a server, and the others wait until one of the two has no
    request. In the middle of it, `adaptwin diagnose` says that {found["binding"]} limit the server
    ({"; ".join(found["evidence"])}), names {_named(found)}, and advises:
    {found["advice"] or "nothing that the twin confirms; the server got a slot for each adapter"}. The server was
    started again so, and got the same requests."""
    return section("A server that starves adapters", header, body, paragraph(note))


def _named(found: dict[str, Any]) -> str:
    return f"{', '.join(found['waiting'])} as waiting" if found["waiting"] else "no other adapter as waiting"


def _seconds(wait: float | None) -> str:
    return "-" if wait is None else f"{wait:.2f}"
