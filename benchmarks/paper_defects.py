"""Section on defects of the published code, each with a probe of whether adaptwin has it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from accuracy import SHORT
from adaptwin import Adapter, Lengths, Run, Server, Workload, load_profile, make_plan, simulate
from h100_runs import CLIENT_CONNECTIONS, MODELS
from measured_page import paragraph, section
from paper_fast import Fast
from paper_fleets import PaperFleet, paper_fleet
from paper_measures import signed_errors
from paper_placement import CAUTIOUS, OURS, PAPER_SERVER, Placement, problem_of
from paper_predictors import ModelRows

PROBED = "llama-3.1-8b-instruct"
UNEVEN = (300, 500, 1000)  # adapters, of fleets whose sizes are not those that the published placement tests
PROBE_SERVER = Server(max_loras=16, max_lora_rank=32, max_cpu_loras=16, max_num_seqs=2048, max_num_batched_tokens=2048)


class Defect(NamedTuple):
    """A defect of the published code, what it does there, and what the probe says of adaptwin."""

    what: str
    paper: str
    ours: str


def defects_section(rows: pl.DataFrame, predicted: dict[str, ModelRows], placed: Sequence[Placement]) -> str:
    """Return the section with a row per defect."""
    fleets = [paper_fleet(PROBED, times, adapters, (8, 16, 32)) for times in (10, 20) for adapters in UNEVEN]
    found = [
        _long_requests(rows),
        _free_prompts(),
        _free_ranks(rows),
        _early_end(),
        _queue_limit(),
        _running_limit(),
        _dummies(fleets),
        _lengths_unused(paper_fleet(PROBED, 10, 256, (8, 16))),
        _unknown_servers(predicted),
        _sum_of_the_fleet(placed),
        _one_seed(paper_fleet(PROBED, 10, 256, (8, 16))),
    ]
    note = """What was read in the published code, and a probe of adaptwin, run by the command that writes this page.
    Figures of the paper's twin and trees are computed from its published predictions and splits."""
    header = ["in the published code", "what it does there", "adaptwin"]
    return section("Defects of the published algorithm", header, [list(each) for each in found], paragraph(note))


def _long_requests(rows: pl.DataFrame) -> Defect:
    shared = rows.filter(pl.col("paper_throughput").is_not_null())
    longer = {
        who: [float(np.median(signed_errors(part[f"{who}_tokens"], part["real_tokens"]))) for part in _by_model(shared)]
        for who in ("paper", "twin")
    }
    said = {who: " and ".join(f"{value:+.1f} %" for value in values) for who, values in longer.items()}
    return Defect(
        "Twin: lengths are drawn from a normal distribution, cut off below",
        f"finished requests have {said['paper']} tokens ({_models()})",
        f"draws from the data set's own lengths: {said['twin']}",
    )


def _by_model(rows: pl.DataFrame) -> list[pl.DataFrame]:
    return [rows.filter(model=model) for model in MODELS]


def _models() -> str:
    return ", ".join(SHORT[model] for model in MODELS)


def probe(rank: int = 8, prompt: int = 200, server: Server = PROBE_SERVER, rate: float = 0.5) -> Run:
    """Return a run of sixteen adapters with requests of fixed lengths."""
    adapters = [Adapter(f"a{i:02}", rank, rate) for i in range(16)]
    workload = Workload(adapters, lengths=Lengths.fixed(prompt, 200), duration=600.0)
    return simulate(load_profile(MODELS[PROBED]), server, workload)


def _free_prompts() -> Defect:
    short, long = probe(prompt=10), probe(prompt=1000)
    return Defect(
        "Twin: computing a prompt takes no time",
        "prompts of 10 and 1,000 tokens: same ITL and TTFT",
        f"mean ITL {1e3 * short.itl.mean:.1f} and {1e3 * long.itl.mean:.1f} ms, "
        f"mean TTFT {1e3 * short.ttft.mean:.0f} and {1e3 * long.ttft.mean:.0f} ms",
    )


def _free_ranks(rows: pl.DataFrame) -> Defect:
    shared = rows.filter(pl.col("paper_throughput").is_not_null())
    keys = ["model", "rates", "adapters", "max_loras"]
    pairs = shared.filter(rank=16).join(shared.filter(rank=32), on=keys, suffix="_32").filter(pl.col("max_loras") >= 64)
    ratios = {who: (pairs[f"{who}_itl_32"] / pairs[f"{who}_itl"]).cast(pl.Float64) for who in ("real", "paper", "twin")}
    said = {who: f"median {of.median():.2f}, at most {of.max():.2f}" for who, of in ratios.items()}
    return Defect(
        "Twin: the rank of adapters changes no step time",
        f"ITL with `max_lora_rank` 32 over 16, {len(pairs)} pairs of runs with 64 slots or more: {said['paper']}; "
        f"real servers: {said['real']}",
        said["twin"],
    )


def _early_end() -> Defect:
    workload = Workload([Adapter("a", 8, 3 / 3600, arrivals=(1.0, 10.0, 20.0))], duration=3600.0)
    run = simulate(load_profile(MODELS[PROBED]), PROBE_SERVER, workload)
    return Defect(
        "Twin: a simulation ends with the last arrival",
        "three requests in the first 20 s of an hour: 2 finish",
        f"{run.finished} finish, in {run.duration:,.0f} s, with a mean TTFT of {1e3 * run.ttft.mean:.0f} ms",
    )


def _queue_limit() -> Defect:
    return Defect(
        "Twin: in validation, the longest queue of the real run limits that of the twin",
        "part of the answer is known beforehand",
        f"one limit for all runs: {CLIENT_CONNECTIONS:,} requests, the ports of the client; none in plans",
    )


def _running_limit() -> Defect:
    few, many = (
        probe(server=PROBE_SERVER.model_copy(update={"max_num_seqs": seats}), rate=2.0) for seats in (64, 2048)
    )
    return Defect(
        "Twin: `max_num_seqs` is not modelled",
        "any limit: same figures",
        f"limits of 64 and 2,048: {few.throughput:,.0f} and {many.throughput:,.0f} tokens/s",
    )


def _dummies(fleets: Sequence[PaperFleet]) -> Defect:
    profile = load_profile(MODELS[PROBED])
    as_published = [Fast(PROBED, problem_of(profile, fleet)) for fleet in fleets]
    counts = [len(fast.placement()) for fast in as_published]
    right = [len(Fast(PROBED, problem_of(profile, fleet), padded=False).placement()) for fleet in fleets]
    most = max((value for fast in as_published for value in fast.overstated), default=1.0)
    more = sum(a > b for a, b in zip(counts, right, strict=True))
    return Defect(
        "Placement: the last test of a GPU adds adapters that do not exist",
        f"load overstated up to {most:.1f} times; on {len(fleets)} fleets of 300 to 1,000 adapters, "
        f"ProposedFast needs {sum(counts)} GPUs, and {sum(right)} without them (more on {more} fleets)",
        "tests the adapters that there are (`paper_greedy` too)",
    )


def _lengths_unused(fleet: PaperFleet) -> Defect:
    profile = load_profile(MODELS[PROBED])
    lengths = fleet.planned.lengths.table()
    doubled = Lengths.empirical(
        zip((2 * lengths.input).tolist(), (2 * lengths.output).tolist(), strict=True), are_limits=True
    )
    longer = fleet._replace(planned=fleet.planned.model_copy(update={"lengths": doubled}))

    def gpus_of_fast(each: PaperFleet) -> int:
        return len(Fast(PROBED, problem_of(profile, each)).placement())

    def gpus_of_plan(each: PaperFleet) -> int:
        return make_plan(profile, each.planned, server=PAPER_SERVER).gpus

    fast, ours = ([place(each) for each in (fleet, longer)] for place in (gpus_of_fast, gpus_of_plan))
    return Defect(
        "Placement: the lengths of requests are not used",
        f"requests twice as long ({fleet.name}): ProposedFast takes {fast[0]} and {fast[1]} GPUs",
        f"takes {ours[0]} and {ours[1]} GPUs",
    )


def _unknown_servers(predicted: dict[str, ModelRows]) -> Defect:
    tables = [rows.table for rows in predicted.values()]
    outside = sum(int((~table["s_inside"]).sum()) for table in tables)
    return Defect(
        "Predictors: asked beyond their training data without notice",
        "Llama's models are asked about up to 576 slots, and were trained on up to 128",
        f"each prediction says whether it is inside the region; {outside} of {sum(map(len, tables))} real rows are "
        "not, and the planner runs the twin there",
    )


def _sum_of_the_fleet(placed: Sequence[Placement]) -> Defect:
    passing = [each for each in placed if each.passes and each.method not in (OURS, CAUTIOUS)]
    hidden = [each.overloaded for each in passing if each.overloaded]
    worst = f", up to {max(hidden):,} of them" if hidden else ""
    return Defect(
        "Evaluation: starvation is judged on the sum of all GPUs",
        f"{len(hidden)} of {len(passing)} placements that pass overload adapters{worst}",
        "judges every adapter and every server",
    )


def _one_seed(fleet: PaperFleet) -> Defect:
    plan = make_plan(load_profile(MODELS[PROBED]), fleet.planned, server=PAPER_SERVER)
    return Defect(
        "Placement: a hard yes or no of a model, no margin, one seed",
        "no check of the result",
        f"a plan ({fleet.name}) is simulated with {len(plan.verified_seeds)} fresh seeds: "
        f"{'verified' if plan.verified else 'not verified'}; headroom is an option",
    )
