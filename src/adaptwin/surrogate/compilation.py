"""compile_planning: machine code for the twin and the surrogate, made once per installation."""

import numpy as np

from adaptwin.allocator import keep_freed_memory
from adaptwin.compilation import Job, compile_missing
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.progress import Progress, silent
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import features_of_servers
from adaptwin.surrogate.server_table import server_table
from adaptwin.surrogate.surrogate import surrogate_for
from adaptwin.twin.compilation import SERVER, TINY, TWIN
from adaptwin.workload.demand.traffic import add_sums, demand_in, raw_sums

_PREDICTION = Job(
    call="adaptwin.surrogate.compilation:compile_prediction",
    entries=(
        "adaptwin.surrogate.features:_arrays_of_servers",
        "adaptwin.surrogate.model_tree:evaluate",
        "adaptwin.surrogate.region:clip_to",
        "adaptwin.workload.demand.traffic:_sum",
    ),
    functions=33,
    seconds=5.5,
)
PLANNING = (*TWIN, _PREDICTION)


def compile_planning(progress: Progress = silent, *, predicts: bool = True) -> None:
    """Compile what a simulation needs and, if planning predicts, a prediction, where that has not been done."""
    keep_freed_memory()
    compile_missing(PLANNING if predicts else TWIN, progress)


def compile_prediction() -> None:
    """Compile the sums of traffic, the features of servers, and the trees of the surrogate."""
    profile = load_profile(shipped_profiles()[0])
    sums = raw_sums(demands_on(profile, SERVER, TINY))
    demand = demand_in(add_sums(sums, sums))
    table = server_table([(SERVER.limits(profile), costs_of(profile, SERVER))])
    features, steady_answers = features_of_servers(demand, table, TINY.duration)
    surrogate_for(profile).predict_features(features, steady_answers)
    assert np.isfinite(features).all()
