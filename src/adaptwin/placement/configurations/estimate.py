"""Estimates of the fewest servers, by the linear program over classes of adapters."""

from collections.abc import Mapping, Sequence

import joblib
import numpy as np

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.configurations.classes import MOST_CLASSES, classes_of
from adaptwin.placement.configurations.generation import UNUSED, generate
from adaptwin.placement.configurations.linear_program import fewest
from adaptwin.placement.configurations.mixes import ClassMix, Mixes
from adaptwin.placement.configurations.sampling import confirmed_mix
from adaptwin.placement.packing.problem import Problem, items_to_place

MOST_CHECKED = 9  # configurations, those of the most servers, that the twin checks


def divided_servers(problem: Problem, parts: Sequence[AdapterPart] | None = None) -> float:
    """Return on how few servers parts of adapters fit by predictions, if servers could be divided.

    Without parts, these are all adapters; raises `Infeasible` if no server serves some adapter, however small its share
    of the traffic.
    """
    return generate(_mixes(problem, parts), rounds=0).covering.servers


def estimated_optimum(problem: Problem, servers: Sequence[Mapping[str, float]], rounds: int = 0) -> float | None:
    """Return an estimate of the fewest servers that serve all adapters at the mean traffic; None if there is none.

    It is the solution of the linear program over classes of adapters. Its configurations are those of servers that are
    known to serve, and others that the surrogate predicts, of which the twin checks the most used. Other than the lower
    bound, it sees how many adapters share a step, and it is no proof: chance, classes of adapters that are only roughly
    alike, and configurations that were not thought of may all move it by a few per cent either way. Constraints are not
    looked at. There is no estimate where the surrogate does not know such traffic, nor where
    adapters have so many ranks and objectives that there are more than `MOST_CLASSES`.

    Args:
        problem: The adapters to place, on servers of one profile.
        servers: The adapters, with their shares, of servers that serve all of them. The estimate is at most their
            number.
        rounds: Rounds of variations of the configurations, each of which takes about as long as the first ones and
            lowers the estimate by a per cent or two.
    """
    surrogate = problem.capacity.surrogate
    if surrogate is None or not surrogate.knows_traffic:
        return None
    try:
        mixes = _mixes(problem)
    except Infeasible:
        return None
    if len(mixes.classes) > MOST_CLASSES:
        return None
    known = [mixes.mix_of(shares) for shares in servers]
    generated = generate(mixes, rounds, known)
    copies = generated.covering.copies[len(known) :]
    predicted = generated.configurations[len(known) :]
    most_used = [index for index in np.argsort(-copies, kind="stable").tolist() if copies[index] > UNUSED]
    if not most_used:
        return float(len(servers))
    checked, others = most_used[:MOST_CHECKED], most_used[MOST_CHECKED:]
    calls = (joblib.delayed(confirmed_mix)(problem.capacity, mixes, predicted[index]) for index in checked)
    sized: list[ClassMix] = list(joblib.Parallel(n_jobs=-1, require="sharedmem")(calls))
    sizes = [(found @ mixes.loads) / (predicted[i] @ mixes.loads) for found, i in zip(sized, checked, strict=True)]
    usual = float(np.average(sizes, weights=copies[checked]))
    found = fewest([*known, *sized, *(usual * predicted[index] for index in others)]).servers
    return min(found, len(servers)) if servers else found


def _mixes(problem: Problem, parts: Sequence[AdapterPart] | None = None) -> Mixes:
    return Mixes(problem.capacity, classes_of(problem.capacity, items_to_place(problem) if parts is None else parts))
