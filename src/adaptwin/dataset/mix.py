"""Mix: one point of a design made concrete - a profile, a server, and adapters with their shares of the traffic."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.dataset.design import Design, Range, Values, absolute_rates
from adaptwin.profile.profile import Profile
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.demand.traffic import AdapterDemands, sum_demands
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.lora_ranks import MOST_RANK
from adaptwin.workload.sources.popularity import popularity_shares
from adaptwin.workload.templates import Template
from adaptwin.workload.workload import Adapter, Workload

CLASSES = 3  # different length distributions among the adapters of a mix with several lengths


class Mix(NamedTuple):
    """A server and the adapters on it. If the design has a utilisation, the rates are those of utilisation 1."""

    number: int
    values: Values
    profile: Profile
    server: Server
    workload: Workload
    demands: AdapterDemands


def make_mix(design: Design, profile: Profile, number: int, values: Values) -> Mix | None:
    """Make the mix with this number; None if it has more slots than adapters, or its server would not start."""
    generator = np.random.default_rng(stream_seed(design.seed, "mix", str(number)))
    ranks = _ranks_of_adapters(values, generator)
    server = _server_of_mix(design, profile, values, ranks)
    if server is None:
        return None
    adapters = _adapters_with_rates(values, ranks, generator)
    workload = Workload(
        adapters=adapters,
        lengths=Lengths.named("sharegpt"),
        arrivals=values["arrivals"],
        duration=values["duration"],
        seed=stream_seed(design.seed, "arrivals", str(number)) >> 1,
    )
    demands = demands_on(profile, server, workload)
    if values["utilisation"] is not None:
        capacity = steady_state(
            sum_demands(demands), server.limits(profile), costs_of(profile, server), workload.duration
        ).capacity
        workload, demands = workload.scaled(capacity), demands._replace(rate=demands.rate * capacity)
    return Mix(number, values, profile, server, workload, demands)


def _ranks_of_adapters(values: Values, generator: np.random.Generator) -> NDArray[np.int64]:
    """Assign a rank to every adapter: in turn, then shuffled."""
    ranks = values["ranks"]
    assigned = np.array([ranks[i % len(ranks)] for i in range(round(values["adapters"]))])
    generator.shuffle(assigned)
    return assigned


def _server_of_mix(design: Design, profile: Profile, values: Values, ranks: NDArray[np.int64]) -> Server | None:
    """Return the server of a mix; None if it would not start, or has more slots than adapters."""
    rank = server_rank(int(ranks.max()), profile)
    if values["further_padding"]:
        rank = server_rank(min(rank + 1, MOST_RANK), profile)
    seqs = values["max_num_seqs"]
    template = Server(
        max_loras=1,
        max_lora_rank=rank,
        max_cpu_loras=len(ranks),
        max_num_seqs=seqs,
        max_num_batched_tokens=max(seqs, values["max_num_batched_tokens"]),
        max_model_len=values["max_model_len"],
        gpu_memory_utilization=values["gpu_memory_utilization"],
        async_scheduling=values["async_scheduling"],
    )
    if isinstance(design.max_loras, Range):
        most = most_slots_that_start(profile, template, at_most=len(ranks))
        slots = round(math.exp(min(1.0, values["max_loras"]) * math.log(max(1, most))))
    else:
        slots = values["max_loras"]
    server = template.model_copy(update={"max_loras": slots})
    return server if slots <= len(ranks) and server.starts_on(profile) else None


def most_slots_that_start(profile: Profile, template: Server, at_most: int) -> int:
    """Return the largest number of slots with which the server starts; 0 if it does not start with one."""
    good, bad = 0, at_most + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        if template.model_copy(update={"max_loras": middle}).starts_on(profile):
            good = middle
        else:
            bad = middle
    return good


def _adapters_with_rates(values: Values, ranks: NDArray[np.int64], generator: np.random.Generator) -> list[Adapter]:
    """Return adapters with their rates; rates that are shares sum to 1, the base model's included."""
    seed, base = int(generator.integers(1 << 32)), values["base_share"]
    absolute = absolute_rates(values["popularity"])
    if absolute is None:
        rates = (1.0 - base) * popularity_shares(values["popularity"], len(ranks), seed)
    else:
        rates = np.array([absolute[i % len(absolute)] for i in range(len(ranks))])
        base *= float(rates.sum()) / (1.0 - base)
    generator.shuffle(rates)
    lengths = _lengths_of_adapters(values, generator)
    templates = [_system_prompt(values, each) for each in lengths]
    of_adapter = generator.integers(len(lengths), size=len(ranks) + 1)
    made = [
        Adapter(name=f"a{i:04}", rank=int(rank), rate=float(rate), lengths=lengths[kind], templates=templates[kind])
        for i, (rank, rate, kind) in enumerate(zip(ranks, rates, of_adapter, strict=False))
    ]
    if base > 0:
        kind = of_adapter[-1]
        made.append(Adapter(name="base", rank=0, rate=base, lengths=lengths[kind], templates=templates[kind]))
    return made


def _system_prompt(values: Values, lengths: Lengths) -> tuple[Template, ...]:
    """Return the system prompt of adapters with these lengths, if the mix has one."""
    tokens = round(values["system_prompt"] * lengths.mean_input)
    return (Template(tokens=tokens),) if tokens else ()


def _lengths_of_adapters(values: Values, generator: np.random.Generator) -> list[Lengths]:
    """Return the length distributions of the adapters: one for all of them, or several to choose from."""
    kind = values["lengths"]
    if kind == "sharegpt":
        return [Lengths.named("sharegpt")]
    if kind == "fixed":
        return [Lengths.fixed(round(values["input_mean"]), round(values["output_mean"]))]
    cv = values["length_cv"]
    apart = [1.0] if kind == "lognormal" else [1.0, *2.0 ** generator.uniform(-2.0, 2.0, CLASSES - 1)]
    return [
        Lengths.lognormal(
            input_mean=max(1.0, values["input_mean"] * factor),
            input_cv=cv,
            output_mean=max(1.0, values["output_mean"] * generator.permutation(apart)[0]),
            output_cv=cv,
        )
        for factor in apart
    ]
