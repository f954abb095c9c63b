"""Kinds of arrivals of a workload: the families of its processes, and a description in words."""

from collections import Counter

from adaptwin.workload.workload import Workload


def arrival_families(workload: Workload) -> tuple[str, ...]:
    """Return the families of arrivals of the adapters with traffic: poisson, gamma, regimes, rates or timestamps."""
    return tuple(sorted({_family_of(kind) for kind in _kinds(workload)}))


def arrivals_in_words(workload: Workload) -> str:
    """Return the arrivals in words: ``Poisson (assumed)``, ``gamma:cv=3``, ``recorded timestamps``."""
    kinds = _kinds(workload)
    usual = kinds.most_common(1)[0][0] if kinds else "poisson"
    named = {"poisson": "Poisson (assumed)", "timestamps": "recorded timestamps"}.get(usual, usual)
    return named if len(kinds) <= 1 else f"{named} for most adapters, {len(kinds)} kinds in all"


def _kinds(workload: Workload) -> Counter[str]:
    """Count the adapters with traffic by their arrivals; all lists of timestamps count as one kind."""
    asked = (adapter for adapter, rate in zip(workload.adapters, workload.rates, strict=True) if rate > 0)
    used = (workload.arrivals if adapter.arrivals is None else adapter.arrivals for adapter in asked)
    return Counter(arrivals if isinstance(arrivals, str) else "timestamps" for arrivals in used)


def _family_of(kind: str) -> str:
    return kind.partition(":")[0]
