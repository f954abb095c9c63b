"""Assumptions: what a simulated server stands for, in words, and how it differs from the servers that were measured."""

from collections import Counter
from typing import NamedTuple

from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.workload.lengths import LengthTable
from adaptwin.workload.workload import Workload

NO_HITS = "no request finds its prompt in the prefix cache"
_LENGTH_FACTOR = 2.0  # mean lengths up to this factor beyond those measured count as measured


class Stand(NamedTuple):
    """Mean and longest lengths of a workload in tokens, weighted by rate."""

    prompt: float
    answer: float
    longest: int


def assumptions(profile: Profile, server: Server, workload: Workload) -> tuple[str, ...]:
    """Return what the figures of this server assume, one clause each: model and GPU, lengths, arrivals, settings."""
    budget, seqs = server.budgets(profile)
    of_seqs = "" if server.max_num_seqs else " (vLLM default)"
    of_budget = "" if server.max_num_batched_tokens else " (vLLM default)"
    evidence = "measured" if profile.measured else "not compared with real runs"
    if profile.measured and profile.measured.constants != profile.constants:
        evidence = "its constants differ from those that were measured"
    return (
        f"{profile.model.name} on {profile.hardware} with vLLM {profile.vllm_version} ({evidence})",
        _lengths(workload),
        _arrivals(workload),
        f"max_num_seqs {seqs:,}{of_seqs}, max_num_batched_tokens {budget:,}{of_budget}",
        NO_HITS,
    )


def extrapolations(profile: Profile, server: Server, workload: Workload) -> tuple[str, ...]:
    """Return how this server differs from those that the profile's accuracy was measured with, one clause each.

    Where it differs in anything, the profile's error and spread say nothing about it.
    """
    measured = profile.measured
    if measured is None:
        return ("the profile was not compared with real runs",)
    found = []
    if measured.constants != profile.constants:
        found.append("the constants of the profile differ from those that were compared with real runs")
    budget, seqs = server.budgets(profile)
    stand = _stand(workload)
    low, high = 1.0 / _LENGTH_FACTOR, _LENGTH_FACTOR
    for what, value, (least, most) in (
        ("mean prompt", stand.prompt, (measured.prompt[0] * low, measured.prompt[1] * high)),
        ("mean answer", stand.answer, (measured.answer[0] * low, measured.answer[1] * high)),
        ("longest request", stand.longest, (0, measured.longest * high)),
        ("max_lora_rank", server.max_lora_rank if server.max_loras else measured.ranks[0], (0, measured.ranks[1])),
        ("max_loras", server.max_loras, (0, measured.max_loras[1])),
        ("max_num_seqs", seqs, (0, measured.max_num_seqs[1])),
        ("max_num_batched_tokens", budget, measured.max_num_batched_tokens),
    ):
        if not least <= value <= most:
            bound = f"at most {most:,.0f}" if value > most else f"at least {least:,.0f}"
            unit = " tokens" if what in ("mean prompt", "mean answer", "longest request") else ""
            found.append(f"{what} {value:,.0f}{unit}: {bound} was measured")
    return tuple(found)


def _stand(workload: Workload) -> Stand:
    """Return the mean lengths of all requests, and the longest request of an adapter with traffic."""
    rate_of: dict[int, float] = {}
    lengths = {}
    for adapter, rate in zip(workload.adapters, workload.rates, strict=True):
        own = workload.lengths_of(adapter)
        key = id(own)  # hashing an empirical distribution for every adapter would take seconds
        rate_of[key], lengths[key] = rate_of.get(key, 0.0) + rate, own
    used = [(lengths[key], rate) for key, rate in rate_of.items() if rate > 0] or [(workload.lengths, 1.0)]
    total = sum(rate for _, rate in used)
    tables = [of.table() for of, _ in used]
    shares = [rate / total for _, rate in used]
    return Stand(
        prompt=sum(float(table.input.mean()) * share for table, share in zip(tables, shares, strict=True)),
        answer=sum(float(table.output.mean()) * share for table, share in zip(tables, shares, strict=True)),
        longest=max(map(_longest, tables)),
    )


def _longest(table: LengthTable) -> int:
    return int((table.input + table.output).max() if table.joint else table.input.max() + table.output.max())


def _lengths(workload: Workload) -> str:
    own, stand = sum(adapter.lengths is not None for adapter in workload.adapters), _stand(workload)
    if own == len(workload.adapters) > 0:
        kind = "as given for each adapter"
    elif workload.lengths.kind == "sharegpt":
        kind = "of ShareGPT (assumed)"
    else:
        kind = f"as given ({workload.lengths.kind})"
    if 0 < own < len(workload.adapters):
        kind += f" for {len(workload.adapters) - own:,} adapters, as given for the others"
    return f"lengths {kind}, {stand.prompt:,.0f} tokens in and {stand.answer:,.0f} out on average"


def _arrivals(workload: Workload) -> str:
    given = (workload.arrivals if adapter.arrivals is None else adapter.arrivals for adapter in workload.adapters)
    kinds = Counter(map(_kind_of_arrivals, given))
    usual = kinds.most_common(1)[0][0] if kinds else "Poisson arrivals (assumed)"
    return usual if len(kinds) <= 1 else f"{usual}, and {len(kinds) - 1:,} other kinds"


def _kind_of_arrivals(arrivals: str | tuple[float, ...]) -> str:
    if not isinstance(arrivals, str):
        return "arrivals at recorded timestamps"
    if arrivals == "poisson":
        return "Poisson arrivals (assumed)"
    return "arrivals by a file of rates" if arrivals.startswith("rates:") else f"arrivals {arrivals}"
