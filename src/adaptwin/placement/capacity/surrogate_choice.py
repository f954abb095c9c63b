"""The surrogate for a workload, with the steady equivalent of arrivals that it was not trained on."""

from typing import Literal

from adaptwin.placement.capacity.steady_equivalent import steady_factor
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.surrogate import Surrogate, surrogate_for
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


def workload_surrogate_for(
    surrogate: Surrogate | Literal["shipped"] | None, profile: Profile, workload: Workload, template: Server
) -> WorkloadSurrogate | None:
    """Return the given or the shipped surrogate for a workload on a profile; None if `surrogate` is None.

    Where the surrogate was not trained on the arrivals, the twin is run a few times to find their steady equivalent.
    """
    if surrogate is None:
        return None
    workload = workload.dealt()
    predictors = surrogate_for(profile) if surrogate == "shipped" else surrogate.on(profile)
    plain = WorkloadSurrogate(predictors, workload, template)
    if plain.knows_traffic or not plain.knows_window:
        return plain
    return WorkloadSurrogate(predictors, workload, template, steady_factor(plain, profile, workload, template))
