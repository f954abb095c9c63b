"""Surrogate: what the twin would say of a server under a workload, in microseconds."""

import json
import math
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from adaptwin import file_kinds
from adaptwin.arrays import Array
from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.profile.profile import Profile
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Spec, write_atomically
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import FEATURE_COUNT, OFFERED, STEADY_ANSWER_COUNT, Features, features_of
from adaptwin.surrogate.model_tree import Forest, ModelTree, evaluate, plant
from adaptwin.surrogate.outputs import NAMES, OUTPUTS
from adaptwin.surrogate.region import Region, RegionArrays, clip_to
from adaptwin.twin.server import Server
from adaptwin.workload.demand.traffic import Demand, sum_demands
from adaptwin.workload.workload import Workload

WINDOW_TOLERANCE = 1.05  # a window that is so much longer or shorter is still one that was trained on


class Prediction(NamedTuple):
    """What predictors say of a server, over a window as long as the workload's: tokens/s and seconds.

    Where there is no traffic, throughput is 0, latencies are NaN and nobody starves, as the twin would say.
    """

    throughput: float
    served: float  # share of the offered tokens
    itl_mean: float
    itl_p99: float
    ttft_p50: float
    ttft_p99: float
    e2e_mean: float
    worst_share: float  # of its tokens that the adapter served worst gets
    starvation: float  # probability that under 0.9 of the tokens are served
    overload: float  # probability that the server or an adapter starves or waits in a growing queue
    inside: bool  # whether training data had servers like this one; if not, ask the twin


_NO_TRAFFIC = Prediction(
    throughput=0.0,
    served=1.0,
    itl_mean=math.nan,
    itl_p99=math.nan,
    ttft_p50=math.nan,
    ttft_p99=math.nan,
    e2e_mean=math.nan,
    worst_share=1.0,
    starvation=0.0,
    overload=0.0,
    inside=True,
)


class OverloadThresholds(Spec):
    """Overload probabilities beyond which a prediction was as good as never wrong on held-out mixes."""

    below: float = Field(ge=0, le=1, description="up to here the server is not overloaded")
    above: float = Field(ge=0, le=1, description="from here on it is")


class Surrogate(Spec):
    """Small models distilled from large ones that were trained on runs of the twin, for one profile."""

    file_kind = file_kinds.SURROGATE
    profile: Profile
    source: str = Field(description="what it was trained on")
    windows: tuple[float, float] = Field(description="seconds: the shortest and the longest window trained on")
    region: Region
    sure: OverloadThresholds
    trees: dict[str, ModelTree] = Field(description="by output")
    scores: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="on held-out mixes, of the large models and the distilled ones"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := [name for name in NAMES if name not in self.trees]:
            raise ValueError(f"trees: has none for {missing[0]}")
        known = set(Features._fields)
        used = {name for tree in self.trees.values() for name in tree.features if name} | set(self.region.features)
        if unknown := sorted(used - known):
            raise ValueError(f"trees: {unknown[0]!r} is not a feature of this version")
        return self

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        write_atomically(path, json.dumps(self.file_form(), separators=(",", ":")) + "\n")

    def predict(self, workload: Workload, server: Server) -> Prediction:
        """What the twin would say of this server under this workload.

        Raises:
            OutOfMemory: vLLM would refuse to start with these settings.
            SpecError: The server cannot load an adapter of the workload.
        """
        return self.predict_many([(workload, server)])[0]

    def predict_many(self, cases: Iterable[tuple[Workload, Server]]) -> list[Prediction]:
        """The same for many cases, in their order."""
        work = list(cases)
        features, steady_answers = np.zeros((len(work), FEATURE_COUNT)), np.zeros((len(work), STEADY_ANSWER_COUNT))
        known = np.zeros(len(work), np.bool_)
        for row, (workload, server) in enumerate(work):
            server.require_serves(workload)
            demand = sum_demands(demands_on(self.profile, server, workload))
            limits, costs = server.limits(self.profile), costs_of(self.profile, server)
            if demand.traffic.served_rate > 0:
                features[row], steady_answers[row] = features_of(demand, limits, costs, workload.duration)
            known[row] = self.knows(demand, server, workload.duration)
        answers, inside = self.predict_features(features, steady_answers)
        return [
            prediction_from(answer, bool(within and sure), offered)
            for answer, within, sure, offered in zip(answers, inside, known, steady_answers[:, OFFERED], strict=True)
        ]

    def knows(self, demand: Demand, server: Server, duration: float) -> bool:
        """Whether window, arrivals and settings are of the kinds that were trained on."""
        usual, host = Server(), server.max_cpu_loras
        return (
            self.windows[0] / WINDOW_TOLERANCE <= duration <= self.windows[1] * WINDOW_TOLERANCE
            and demand.traffic.unknown_rate == 0
            and (server.max_loras if host is None else host) >= demand.traffic.adapters
            and all(
                getattr(server, name) == getattr(usual, name)
                for name in ("block_size", "scheduler_reserve_full_isl", "watermark")
            )
        )

    def on(self, profile: Profile) -> Self:
        """The same predictors for another profile: their features are ratios that mean the same on any."""
        return self if profile == self.profile else self.model_copy(update={"profile": profile, "scores": {}})

    def predict_features(self, features: Array, steady_answers: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Answers of shape (rows, outputs), in the order of `OUTPUTS`, and whether each row is in the region.

        Args:
            features: Shape (rows, features), as `features_of` gives them.
            steady_answers: Shape (rows, 8), likewise.
        """
        forest, region = self._arrays
        clipped, inside = clip_to(region, features)
        learned = evaluate(forest, clipped)
        columns = [output.value(learned[:, i], steady_answers) for i, output in enumerate(OUTPUTS)]
        return np.column_stack(columns), inside

    def overloads(self, features: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The probability of overload alone, shape (rows,), and whether each row is in the region."""
        forest, region = self._overload_arrays
        clipped, inside = clip_to(region, features)
        return 1.0 / (1.0 + np.exp(-evaluate(forest, clipped)[:, 0])), inside

    @cached_property
    def _overload_arrays(self) -> tuple[Forest, RegionArrays]:
        return plant([self.trees["overload"]], Features._fields), self.region.arrays()

    @cached_property
    def _arrays(self) -> tuple[Forest, RegionArrays]:
        return plant([self.trees[name] for name in NAMES], Features._fields), self.region.arrays()


def prediction_from(answer: Array, inside: bool, offered: float) -> Prediction:
    """The prediction in an answer of `predict_features`, for a server that is offered so many tokens/s."""
    if offered == 0.0:
        return _NO_TRAFFIC
    figures = dict(zip(NAMES, answer.tolist(), strict=True))
    return Prediction(throughput=offered * figures["served"], inside=inside, **figures)


def surrogate_for(profile: Profile) -> Surrogate:
    """The shipped predictors for a profile of whatever GPU and model; whether they know it, each prediction says."""
    shipped = shipped_surrogates()
    return load_surrogate(profile.name if profile.name in shipped else shipped[0]).on(profile)


def shipped_surrogates() -> list[str]:
    """Names of the profiles whose surrogates come with adaptwin."""
    return list(_shipped_surrogate_files())


def load_surrogate(name_or_path: str | Path) -> Surrogate:
    """A shipped surrogate by the name of its profile, or one from a JSON file; raises `SpecError` for neither."""
    shipped = _shipped_surrogate_files()
    if str(name_or_path) in shipped:
        return Surrogate.read(shipped[str(name_or_path)])
    if Path(name_or_path).suffix == ".json" or Path(name_or_path).is_file():
        return Surrogate.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "surrogate")


def _shipped_surrogate_files() -> dict[str, Path]:
    return shipped_files("adaptwin.surrogate", ".json")
