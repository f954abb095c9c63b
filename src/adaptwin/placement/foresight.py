"""Foresight: what a surrogate says of adapters on servers - many servers at once, from sums made beforehand."""

from collections.abc import Mapping, Sequence

import numpy as np

from adaptwin.surrogate.features import Features, Rough, features_of
from adaptwin.surrogate.surrogate import Guess, Surrogate, guess_from
from adaptwin.twin.server import Limits, Server
from adaptwin.twin.steady_state import Costs, costs_of, demands_on
from adaptwin.workload.traffic import sum_demands
from adaptwin.workload.workload import Workload


class Foresight:
    """Guesses for servers with some of a workload's adapters on them."""

    def __init__(self, surrogate: Surrogate, workload: Workload, template: Server) -> None:
        self.surrogate, self.duration, self._template = surrogate, workload.duration, template
        self._position = {adapter.name: i for i, adapter in enumerate(workload.adapters)}
        self._demands = demands_on(surrogate.profile, template, workload)
        self._promises = np.array([bool(a.slo_ttft or a.slo_itl) for a in workload.adapters])
        self._servers: dict[tuple[int, int], tuple[Limits, Costs]] = {}

    @property
    def knows_traffic(self) -> bool:
        """Whether the window and the arrivals of all adapters are of the kinds that were trained on."""
        demand = sum_demands(self._demands)
        return self.surrogate.knows(demand, self._server(len(self._position), 1), self.duration)

    def guesses(
        self, shares: Mapping[str, float], choices: Sequence[int], max_lora_rank: int, factor: float = 1.0
    ) -> list[Guess]:
        """What to expect for each of these numbers of slots, which must start, with `factor` times the shares."""
        chosen = np.array([self._position[name] for name in shares], dtype=np.int64)
        parts = np.fromiter(shares.values(), np.float64, len(shares)) * factor
        demand = sum_demands(self._demands.of(chosen), parts)
        features = np.zeros((len(choices), len(Features._fields)))
        rough = np.zeros((len(choices), len(Rough._fields)))
        if demand.traffic.served_rate > 0:
            for row, slots in enumerate(choices):
                features[row], rough[row] = features_of(demand, *self._known(slots, max_lora_rank), self.duration)
        answers, inside = self.surrogate.predict_features(features, rough)
        known = self.surrogate.knows(demand, self._server(len(shares), max_lora_rank), self.duration)
        return [
            guess_from(answer, known and bool(within), offered)
            for answer, within, offered in zip(answers, inside, rough[:, 0], strict=True)
        ]

    def _known(self, slots: int, max_lora_rank: int) -> tuple[Limits, Costs]:
        key = slots, max_lora_rank
        if key not in self._servers:
            profile, server = self.surrogate.profile, self._server(slots, max_lora_rank)
            self._servers[key] = server.limits(profile), costs_of(profile, server)
        return self._servers[key]

    def _server(self, slots: int, max_lora_rank: int) -> Server:
        """The template with these slots, and host memory for as many adapters."""
        return self._template.model_copy(
            update={"max_loras": slots, "max_cpu_loras": slots, "max_lora_rank": max_lora_rank}
        )

    def promised(self, shares: Mapping[str, float]) -> bool:
        """Whether any of the adapters has an objective, of which a surrogate knows nothing."""
        return any(self._promises[self._position[name]] for name in shares)

    def is_sure(self, guess: Guess, shares: Mapping[str, float]) -> bool:
        """Whether the twin need not be asked: not near the boundary, nor outside what was trained on."""
        sure = self.surrogate.sure
        if not guess.inside:
            return False
        return guess.overload >= sure.above or (guess.overload <= sure.below and not self.promised(shares))
