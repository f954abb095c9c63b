"""Prefix caching: real runs with cached prompts, hit rates, plans, and speed. Writes docs/measured/prefixes.md."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from adaptwin import Adapter, Lengths, Profile, Server, Template, Workload, load_profile, make_plan, simulate
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from adaptwin.workload.demand.shared_share import shared_share
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.synthetic import synthesize
from adaptwin.workload.sources.traces import trace_window
from adaptwin.workload.sources.turns import ConversationTurns
from base_model_errors import derived_of
from h100_runs import PROJECT
from measured_page import PAGES, generated_by, paragraph, section
from public_runs import FIRST_RATE, OPEN_LOOP, PublicRun, base_only, open_loop

PAGE = PAGES / "prefixes.md"
H100 = "h100-64gb-llama-3.1-8b-instruct"
SAMPLES = PROJECT.parent / "shared" / "schemas" / "samples" / "traces"
BETWEEN = 300.0  # seconds from the last arrival of a run to the first of the next
ON, OFF = Server(max_loras=0, max_model_len=4096), Server(max_loras=0, max_model_len=4096, enable_prefix_caching=False)

WHAT = """This page shows what prefix caching changes in the twin: its error on real runs whose prompts lay in the
cache, hit rates beside what a cache without limits would hit, plans with and without, and what it costs in speed. How
the twin equals vLLM step by step is in [Versions of vLLM](../explanation/vllm-versions.md)."""

HEAD = f"# Prefix caching\n\n{paragraph(WHAT)}"


def main() -> None:
    """Measure everything, print the page and write it."""
    compile_twin()
    profile = load_profile(H100)
    parts = [HEAD, *warm_runs(), hit_rates(profile), plans(profile), speed(profile)]
    parts.append(generated_by("prefixes", after="a change to the twin, to the steady state or to the planner"))
    page = "\n\n".join(parts)
    print(page)
    PAGE.write_text(page + "\n", encoding="utf-8")


# Real runs.


def warm_runs() -> Iterator[str]:
    """Yield the section on public runs of the same prompts, one run after the other on each server."""
    if not OPEN_LOOP.exists():
        print(f"left out: {OPEN_LOOP} does not exist")
        return
    servers: list[list[PublicRun]] = []
    for run in open_loop(OPEN_LOOP, cached=False):
        if run.rate == FIRST_RATE:
            servers.append([])
        servers[-1].append(run)
    body, errors = [], defaultdict(list)
    for runs in servers:
        model = runs[0].model
        profile = derived_of(runs[0].gpu, model, runs[0].vllm_version)
        with_cache, hit = _played_in_turn(profile, ON, runs)
        without, _ = _played_in_turn(profile, OFF, runs)
        for i, run in enumerate(runs):
            error_with, error_without = (100 * (tpots[i] / run.tpot_mean - 1) for tpots in (with_cache, without))
            kind = "warm" if hit[i] > 0.5 else "cold"
            errors[kind].append((error_with, error_without))
            body.append(
                [
                    model.rpartition("/")[2],
                    f"{run.rate:g}",
                    f"{100 * hit[i]:.0f}",
                    f"{1e3 * run.tpot_mean:.1f}",
                    f"{error_without:+.0f}",
                    f"{error_with:+.0f}",
                ]
            )
    summary = "; ".join(
        f"{kind} runs ({len(pairs)}): without {_mean_size(pairs, 1):.1f} %, with {_mean_size(pairs, 0):.1f} %"
        for kind, pairs in errors.items()
    )
    note = paragraph(
        f"""200 ShareGPT prompts on an H100 PCIe with vLLM 0.8.5, sent at 32, 16, 8, 4 and 1 requests/s, one run after
        the other on the same server, so that from the second run on all prompts lay in the cache if it held them.
        The twin plays all runs of a server in one simulation, on derived profiles. Mean absolute errors of the time
        per output token: {summary}. The other figures are signed errors in per cent."""
    )
    header = ["model", "requests/s", "tokens hit, %", "measured TPOT, ms", "error without caching", "with caching"]
    yield section("Real runs whose prompts were cached", header, body, note)


def _mean_size(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return statistics.mean(abs(pair[place]) for pair in pairs)


def _played_in_turn(profile: Profile, server: Server, runs: Sequence[PublicRun]) -> tuple[list[float], list[float]]:
    """Return the mean TPOT of each run, played one after the other, and the share of its prompt tokens that was hit.

    The share is that of the twin in which the runs up to this one are played, less the runs before it.
    """
    arrivals: list[float] = []
    pairs: list[tuple[int, int]] = []
    prefixes: list[tuple[int, int]] = []
    ends, hits, start = [], [], 0.0
    for run in runs:
        assert isinstance(run.workload.arrivals, tuple)
        before = len(pairs) - len(run.workload.lengths.pairs)
        for place, (at, pair) in enumerate(zip(run.workload.arrivals, run.workload.lengths.pairs, strict=True)):
            arrivals.append(start + at)
            same = before + place
            prefixes.append((same, min(pair[0], pairs[same][0])) if same >= 0 else (-1, 0))
            pairs.append(pair)
        start = arrivals[-1] + BETWEEN
        ends.append(len(pairs))
    workload = base_only(np.array(arrivals), *np.array(pairs).T, duration=start)
    adapter = Adapter(
        "base", 0, 1.0, lengths=Lengths.empirical(pairs), arrivals=tuple(arrivals), prefixes=tuple(prefixes)
    )
    workload = workload.model_copy(update={"adapters": (adapter,), "arrivals": "poisson"})
    scenario = make_scenario(profile, server, workload, seed=0, drain=True)
    outcome = play(scenario)
    answers = scenario.requests.output
    tpot = (outcome.finish - outcome.first_token) / np.maximum(1, answers - 1) / 1e9
    found = [float(tpot[first:last].mean()) for first, last in zip([0, *ends], ends, strict=False)]
    queried = hit = 0
    for last in ends:
        part = scenario._replace(requests=scenario.requests.of(np.arange(len(pairs)) < last))
        some = play(part)
        hits.append((some.hit_tokens - hit) / max(1, some.queried_tokens - queried))
        queried, hit = some.queried_tokens, some.hit_tokens
    return found, hits


# Hit rates and plans.


class Fleet(NamedTuple):
    """A fleet whose prompts begin alike."""

    name: str
    workload: Workload


def _fleets() -> Iterator[Fleet]:
    chat = Lengths.lognormal(input_mean=1200, input_cv=0.5, output_mean=200, output_cv=0.8)
    for adapters, rate, tokens in ((20, 8.0, 800), (100, 12.0, 800), (300, 12.0, 800)):
        workload = synthesize(
            adapters=adapters,
            rate=rate,
            ranks=(8, 16),
            lengths=chat,
            templates=(Template(tokens=tokens),),
            duration=900.0,
        )
        yield Fleet(f"{adapters} adapters, a system prompt of {tokens} tokens, {rate:g} requests/s", workload)
    mixed = (Template(tokens=1000, share=0.4), Template(tokens=300, share=0.4))
    workload = synthesize(adapters=60, rate=10.0, ranks=(8, 16), lengths=chat, templates=mixed, duration=900.0)
    yield Fleet("60 adapters, two templates and prompts of their own, 10 requests/s", workload)
    for think in (30.0, 120.0):
        workload = synthesize(
            adapters=40,
            rate=6.0,
            ranks=(8, 16),
            lengths=Lengths.lognormal(input_mean=150, input_cv=1.0, output_mean=250, output_cv=0.8),
            turns=ConversationTurns(6, think),
            duration=900.0,
        )
        yield Fleet(f"40 adapters, conversations of 6 turns, {think:g} s from turn to turn, 6 requests/s", workload)


def hit_rates(profile: Profile) -> str:
    """Return the section on hit rates of one server, beside those of a cache without limits."""
    body = []
    for fleet in (*_fleets(), *_traces()):
        adapters = len(fleet.workload)
        server = Server(max_loras=min(32, adapters), max_lora_rank=16, max_cpu_loras=adapters)
        run = simulate(profile, server, fleet.workload)
        demand = sum_demands(demands_on(profile, server, fleet.workload))
        state = steady_state(demand, server.limits(profile), costs_of(profile, server), fleet.workload.duration)
        drawn = all(adapter.prefixes is None for adapter in fleet.workload.adapters)
        body.append(
            [
                fleet.name,
                f"{100 * shared_share(fleet.workload):.0f}",
                f"{100 * (run.prefix_hit_rate or 0.0):.0f}",
                f"{100 * state.hits:.0f}" if drawn else "–",
                f"{100 * run.kv_usage:.0f}",
                run.worst,
            ]
        )
    note = paragraph(
        """One H100 with 64 GB, Llama-3.1-8B, the whole fleet on it. *Shared*: prompt tokens that an earlier prompt of
        the adapter, or its answer, began with - what a cache without limits would hit, the first requests included.
        *Hit*: by the twin. *Che*: by the steady state, which starts the surrogate and knows templates only. Of the
        Mooncake trace, only the first rows lie beside the project; its hashes stand for 512 tokens, which are 32
        blocks of 16."""
    )
    header = ["fleet", "shared, %", "hit, %", "Che, %", "KV cache in use, %", "verdict"]
    return section("Hit rates", header, body, note)


def _traces() -> Iterator[Fleet]:
    path = SAMPLES / "mooncake_conversation_head.jsonl"
    if not path.exists():
        print(f"left out: {path} does not exist")
        return
    window = trace_window(path, busiest=float("inf"))
    for adapters in (1, 4):
        workload = window.workload(adapters=adapters, ranks=(16,), popularity="uniform")
        yield Fleet(f"Mooncake's conversations, the first 40 requests, {adapters} adapters", workload)


def plans(profile: Profile) -> str:
    """Return the section on plans with prefix caching and without."""
    body = []
    for fleet in _fleets():
        row = [fleet.name]
        for settings in (Server(), Server(enable_prefix_caching=False)):
            heavy = fleet.workload if fleet.workload.adapters[0].prefixes else fleet.workload.scaled(3.0)
            began = time.perf_counter()
            plan = make_plan(profile, heavy, server=settings)
            seconds = time.perf_counter() - began
            row.append(f"{plan.gpus} (at least {plan.lower_bound}; {seconds:.1f} s)")
        body.append(row)
    note = paragraph(
        """Plans with the fewest GPUs for the fleets above, those with templates at three times the rate; all are
        verified. In brackets: the lower bound, and the seconds of the search."""
    )
    return section("Plans", ["fleet", "GPUs with prefix caching", "without"], body, note)


# Speed.

CASES = {"10 requests/s": (96, 10.0, 96), "30 requests/s": (96, 30.0, 32), "overload": (192, 179.0, 64)}
SEEDS = range(1, 8)


def speed(profile: Profile) -> str:
    """Return the section on what prefixes cost: wall time of the kernel, paired, medians over seeds."""
    body = []
    for name, (adapters, rate, slots) in CASES.items():
        whole, rest = (
            Workload(
                [Adapter(f"a{i}", 8, rate / adapters) for i in range(adapters)],
                lengths=Lengths.lognormal(input_mean=prompt, input_cv=0.3, output_mean=231, output_cv=0.8),
            )
            for prompt in (750, 250)
        )
        server = Server(max_loras=slots, max_lora_rank=8, max_cpu_loras=adapters)
        off = server.model_copy(update={"enable_prefix_caching": False})
        alike = whole.model_copy(update={"templates": (Template(tokens=500),)})
        cases = {"off": (off, whole), "on": (server, whole), "rest": (server, rest), "alike": (server, alike)}
        times: defaultdict[str, list[float]] = defaultdict(list)
        for seed in SEEDS:
            for kind, (settings, traffic) in cases.items():
                scenario = make_scenario(profile, settings, traffic, seed=seed)
                times[kind].append(min(_seconds(scenario) for _ in range(3)))
        shown = {kind: f"{1e3 * statistics.median(each):.1f}" for kind, each in times.items()}
        on, prompt = (statistics.median(np.divide(times[a], times[b])) for a, b in (("on", "off"), ("alike", "rest")))
        body.append(
            [name, shown["off"], f"{shown['on']} ({on:.2f})", shown["rest"], f"{shown['alike']} ({prompt:.2f})"]
        )
    note = paragraph(
        """Milliseconds that the kernel takes for an hour of traffic: the median of seven seeds, each the best of three.
        In brackets: the median of the ratios to the column before. With the system prompt, prompts have 750 tokens, of
        which 500 are shared, so that servers have about as much to compute as with prompts of 250 tokens."""
    )
    header = [
        "traffic",
        "750 tokens, no prefix caching",
        "750 tokens, nothing alike",
        "250 tokens, nothing alike",
        "750 tokens, with a system prompt of 500",
    ]
    return section("Speed", header, body, note)


def _seconds(scenario: object) -> float:
    began = time.perf_counter()
    play(scenario)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
