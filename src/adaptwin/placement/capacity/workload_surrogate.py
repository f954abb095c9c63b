"""WorkloadSurrogate: a surrogate that predicts servers with some of a workload's adapters, many servers at once.

The surrogate was not trained on replayed timestamps, nor on files of rates. For such traffic it predicts steady traffic
at a higher rate, `steady_factor` times as high, which a server bears as long (`steady_equivalent`). This is a guide for
the search, and no answer: only the twin decides.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import (
    FEATURE_COUNT,
    OFFERED,
    STEADY_ANSWER_COUNT,
    features_of_servers,
)
from adaptwin.surrogate.server_table import ServerTable, joined, server_table
from adaptwin.surrogate.surrogate import Prediction, Surrogate, prediction_from
from adaptwin.twin.server import Server
from adaptwin.workload.demand.traffic import (
    RATE,
    UNKNOWN_RATE,
    AdapterDemands,
    Demand,
    demand_in,
    raw_sums,
    sum_demands,
)
from adaptwin.workload.workload import Workload


class WorkloadSurrogate:
    """Predictions for servers with some of a workload's adapters, from sums that are computed in advance."""

    def __init__(
        self,
        surrogate: Surrogate,
        workload: Workload,
        template: Server,
        steady_factor: float | None = None,
        demands: AdapterDemands | None = None,
    ) -> None:
        """Prepare the sums; without `steady_factor`, nothing is predicted for arrivals that the surrogate lacks.

        `demands`, if they are known, are those of the workload's adapters on such servers.
        """
        self.surrogate, self.duration, self._template = surrogate, workload.duration, template
        self.steady_factor, self._workload = steady_factor, workload
        self._position = {adapter.name: i for i, adapter in enumerate(workload.adapters)}
        self._demands = demands_on(surrogate.profile, template, workload) if demands is None else demands
        self._rows: dict[tuple[int, int], ServerTable] = {}  # servers by number of slots and rank
        self._tables_on: dict[tuple[Server, ...], ServerTable] = {}
        no_traffic = sum_demands(self._demands, np.zeros(len(self._position)))
        self._knows_kind = surrogate.knows(no_traffic, self._server(1, 1), workload.duration)

    def with_template(self, template: Server) -> "WorkloadSurrogate":
        """Return predictions for servers with other settings, for the same workload."""
        if template == self._template:
            return self
        same = template.max_model_len == self._template.max_model_len  # on which demands depend
        demands = self._demands if same else None
        return WorkloadSurrogate(self.surrogate, self._workload, template, self.steady_factor, demands)

    def on_workload(self, workload: Workload) -> "WorkloadSurrogate":
        """Return predictions for servers with adapters of another workload, which has such arrivals, too."""
        return WorkloadSurrogate(self.surrogate, workload, self._template, self.steady_factor)

    @cached_property
    def knows_traffic(self) -> bool:
        """Whether it predicts servers of this workload: it knows such windows, and the arrivals or their equivalent."""
        return self._knows(sum_demands(self._demands))

    def traffic_of(self, shares: Iterable[tuple[str, float]]) -> NDArray[np.float64]:
        """Return the raw traffic sums of adapters with these shares."""
        positions, parts = zip(*((self._position[name], share) for name, share in shares), strict=True)
        return raw_sums(self._demands.of(np.array(positions, dtype=np.int64)), np.array(parts, dtype=np.float64))

    def predict(
        self, traffic: NDArray[np.float64], choices: Sequence[int], max_lora_rank: int, factor: float = 1.0
    ) -> list[Prediction]:
        """Return a prediction for each number of slots, all of which must start, at `factor` times this traffic."""
        return self._predictions(traffic, self._table(choices, max_lora_rank), factor)

    def predict_on(
        self, traffic: NDArray[np.float64], servers: Sequence[Server], factor: float = 1.0
    ) -> list[Prediction]:
        """Return a prediction for each server, at `factor` times this traffic.

        All servers must start, with as many adapters in host memory as they have.
        """
        key = tuple(servers)
        if key not in self._tables_on:
            self._tables_on[key] = self._table_of(servers)
        return self._predictions(traffic, self._tables_on[key], factor)

    def _predictions(self, traffic: NDArray[np.float64], servers: ServerTable, factor: float) -> list[Prediction]:
        demand = demand_in(traffic, factor * self._steady(traffic))
        features, steady_answers = self._features(demand, servers)
        answers, inside = self.surrogate.predict_features(features, steady_answers)
        known = self._knows(demand)
        return [
            prediction_from(answer, known and bool(within), offered)
            for answer, within, offered in zip(answers, inside, steady_answers[:, OFFERED], strict=True)
        ]

    def least_overload(
        self, traffic: NDArray[np.float64], choices: Sequence[int], max_lora_rank: int, factor: float = 1.0
    ) -> float | None:
        """Return the lowest probability of overload among these numbers of slots; None if the surrogate knows none."""
        demand = demand_in(traffic, factor * self._steady(traffic))
        if not self._knows(demand):
            return None
        if demand.traffic.served_rate == 0:
            return 0.0
        overloads, inside = self.surrogate.overloads(self._features(demand, self._table(choices, max_lora_rank))[0])
        return float(overloads[inside].min()) if inside.any() else None

    def only_guides(self, traffic: NDArray[np.float64]) -> bool:
        """Whether some of this traffic has arrivals that the surrogate was not trained on."""
        return bool(traffic[UNKNOWN_RATE] > 0.0)

    @property
    def knows_window(self) -> bool:
        """Whether the surrogate was trained on such a window and such servers, whatever the arrivals."""
        return self._knows_kind

    def _steady(self, traffic: NDArray[np.float64]) -> float:
        """Return by which factor steady traffic must be higher than this one, part of which may be steady."""
        if self.steady_factor is None or not self.only_guides(traffic):
            return 1.0
        return 1.0 + (self.steady_factor - 1.0) * float(traffic[UNKNOWN_RATE] / traffic[RATE])

    def _knows(self, demand: Demand) -> bool:
        return self._knows_kind and (demand.traffic.unknown_rate == 0 or self.steady_factor is not None)

    def _features(self, demand: Demand, servers: ServerTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if demand.traffic.served_rate == 0:
            return np.zeros((len(servers), FEATURE_COUNT)), np.zeros((len(servers), STEADY_ANSWER_COUNT))
        return features_of_servers(demand, servers, self.duration)

    def _table(self, choices: Sequence[int], max_lora_rank: int) -> ServerTable:
        return joined(self._row(slots, max_lora_rank) for slots in choices)

    def _row(self, slots: int, max_lora_rank: int) -> ServerTable:
        key = slots, max_lora_rank
        if key not in self._rows:
            self._rows[key] = self._table_of([self._server(slots, max_lora_rank)])
        return self._rows[key]

    def _table_of(self, servers: Sequence[Server]) -> ServerTable:
        profile = self.surrogate.profile
        return server_table([(server.limits(profile), costs_of(profile, server)) for server in servers])

    def _server(self, slots: int, max_lora_rank: int) -> Server:
        """Return the template with this many slots, and host memory for as many adapters."""
        return self._template.with_slots(slots, max_lora_rank=max_lora_rank)

    def is_sure(self, prediction: Prediction, *, promised: bool) -> bool:
        """Whether the surrogate is confident, so that the twin need not be run.

        It is not confident near the boundary, nor outside its training data. Where a latency objective is promised, it
        can only be confident that the server is overloaded.
        """
        sure = self.surrogate.sure
        return prediction.inside and (
            prediction.overload >= sure.above or (prediction.overload <= sure.below and not promised)
        )
