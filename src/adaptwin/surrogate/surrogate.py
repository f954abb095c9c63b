"""Surrogate: predicts in microseconds what the twin would report for a server under a workload."""

import json
import math
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from adaptwin import file_kinds
from adaptwin.arrays import Array
from adaptwin.errors import SpecError, neither_file_nor, not_one_of
from adaptwin.lazy import function_from
from adaptwin.profile.profile import Profile, as_profile
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Name, Spec
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import FEATURE_COUNT, OFFERED, STEADY_ANSWER_COUNT, Features, features_of
from adaptwin.surrogate.model_tree import Forest, ModelTree, evaluate, plant
from adaptwin.surrogate.outputs import NAMES, figures_of
from adaptwin.surrogate.region import Region, RegionArrays, clip_to
from adaptwin.twin.server import Server
from adaptwin.workload.demand.traffic import Demand, sum_demands
from adaptwin.workload.demand.variability import token_variability
from adaptwin.workload.workload import Workload
from adaptwin.writing import write_atomically

MOST_VARIABILITY = 0.06  # coefficient of variation of a window's tokens up to which one window can be predicted
WINDOW_TOLERANCE = 1.05  # a window up to this factor beyond those of the training data still counts as known

WindowSeconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class Prediction(NamedTuple):
    """What the surrogate predicts for a server over a window as long as the workload's: tokens/s and seconds.

    Without traffic, throughput is 0, latencies are NaN and no adapter is starved, as in a run of the twin.
    """

    throughput: float  # prompt + output tokens/s
    served: float  # share of the offered tokens
    itl_mean: float  # seconds
    itl_p99: float  # seconds
    ttft_p50: float  # seconds
    ttft_p99: float  # seconds
    e2e_mean: float  # seconds from arrival to the last token
    worst_share: float  # share of its tokens that the worst-served adapter gets
    starvation: float  # probability that the server is starved: under 0.9 of the offered tokens are served
    overload: float  # probability that the server is starved, or that it or an adapter on it is not ok
    inside: bool  # whether the training data held servers like this one and chance decides little; if not, run the twin


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
    """Probabilities of overload beyond which predictions on held-out mixes were almost never wrong."""

    below: float = Field(
        strict=True, ge=0, le=1, description="up to this probability, the server counts as not overloaded"
    )
    above: float = Field(
        strict=True, ge=0, le=1, description="from this probability on, the server counts as overloaded"
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.below > self.above:
            raise ValueError(f"below {self.below:g} is above {self.above:g}, from which on overload is certain")
        return self


class Surrogate(Spec):
    """Small models, distilled from large ones that were trained on runs of the twin, with the profile they serve."""

    file_kind = file_kinds.SURROGATE
    _facts = function_from("adaptwin.report.notebook.surrogate_view", "surrogate_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.surrogate_view", "surrogate_html")

    profile: Profile = Field(description="profile that the predictions are for")
    trained_on: tuple[Name, ...] = Field(
        min_length=1, description="names of the profiles that the training runs were simulated on"
    )
    source: str = Field(description="the runs that the models were trained on, in words")
    windows: tuple[WindowSeconds, WindowSeconds] = Field(
        description="the shortest and the longest training window, in seconds"
    )
    region: Region = Field(description="region of the training data, in which predictions can be trusted")
    sure: OverloadThresholds = Field(description="probabilities of overload from which on it is certain")
    trees: dict[str, ModelTree] = Field(description="one tree per output, by the name of the output")
    scores: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="scores on held-out mixes of the large models and of the distilled ones"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := [name for name in NAMES if name not in self.trees]:
            raise ValueError(f"trees: the tree for {missing[0]!r} is missing")
        if extra := sorted(self.trees.keys() - set(NAMES)):
            raise ValueError(f"trees: {not_one_of(extra[0], NAMES)}")
        for name, tree in self.trees.items():
            if unknown := sorted(tree.used - set(Features._fields)):
                raise ValueError(f"trees.{name}: {unknown[0]!r} is not a feature of this version of adaptwin")
        if self.region.features != Features._fields:
            raise ValueError("region.features: are not those of this version of adaptwin, in their order; train anew")
        if self.windows[0] > self.windows[1]:
            raise ValueError(f"windows: the shortest, {self.windows[0]:g}, is above the longest, {self.windows[1]:g}")
        return self

    def write(self, path: str | Path) -> None:
        """Write the surrogate to a JSON file."""
        write_atomically(path, json.dumps(self.file_form(), separators=(",", ":")) + "\n")

    def predict(self, workload: Workload, server: Server) -> Prediction:
        """Predict what the twin would report for this server under this workload.

        Raises:
            OutOfMemory: vLLM would refuse to start with these settings.
            SpecError: The server cannot load an adapter of the workload.
        """
        return self.predict_many([(workload, server)])[0]

    def predict_many(self, cases: Iterable[tuple[Workload, Server]]) -> list[Prediction]:
        """Predict many cases, each a workload and a server, in the order given; raises what `predict` raises.

        A case is outside also where the tokens that arrive in a window have a coefficient of variation above
        `MOST_VARIABILITY`: no prediction could be near what every such window shows.
        """
        work = list(cases)
        features, steady_answers = np.zeros((len(work), FEATURE_COUNT)), np.zeros((len(work), STEADY_ANSWER_COUNT))
        known = np.zeros(len(work), np.bool_)
        for row, (workload, server) in enumerate(work):
            server.require_serves(workload)
            demands = demands_on(self.profile, server, workload)
            demand = sum_demands(demands)
            limits, costs = server.limits(self.profile), costs_of(self.profile, server)
            if demand.traffic.served_rate > 0:
                features[row], steady_answers[row] = features_of(demand, limits, costs, workload.duration)
            is_predictable = token_variability(demands, workload.duration) <= MOST_VARIABILITY
            known[row] = is_predictable and self.knows(demand, server, workload.duration)
        answers, inside = self.predict_features(features, steady_answers)
        return [
            prediction_from(answer, bool(within and sure), offered)
            for answer, within, sure, offered in zip(answers, inside, known, steady_answers[:, OFFERED], strict=True)
        ]

    def knows(self, demand: Demand, server: Server, duration: float) -> bool:
        """Return whether window, arrivals and settings are of kinds that the training data covers.

        Whether step costs are is a matter of the features, and so of the region. Whether whole prompts are reserved
        does not matter: it changes a few servers that are short of KV cache, and hardly ever the verdict on them
        (docs/measured/hardware.md).
        """
        usual, used = Server(), server.with_defaults(self.profile)
        return (
            self.windows[0] / WINDOW_TOLERANCE <= duration <= self.windows[1] * WINDOW_TOLERANCE
            and demand.traffic.unknown_rate == 0
            and server.adapters_in_host >= demand.traffic.adapters
            and used.max_num_queued_reqs is None
            and not (used.specialize_active_lora or used.lora_target_modules)
            and (server.block_size, server.watermark) == (usual.block_size, usual.watermark)
        )

    def on(self, profile: Profile) -> Self:
        """Return this surrogate for another profile, without scores: its features mean the same on any profile.

        Where the costs of the profile have other proportions than all of those in the training data, its servers are
        outside the region, and predictions say so.
        """
        if profile == self.profile:
            return self
        return self.model_copy(update={"profile": profile, "scores": {}})

    def predict_features(self, features: Array, steady_answers: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return predictions (rows, outputs), in the order of `OUTPUTS`, and whether each row is in the region.

        Args:
            features: Shape (rows, features), as `features_of` returns them.
            steady_answers: Shape (rows, 8), as `features_of` returns them.
        """
        forest, region = self._arrays
        clipped, inside = clip_to(region, features)
        learned = evaluate(forest, clipped)
        figures = figures_of(learned, steady_answers)
        return np.column_stack([figures[name] for name in NAMES]), inside

    def overloads(self, features: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return only the probability of overload, shape (rows,), and whether each row is in the region."""
        forest, region = self._overload_arrays
        clipped, inside = clip_to(region, features)
        return 1.0 / (1.0 + np.exp(-evaluate(forest, clipped).max(axis=1))), inside

    @cached_property
    def _overload_arrays(self) -> tuple[Forest, RegionArrays]:
        trees = [self.trees[name] for name in ("overload", "starvation")]  # a starved server is overloaded
        return plant(trees, Features._fields), self.region.arrays()

    @cached_property
    def _arrays(self) -> tuple[Forest, RegionArrays]:
        return plant([self.trees[name] for name in NAMES], Features._fields), self.region.arrays()


def prediction_from(answer: Array, inside: bool, offered: float) -> Prediction:
    """Convert a row of `predict_features` to a `Prediction`, for a server that is offered `offered` tokens/s."""
    if offered == 0.0:
        return _NO_TRAFFIC
    figures = dict(zip(NAMES, answer.tolist(), strict=True))
    return Prediction(throughput=offered * figures["served"], inside=inside, **figures)


def surrogate_for(profile: Profile | str | Path) -> Surrogate:
    """Return the shipped surrogate for a profile of any GPU and model; `Prediction.inside` tells where it applies.

    The shipped surrogates have the same trees, trained on measured profiles and on a spread of derived ones
    (`Surrogate.trained_on`). That of a measured profile has scores of its own; every other profile gets the first one,
    without scores. The profile may be given by name or path.
    """
    profile = as_profile(profile)
    shipped = shipped_surrogates()
    return load_surrogate(profile.name if profile.name in shipped else shipped[0]).on(profile)


def shipped_surrogates() -> list[str]:
    """Names of the profiles whose surrogates come with adaptwin."""
    return list(_shipped_surrogate_files())


def load_surrogate(name_or_path: str | Path) -> Surrogate:
    """Load a shipped surrogate by the name of its profile, or a surrogate from a JSON file.

    Raises:
        SpecError: The argument is neither a shipped name nor a file, or the file is not a surrogate.
    """
    shipped = _shipped_surrogate_files()
    if str(name_or_path) in shipped:
        return Surrogate.read(shipped[str(name_or_path)])
    if Path(name_or_path).suffix == ".json" or os.path.isfile(name_or_path):
        return Surrogate.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "surrogate")


def _shipped_surrogate_files() -> dict[str, Path]:
    return shipped_files("adaptwin.surrogate", ".json")
