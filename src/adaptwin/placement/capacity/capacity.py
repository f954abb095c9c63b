"""Capacity: cached answers to whether one server can serve a set of adapters.

The surrogate answers where it is confident. The twin is run everywhere else: near the boundary between serving all
adapters and not, and outside the surrogate's training data. `slots` chooses among the answers.
"""

from collections.abc import Iterable, Mapping
from math import inf
from threading import Lock

import numpy as np

from adaptwin.errors import Infeasible, OutOfMemory
from adaptwin.placement.capacity.answer import NOT_STARTABLE, Answer, answer_of
from adaptwin.placement.capacity.drawn_parts import DrawnPart, DrawnParts
from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.caution import MOST_LOAD
from adaptwin.placement.lower_bound.least_work import work_of_each
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.profile.memory import GIB
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.surrogate import Prediction
from adaptwin.twin.host_memory import host_bytes_of_each
from adaptwin.twin.played import play_scenario
from adaptwin.twin.run import worst_of
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter
from adaptwin.workload.demand.traffic import SUMS
from adaptwin.workload.workload import Adapter, Workload

SLOT_LADDER = (
    1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512,
)  # fmt: skip
UNKNOWN_SETS = 20  # unknown sets of adapters that are tolerated whatever the share of known ones
PARTS_KEPT = 200_000  # adapters with a share of their traffic that are cached, at most


class Capacity:
    """Answers about servers of one profile, with `factor` times the traffic of each adapter.

    Twin runs have the workload's own duration and seed, so that the same question always has the same answer. Without
    a surrogate, every answer is a run of the twin. Several threads may use an instance at once.
    """

    def __init__(
        self,
        profile: Profile,
        workload: Workload,
        template: Server,
        factor: float = 1.0,
        surrogate: WorkloadSurrogate | None = None,
        latency_limits: LatencyLimits = NO_LATENCY_LIMITS,
        host_limit: float = inf,
    ) -> None:
        self._undealt, workload = workload, workload.dealt()
        self.profile, self.workload, self.template, self.factor = profile, workload, template, factor
        self.surrogate, self.latency_limits, self.host_limit = surrogate, latency_limits, host_limit
        self._by_name = {adapter.name: adapter for adapter in workload.adapters}
        self._position = {adapter.name: i for i, adapter in enumerate(workload.adapters)}
        self._rates = dict(zip(self._by_name, workload.rates, strict=True))
        self._tokens = tokens_per_adapter(workload)
        self._host = host_bytes_of_each(profile, workload.adapters)
        work = work_of_each(profile, template, workload) * np.array(workload.rates)
        self._work: dict[str, float] = dict(zip(self._by_name, work.tolist(), strict=True))
        self._answers: dict[tuple[frozenset[tuple[str, float]], int], Answer] = {}
        self._answers_on: dict[tuple[frozenset[tuple[str, float]], Server], Answer] = {}
        self._starting: dict[tuple[int, int], bool] = {}  # by slots and rank
        self._choices: dict[tuple[int, int], list[int]] = {}  # by adapters and rank
        self._parts: dict[tuple[str, float], Adapter] = {}  # by adapter and share
        self._drawn = DrawnParts(profile)
        self._parts_asked: list[Capacity] = []  # answers about parts of the traffic, which count as well
        self._lock = Lock()  # guards the counts below, and changes of the parts
        self._predictions = 0
        self._known_sets = self._unknown_sets = 0  # sets of adapters that the surrogate knew, and did not know

    # Adapters.

    @property
    def names(self) -> list[str]:
        """Names of all adapters, in the order of the workload."""
        return list(self._by_name)

    def adapter(self, name: str) -> Adapter:
        """The adapter with this name."""
        return self._by_name[name]

    def rate(self, name: str) -> float:
        """The adapter's mean requests per second."""
        return self._rates[name]

    def tokens(self, name: str) -> float:
        """The tokens per second, prompts and answers, that the adapter's requests ask for on average."""
        return self._tokens[name]

    def path(self, name: str) -> str:
        """The adapter's path in its fleet file, such as ``adapters[3]``."""
        return f"adapters[{self._position[name]}]"

    def load_of(self, item: AdapterPart) -> float:
        """The share of a GPU's time that an adapter, or a part of it, takes in the best case."""
        return self._work[item.name] * item.share * self.factor

    def load(self, shares: Mapping[str, float]) -> float:
        """The share of a GPU's time that these adapters take together in the best case."""
        return sum(self.load_of(AdapterPart(*item)) for item in shares.items())

    def part(self, shares: Mapping[str, float], factor: float = 1.0) -> Workload:
        """Return the traffic that a server with these adapters receives, times a factor."""
        names = sorted(shares, key=self._position.__getitem__)
        chosen = tuple(self._scaled(name, shares[name] * factor) for name in names)
        return self.workload.model_copy(update={"adapters": chosen})

    def of_part(self, shares: Mapping[str, float]) -> "Capacity":
        """Return the answers about servers with a part of the traffic only; a share of 1 is then all of that part."""
        part = self.part(shares)
        known = self.surrogate and self.surrogate.on_workload(part)
        asked = Capacity(self.profile, part, self.template, self.factor, known, self.latency_limits, self.host_limit)
        self._parts_asked.append(asked)
        return asked

    def on_template(self, template: Server) -> "Capacity":
        """Return the answers about servers with other common settings."""
        known = self.surrogate and self.surrogate.with_template(template)
        return Capacity(self.profile, self.workload, template, self.factor, known, self.latency_limits, self.host_limit)

    def fresh_part(self, shares: Mapping[str, float], factor: float, seed: int) -> Workload:
        """Return the traffic that a server with these adapters receives, times a factor, drawn with another seed.

        Timestamps of the workload are dealt to its adapters anew.
        """
        if isinstance(self._undealt.arrivals, str):
            return self.part(shares, factor).model_copy(update={"seed": seed})
        return self._undealt.part(shares, seed).scaled(factor)

    def _scaled(self, name: str, share: float) -> Adapter:
        """Return an adapter with a share of its traffic; cached, as the same shares recur."""
        if share == 1.0:
            return self._by_name[name]
        key = name, share
        found = self._parts.get(key)
        if found is None:
            found = self._by_name[name].scaled(share)
            with self._lock:
                if len(self._parts) >= PARTS_KEPT:
                    self._parts.clear()
                self._parts[key] = found
        return found

    def demand_of(self, shares: Iterable[tuple[str, float]]) -> ServerDemand:
        """Return the demand that these adapters, or parts of them, make on a server."""
        items = [AdapterPart(*item) for item in shares]
        adapters = [self._by_name[item.name] for item in items]
        return ServerDemand(
            load=sum(map(self.load_of, items)),
            rank=max(map(self._slot_rank, adapters), default=0),
            loras=sum(adapter.rank > 0 for adapter in adapters),
            slo_ttft=min((adapter.slo_ttft or inf for adapter in adapters), default=inf),
            slo_itl=min((adapter.slo_itl or inf for adapter in adapters), default=inf),
            host=sum(self._host[item.name] for item in items),
            traffic=self.surrogate.traffic_of(items) if self.surrogate and items else np.zeros(SUMS),
        )

    # Settings.

    def server(self, shares: Mapping[str, float], max_loras: int) -> Server:
        """Return the settings of a server for these adapters: slots of their highest rank, host memory for all.

        If not all may be held in host memory, as many are as surely fit.
        """
        held = max(self._held(shares), max_loras)
        return self.template.with_slots(max_loras, max_lora_rank=self._rank(shares), max_cpu_loras=held)

    def fewest_slots(self, item: AdapterPart) -> int:
        """Slots that an adapter needs alone: one, or none for base-model traffic."""
        return min(1, self._by_name[item.name].rank)

    def slot_choices(self, shares: Mapping[str, float]) -> list[int]:
        """Return the numbers of slots worth considering with which the server starts, in rising order.

        The adapters in the slots must fit into host memory, too.
        """
        loras = self._loras(shares)
        choices = self._starting_choices(loras, self._rank(shares))
        held = self._held(shares)
        return choices if held == loras else [slots for slots in choices if slots <= held]

    def all_slot_choices(self, shares: Mapping[str, float]) -> list[int]:
        """Return the numbers of slots worth considering, in rising order, up to one slot for each adapter."""
        return _slot_choices(self._loras(shares))

    def starts(self, shares: Mapping[str, float], max_loras: int) -> bool:
        """Whether vLLM would start with these adapters and this many slots, within the limit on host memory."""
        held = self._held(shares)
        fits = max_loras <= held or held == self._loras(shares)
        return fits and self._starts_with(max_loras, self._rank(shares))

    def require_startable(self, name: str) -> None:
        """Raise `Infeasible` when not even one slot of the adapter's rank leaves enough memory for a KV cache."""
        slots = self.fewest_slots(AdapterPart(name, 1.0))
        if not self._starts_with(slots, self._rank({name: 1.0})):
            rank = self._by_name[name].rank
            try:
                self.server({name: 1.0}, slots).limits(self.profile)
            except OutOfMemory as error:
                raise Infeasible(f"{self.path(name)}.rank: {rank} of {name!r} fits on no GPU: {error}") from None
        if (needed := self._host[name]) > self.host_limit:
            limit = self.host_limit / GIB
            message = f"{limit:g} GiB of host memory hold no adapter of {needed / GIB:.3g} GiB, such as {name!r}"
            raise Infeasible(f"host_memory_gib: {message}")

    def host_bytes(self, shares: Iterable[str]) -> float:
        """Return the bytes that these adapters, or parts of them, take in the host memory of a server."""
        return sum(self._host[name] for name in shares)

    def _held(self, shares: Mapping[str, float]) -> int:
        """Return how many of these adapters fit into host memory, whichever they are: all, or the largest ones."""
        if self.host_bytes(shares) <= self.host_limit:
            return self._loras(shares)
        largest = np.sort([self._host[name] for name in shares])[::-1]
        return int(np.searchsorted(np.cumsum(largest), self.host_limit, side="right"))

    def _loras(self, shares: Mapping[str, float]) -> int:
        return sum(self._by_name[name].rank > 0 for name in shares)

    def slot_rank(self, name: str) -> int:
        """Return the lowest rank of a slot that takes an adapter; 0 for base-model traffic, which needs no slot."""
        return self._slot_rank(self._by_name[name])

    def _slot_rank(self, adapter: Adapter) -> int:
        return server_rank(adapter.rank, self.profile) if adapter.rank else 0

    def _rank(self, shares: Mapping[str, float]) -> int:
        """The rank at which slots for these adapters are preallocated."""
        return server_rank(max((self._by_name[name].rank for name in shares), default=0), self.profile)

    def _starting_choices(self, loras: int, rank: int) -> list[int]:
        key = loras, server_rank(rank, self.profile)
        if key not in self._choices:
            self._choices[key] = [slots for slots in _slot_choices(loras) if self._starts_with(slots, key[1])]
        return self._choices[key]

    def _starts_with(self, max_loras: int, max_lora_rank: int) -> bool:
        key = max_loras, max_lora_rank
        if key not in self._starting:
            self._starting[key] = self.template.with_slots(max_loras, max_lora_rank=max_lora_rank).starts_on(
                self.profile
            )
        return self._starting[key]

    # Answers of the twin.

    @property
    def twin_runs(self) -> int:
        """Number of answers that the twin has given so far."""
        return len(self._answers) + len(self._answers_on) + sum(part.twin_runs for part in self._parts_asked)

    def ask(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """Return the twin's answer about these adapters with this many slots, at `factor` times their traffic."""
        raised = _times(shares, factor)
        key = frozenset(raised.items()), max_loras
        if key not in self._answers:
            drawn = self._drawn.part(key[0], lambda: self.part(raised, self.factor))
            self._answers[key] = self._simulate(drawn, self.server(raised, max_loras))
        return self._answers[key]

    def ask_on(self, shares: Mapping[str, float], server: Server, factor: float = 1.0) -> Answer:
        """Return the twin's answer about these adapters on a server with given settings, such as a running one.

        `factor` is on their traffic, as in `ask`.
        """
        raised = _times(shares, factor)
        key = frozenset(raised.items()), server
        if key not in self._answers_on:
            drawn = self._drawn.part(key[0], lambda: self.part(raised, self.factor))
            self._answers_on[key] = self._simulate(drawn, server)
        return self._answers_on[key]

    def simulate(self, workload: Workload, server: Server) -> Answer:
        """Return the twin's answer about a part of the workload, which is neither counted nor remembered."""
        return self._simulate(DrawnPart(workload, self.profile), server)

    def _simulate(self, drawn: DrawnPart, server: Server) -> Answer:
        workload = drawn.workload
        try:
            scenario = make_scenario(self.profile, server, workload, seed=workload.seed, requests=drawn.requests)
        except OutOfMemory:
            return NOT_STARTABLE
        played = play_scenario(self.profile, workload, scenario)
        worst = played.judgement.worst
        kept = self.latency_limits.holds(ttft_p99=played.ttft.p99, itl_p99=played.itl.p99)
        return Answer(
            starts=True,
            verdict=worst if kept else worst_of({"slow", worst}),
            served=played.served_share,
            throughput=played.throughput,
            e2e_mean=played.e2e_mean,
            itl_mean=played.itl.mean,
            itl_p99=played.itl.p99,
            ttft_p99=played.ttft.p99,
            kv_usage=played.kv_usage,
            mean_adapters=played.mean_adapters,
        )

    # Answers of the surrogate.

    @property
    def predictions(self) -> int:
        """Number of predictions that the surrogate has made so far."""
        return self._predictions + sum(part.predictions for part in self._parts_asked)

    @property
    def surrogate_knows(self) -> bool:
        """Whether the surrogate knows the window, the arrivals and most servers, so that many questions cost little."""
        knows_traffic = self.surrogate is not None and self.surrogate.knows_traffic
        return knows_traffic and self._unknown_sets <= max(UNKNOWN_SETS, self._known_sets / 10)

    def estimate(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """Return the answer of the surrogate where it is confident, else of the twin (see `ask`)."""
        demand = self.demand_of(shares.items())
        sure = self.sure_answers(demand, self.predict(demand, [max_loras], factor))
        return (sure and sure[0]) or self.ask(shares, max_loras, factor)

    def estimate_on(self, shares: Mapping[str, float], server: Server) -> Answer:
        """Return the answer of the surrogate where it is confident, else of the twin (see `ask_on`).

        The surrogate knows neither servers with merged weights nor those that do not hold all adapters in host memory.
        """
        if not server.starts_on(self.profile):
            return NOT_STARTABLE
        if self.surrogate is None or server.merged or server.adapters_in_host < self._loras(shares):
            return self.ask_on(shares, server)
        demand = self.demand_of(shares.items())
        predictions = self.surrogate.predict_on(demand.traffic, [server], self.factor)
        self._count_predictions(1)
        return self.sure_answers(demand, predictions)[0] or self.ask_on(shares, server)

    def predicted_overload(self, shares: Mapping[str, float], server: Server, factor: float) -> float | None:
        """Return the likelihood of overload at `factor` times the traffic; None where the surrogate does not know."""
        predictions = self.predict_on(shares, [server] if server.starts_on(self.profile) else [], factor)
        return predictions[0].overload if predictions and predictions[0].inside else None

    def predict_on(self, shares: Mapping[str, float], servers: list[Server], factor: float = 1.0) -> list[Prediction]:
        """Return a prediction for these adapters on each server, all of which must start; empty if there is none.

        The surrogate knows neither servers with merged weights nor those that do not hold all adapters in host memory.
        `factor` is on the traffic itself, without the factor of this capacity.
        """
        loras = self._loras(shares)
        unknown = any(server.merged or server.adapters_in_host < loras for server in servers)
        if self.surrogate is None or not shares or unknown:
            return []
        self._count_predictions(len(servers))
        return self.surrogate.predict_on(self.demand_of(shares.items()).traffic, servers, factor)

    def predict(self, demand: ServerDemand, choices: list[int], factor: float = 1.0) -> list[Prediction]:
        """Return a prediction for each number of slots; the server must start with all. Empty without a surrogate."""
        if self.surrogate is None or not choices:
            return []
        self._count_predictions(len(choices))
        return self.surrogate.predict(
            demand.traffic, choices, server_rank(demand.rank, self.profile), factor * self.factor
        )

    def known_predictions(self, demand: ServerDemand, factor: float = 1.0) -> list[Prediction]:
        """Return a prediction for each number of slots with which the surrogate knows such a server."""
        choices = self._starting_choices(demand.loras, demand.rank)
        return [prediction for prediction in self.predict(demand, choices, factor) if prediction.inside]

    def sure_answers(self, demand: ServerDemand, predictions: list[Prediction]) -> list[Answer | None]:
        """Return answers for the predictions in which the surrogate is confident, and None for the others.

        It is never confident where it only guides, because it was not trained on the arrivals, or because some adapters
        would be read from disk again and again.
        """
        if self.surrogate is None:
            return []
        if self.surrogate.only_guides(demand.traffic) or demand.host > self.host_limit:
            return [None] * len(predictions)
        promised = self._has_objectives(demand)
        return [
            answer_of(prediction) if self.surrogate.is_sure(prediction, promised=promised) else None
            for prediction in predictions
        ]

    def likelihood_of_overload(self, demand: ServerDemand, factor: float = 1.0) -> float | None:
        """Return the likelihood of overload with the best number of slots; None where the twin must be run."""
        choices = self._starting_choices(demand.loras, demand.rank)
        if not choices or demand.load * factor > MOST_LOAD:
            return 1.0
        if self.surrogate is None:
            return None
        if demand.host > self.host_limit:
            self._count_predictions(0, known=False)
            return None
        if not self._has_objectives(demand):
            more = factor * self.factor
            least = self.surrogate.least_overload(demand.traffic, choices, server_rank(demand.rank, self.profile), more)
            self._count_predictions(len(choices), known=least is not None)
            return least
        predictions = self.known_predictions(demand, factor)
        if not predictions:
            return None
        kept = (prediction.overload for prediction in predictions if self._keeps_limits(prediction, demand))
        return min(kept, default=1.0)

    def guiding_likelihood(self, demand: ServerDemand, factor: float = 1.0) -> float:
        """Return the likelihood of overload, or what the surrogate predicts although it does not know such servers.

        It is a guide only: the twin must decide. Without a surrogate, it is 0.
        """
        known = self.likelihood_of_overload(demand, factor)
        if known is not None:
            return known
        choices = self._starting_choices(demand.loras, demand.rank)
        return min((each.overload for each in self.predict(demand, choices, factor)), default=0.0)

    def _has_objectives(self, demand: ServerDemand) -> bool:
        return bool(self.latency_limits) or min(demand.slo_ttft, demand.slo_itl) < inf

    def _keeps_limits(self, prediction: Prediction, demand: ServerDemand) -> bool:
        """Whether limits and the strictest objectives are likely kept, if all adapters have the same latencies."""
        kept = prediction.ttft_p99 <= demand.slo_ttft and prediction.itl_mean <= demand.slo_itl
        return kept and self.latency_limits.holds(ttft_p99=prediction.ttft_p99, itl_p99=prediction.itl_p99)

    def _count_predictions(self, count: int, *, known: bool | None = None) -> None:
        """Count predictions and, unless `known` is None, a set of adapters as known or unknown to the surrogate."""
        with self._lock:
            self._predictions += count
            self._known_sets += known is True
            self._unknown_sets += known is False


def _times(shares: Mapping[str, float], factor: float) -> Mapping[str, float]:
    return shares if factor == 1.0 else {name: share * factor for name, share in shares.items()}


def _slot_choices(loras: int) -> list[int]:
    return [slots for slots in SLOT_LADDER if slots < loras] + [loras]
