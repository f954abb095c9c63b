"""Capacity: questions about a set of adapters on one server, answered by a surrogate where it is sure.

Where it is not - near the boundary between serving everybody and not, or outside what it was trained on - the twin is
asked. Either answer is remembered.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import NamedTuple

import numpy as np

from adaptwin.errors import Infeasible, OutOfMemory
from adaptwin.placement.capacity.server_demand import ServerDemand
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.lower_bound.least_work import work_of_each
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.surrogate import Prediction
from adaptwin.twin.played import play_scenario
from adaptwin.twin.run import Verdict, worst_of
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.server import Server, server_rank
from adaptwin.twin.verdict import STARVED_BELOW
from adaptwin.workload.demand.traffic import SUMS
from adaptwin.workload.workload import Adapter, Workload

SLOT_LADDER = (
    1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512,
)  # fmt: skip
CONTENDERS = 4  # numbers of slots that the twin compares, out of those that the surrogate thinks best
SAFE = 0.05  # probability that somebody suffers, up to which numbers of slots are not told apart by it
STRESS = 1.1  # times the traffic under which numbers of slots are compared
MOST_LOAD = 1.25  # best-case load beyond which nobody need be asked: what is in flight at the end was not served
MISSES = 20  # sets of adapters that the surrogate may not know, before it counts how many it knows
MOST_PARTS_KEPT = 200_000  # adapters with a share of their traffic
RESIDENCE = 8.0  # seconds that a request is in a well-loaded server, give or take


class AdapterPart(NamedTuple):
    """An adapter, or a part of its traffic."""

    name: str
    share: float


class Answer(NamedTuple):
    """What is said of some adapters on one server. Rates per second, latencies in seconds."""

    starts: bool
    verdict: Verdict  # the worst among server and adapters
    served: float  # share of the tokens due
    throughput: float
    e2e_mean: float
    itl_mean: float
    itl_p99: float
    ttft_p99: float
    kv_usage: float = float("nan")  # only the twin knows
    mean_adapters: float = float("nan")

    @property
    def ok(self) -> bool:
        """Whether the server starts and nobody starves, waits in a growing queue or misses an objective."""
        return self.starts and self.verdict == "ok"

    @property
    def not_starved(self) -> bool:
        """Whether the server starts and serves 0.9 of its tokens: all that the paper asks for."""
        return self.starts and self.served >= STARVED_BELOW


NOT_STARTABLE = Answer(False, "starved", 0.0, 0.0, inf, inf, inf, inf, 0.0, 0.0)


def _answer(guess: Prediction) -> Answer:
    """A guess that is sure, as an answer."""
    served = guess.starvation <= 0.5
    verdict: Verdict = "ok" if guess.overload <= 0.5 else "backlogged" if served else "starved"
    share = guess.served if verdict == "ok" else min(guess.served, 1.0 if served else STARVED_BELOW - 1e-9)
    return Answer(
        starts=True,
        verdict=verdict,
        served=share,
        throughput=guess.throughput,
        e2e_mean=guess.e2e_mean,
        itl_mean=guess.itl_mean,
        itl_p99=guess.itl_p99,
        ttft_p99=guess.ttft_p99,
    )


class SlotChoice(NamedTuple):
    """A number of slots with which a server serves its adapters."""

    max_loras: int
    answer: Answer


def _slot_choices(loras: int) -> list[int]:
    return [slots for slots in SLOT_LADDER if slots < loras] + [loras]


def _latency(fit: SlotChoice) -> tuple[float, int]:
    return fit.answer.e2e_mean, fit.max_loras


class Capacity:
    """Answers for servers of one profile, each adapter's traffic raised by `headroom`.

    Runs are of the workload's own length and seed, so an answer is the same whenever it is asked. Without foresight
    the twin is asked everything.
    """

    def __init__(
        self,
        profile: Profile,
        workload: Workload,
        template: Server,
        headroom: float = 0.0,
        foresight: WorkloadSurrogate | None = None,
        bounds: LatencyLimits = NO_LATENCY_LIMITS,
    ) -> None:
        self.profile, self.workload, self.template, self.headroom = profile, workload, template, headroom
        self.foresight, self.bounds = foresight, bounds
        self._by_name = {adapter.name: adapter for adapter in workload.adapters}
        self._position = {adapter.name: i for i, adapter in enumerate(workload.adapters)}
        self._answers: dict[tuple[frozenset[AdapterPart], int], Answer] = {}
        self._on_given: dict[tuple[frozenset[AdapterPart], Server], Answer] = {}
        self._starting: dict[tuple[int, int], bool] = {}  # by slots and rank
        self._parts: dict[tuple[str, float], Adapter] = {}  # by adapter and share
        self._foreseeable = self._unforeseeable = 0  # sets of adapters that the surrogate was asked about
        self._choices: dict[tuple[int, int], list[int]] = {}  # by adapters and rank
        self._guessed = 0
        work: list[float] = work_of_each(profile, template, workload).tolist()
        self._work = {a.name: work[i] * workload.rate_of(a) for i, a in enumerate(workload.adapters)}

    @property
    def names(self) -> list[str]:
        """Names of all adapters, in the order of the workload."""
        return list(self._by_name)

    def adapter(self, name: str) -> Adapter:
        """The adapter with this name."""
        return self._by_name[name]

    def path(self, name: str) -> str:
        """Where the adapter stands in its fleet file."""
        return f"adapters[{self._position[name]}]"

    @property
    def is_foreseen(self) -> bool:
        """Whether the surrogate knows windows, arrivals and servers like these, so that many questions cost little."""
        knows_kind = self.foresight is not None and self.foresight.knows_traffic
        return knows_kind and self._unforeseeable <= max(MISSES, self._foreseeable / 10)

    @property
    def asked(self) -> int:
        """How many twin runs were needed so far."""
        return len(self._answers) + len(self._on_given)

    @property
    def guessed(self) -> int:
        """How many questions needed none."""
        return self._guessed

    def load_of(self, item: AdapterPart) -> float:
        """This share of a GPU's time an item takes in the best case."""
        return self._work[item.name] * item.share * (1.0 + self.headroom)

    def load(self, shares: Mapping[str, float]) -> float:
        """This share of a GPU's time these adapters take together in the best case."""
        return sum(self.load_of(AdapterPart(*item)) for item in shares.items())

    def fewest_slots(self, item: AdapterPart) -> int:
        """Slots that the item needs alone: one, or none for base-model traffic."""
        return min(1, self._by_name[item.name].rank)

    def server(self, shares: Mapping[str, float], max_loras: int) -> Server:
        """The settings of a server for these adapters: slots of their highest rank, all of them in host memory."""
        loras = sum(self._by_name[name].rank > 0 for name in shares)
        return self.template.model_copy(
            update={
                "max_loras": max_loras,
                "max_lora_rank": self._rank(shares),
                "max_cpu_loras": max(loras, max_loras),
            }
        )

    def _rank(self, shares: Mapping[str, float]) -> int:
        """The rank at which slots for these adapters are preallocated."""
        return server_rank(max((self._by_name[name].rank for name in shares), default=0))

    def part(self, shares: Mapping[str, float], factor: float = 1.0) -> Workload:
        """The traffic that a server with these adapters sees, times a factor."""
        names = sorted(shares, key=self._position.__getitem__)
        chosen = tuple(self._scaled(name, shares[name] * factor) for name in names)
        return self.workload.model_copy(update={"adapters": chosen})

    def _scaled(self, name: str, share: float) -> Adapter:
        """An adapter with a share of its traffic; remembered, as the same factors come again and again."""
        if share == 1.0:
            return self._by_name[name]
        key = name, share
        if key not in self._parts:
            if len(self._parts) >= MOST_PARTS_KEPT:
                self._parts.clear()
            self._parts[key] = self._by_name[name].scaled(share)
        return self._parts[key]

    def ask(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """What the twin says of these adapters with this many slots, at `factor` times their traffic."""
        raised = {name: share * factor for name, share in shares.items()}
        key = frozenset(AdapterPart(*item) for item in raised.items()), max_loras
        if key not in self._answers:
            self._answers[key] = self._simulate(raised, self.server(raised, max_loras))
        return self._answers[key]

    def estimate(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """The same as `ask`, from the surrogate where it is sure."""
        sums = self.sums_of(shares.items())
        guesses = self._guesses(sums, [max_loras], factor)
        foreseen = self._foreseen(guesses, promised=self._promised(sums))
        return (foreseen and foreseen[0]) or self.ask(shares, max_loras, factor)

    def _foreseen(self, guesses: list[Prediction], *, promised: bool) -> list[Answer | None]:
        """Those guesses of which the surrogate is sure, as answers; else None."""
        if self.foresight is None:
            return []
        return [_answer(guess) if self.foresight.is_sure(guess, promised=promised) else None for guess in guesses]

    def ask_on(self, shares: Mapping[str, float], server: Server) -> Answer:
        """What the twin says of these adapters on a server whose settings are given, as on one that runs already."""
        key = frozenset(AdapterPart(*item) for item in shares.items()), server
        if key not in self._on_given:
            self._on_given[key] = self._simulate(shares, server)
        return self._on_given[key]

    def estimate_on(self, shares: Mapping[str, float], server: Server) -> Answer:
        """The same as `ask_on`, from the surrogate where it is sure; the server holds all of them in host memory."""
        if not server.starts_on(self.profile):
            return NOT_STARTABLE
        if self.foresight is None:
            return self.ask_on(shares, server)
        sums = self.sums_of(shares.items())
        more = 1.0 + self.headroom
        guesses = self.foresight.guesses(sums.traffic, [server.max_loras], server.max_lora_rank, more)
        self._guessed += 1
        return self._foreseen(guesses, promised=self._promised(sums))[0] or self.ask_on(shares, server)

    def _simulate(self, shares: Mapping[str, float], server: Server) -> Answer:
        workload = self.part(shares, 1.0 + self.headroom)
        try:
            scenario = make_scenario(self.profile, server, workload, seed=workload.seed)
        except OutOfMemory:
            return NOT_STARTABLE
        played = play_scenario(self.profile, workload, scenario)
        worst = played.judgement.worst
        kept = self.bounds.holds(ttft_p99=played.ttft.p99, itl_p99=played.itl.p99)
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

    def slot_choices(self, shares: Mapping[str, float]) -> list[int]:
        """Numbers of slots with which the server starts, out of those worth considering."""
        return self._starting_choices(self._loras(shares), self._rank(shares))

    def all_slot_choices(self, shares: Mapping[str, float]) -> list[int]:
        """Numbers of slots worth considering, rising: no more than there are adapters."""
        return _slot_choices(self._loras(shares))

    def _loras(self, shares: Mapping[str, float]) -> int:
        return sum(self._by_name[name].rank > 0 for name in shares)

    def _starting_choices(self, loras: int, rank: int) -> list[int]:
        key = loras, server_rank(rank)
        if key not in self._choices:
            self._choices[key] = [slots for slots in _slot_choices(loras) if self._starts_with(slots, key[1])]
        return self._choices[key]

    def starts(self, shares: Mapping[str, float], max_loras: int) -> bool:
        """Whether vLLM would start with these adapters and this many slots."""
        return self._starts_with(max_loras, self._rank(shares))

    def _starts_with(self, max_loras: int, max_lora_rank: int) -> bool:
        key = max_loras, max_lora_rank
        if key not in self._starting:
            update = {"max_loras": max_loras, "max_cpu_loras": max_loras, "max_lora_rank": max_lora_rank}
            self._starting[key] = self.template.model_copy(update=update).starts_on(self.profile)
        return self._starting[key]

    def fit(self, shares: Mapping[str, float], factor: float = 1.0) -> SlotChoice | None:
        """A number of slots that serves these adapters at `factor` times their traffic; None when there is none.

        Of those that the surrogate is sure of, the one with the lowest latency. Otherwise the first of which the twin
        approves, asked about the likeliest ones.
        """
        choices = self.slot_choices(shares)
        if not choices or self.load(shares) * factor > MOST_LOAD:
            return None
        sums = self.sums_of(shares.items())
        guesses, promised = self._guesses(sums, choices, factor), self._promised(sums)
        foreseen = self._foreseen(guesses, promised=promised) or [None] * len(choices)
        good = [SlotChoice(slots, said) for slots, said in zip(choices, foreseen, strict=True) if said and said.ok]
        if good:
            return min(good, key=_latency)
        unsure = [index for index, said in enumerate(foreseen) if said is None]
        for slots in self._likeliest(
            shares, [choices[i] for i in unsure], [guesses[i] for i in unsure if guesses], factor
        ):
            answer = self.ask(shares, slots, factor)
            if answer.ok:
                return SlotChoice(slots, answer)
        return None

    def _likeliest(
        self, shares: Mapping[str, float], choices: list[int], guesses: list[Prediction], factor: float
    ) -> Iterable[int]:
        """Numbers of slots in the order in which to ask the twin about them.

        Where there are guesses, the few with which overload is least likely. Else latency from end to end is the guide:
        it falls with more slots, until the KV cache that they take away and the cost of idle slots weigh more. So that
        search starts from about as many slots as adapters are busy at once, and goes downhill.
        """
        if not choices:
            return []
        if guesses and all(guess.inside for guess in guesses):
            ranked = sorted(zip(choices, guesses, strict=True), key=lambda pair: pair[1].overload)
            return [slots for slots, _ in ranked[:CONTENDERS]]
        busy = self._busy_adapters(shares)
        start = min(range(len(choices)), key=lambda i: abs(choices[i] - busy))
        return downhill(choices, start, lambda slots: self.ask(shares, slots, factor).e2e_mean)

    def sums_of(self, shares: Iterable[tuple[str, float]]) -> ServerDemand:
        """What these adapters, or parts of them, ask of a server."""
        items = [AdapterPart(*item) for item in shares]
        adapters = [self._by_name[item.name] for item in items]
        return ServerDemand(
            load=sum(map(self.load_of, items)),
            rank=max((adapter.rank for adapter in adapters), default=0),
            loras=sum(adapter.rank > 0 for adapter in adapters),
            slo_ttft=min((adapter.slo_ttft or inf for adapter in adapters), default=inf),
            slo_itl=min((adapter.slo_itl or inf for adapter in adapters), default=inf),
            traffic=self.foresight.traffic_of(items) if self.foresight and items else np.zeros(SUMS),
        )

    def likelihood_of_overload(self, sums: ServerDemand, factor: float = 1.0) -> float | None:
        """How likely it is that somebody suffers with the best number of slots; None where the twin must be asked."""
        choices = self._starting_choices(sums.loras, sums.rank)
        if not choices or sums.load * factor > MOST_LOAD:
            return 1.0
        if self.foresight is None:
            return None
        if not self._promised(sums):
            self._guessed += len(choices)
            more = factor * (1.0 + self.headroom)
            least = self.foresight.least_overload(sums.traffic, choices, server_rank(sums.rank), more)
            self._foreseeable += least is not None
            self._unforeseeable += least is None
            return least
        guesses = [guess for guess in self._guesses(sums, choices, factor) if guess.inside]
        if not guesses:
            return None
        return min((guess.overload for guess in guesses if self._keeps(guess, sums)), default=1.0)

    def _promised(self, sums: ServerDemand) -> bool:
        return bool(self.bounds) or min(sums.slo_ttft, sums.slo_itl) < inf

    def _keeps(self, guess: Prediction, sums: ServerDemand) -> bool:
        """Whether bounds and the strictest objectives are likely kept, if all adapters of a server fare alike."""
        kept = guess.ttft_p99 <= sums.slo_ttft and guess.itl_mean <= sums.slo_itl
        return kept and self.bounds.holds(ttft_p99=guess.ttft_p99, itl_p99=guess.itl_p99)

    def expected(self, sums: ServerDemand, factor: float = 1.0) -> Prediction | None:
        """What the surrogate says with the number of slots it thinks best; None where it knows nothing."""
        guesses = self.guesses(sums, factor)
        return min(guesses, key=lambda guess: (guess.overload > 0.5, guess.e2e_mean), default=None)

    def guesses(self, sums: ServerDemand, factor: float = 1.0) -> list[Prediction]:
        """What the surrogate says with each number of slots with which it knows such servers."""
        choices = self._starting_choices(sums.loras, sums.rank)
        return [guess for guess in self._guesses(sums, choices, factor) if guess.inside]

    def _guesses(self, sums: ServerDemand, choices: list[int], factor: float = 1.0) -> list[Prediction]:
        """What the surrogate says with each number of slots; nothing without a surrogate."""
        if self.foresight is None or not choices:
            return []
        self._guessed += len(choices)
        return self.foresight.guesses(sums.traffic, choices, server_rank(sums.rank), factor * (1.0 + self.headroom))

    def _busy_adapters(self, shares: Mapping[str, float]) -> float:
        """About how many adapters have a request running at a time, if each takes some seconds."""
        loras = [(self._by_name[name], share) for name, share in shares.items() if self._by_name[name].rank]
        rates = np.array([self.workload.rate_of(adapter) * share for adapter, share in loras])
        return float(np.sum(1.0 - np.exp(-rates * RESIDENCE)))

    def best(self, shares: Mapping[str, float]) -> SlotChoice:
        """The number of slots that serves these adapters with the lowest mean latency from end to end.

        That weighs the time to the first token, which more slots shorten, against the time between tokens, which they
        lengthen. It is judged under a little more traffic where that is served too, so that a choice on the brink, with
        just enough slots, does not win. Raises `Infeasible` when no number of slots serves them.
        """
        contenders = self._promising(shares)
        stressed = [SlotChoice(slots, self.ask(shares, slots, STRESS)) for slots in contenders]
        for fit in sorted((fit for fit in stressed if fit.answer.ok), key=_latency):
            answer = self.ask(shares, fit.max_loras)
            if answer.ok:
                return SlotChoice(fit.max_loras, answer)
        good = [fit for slots in contenders if (fit := SlotChoice(slots, self.ask(shares, slots))).answer.ok]
        if not good:
            raise Infeasible(f"{len(shares)} adapters do not fit on one {self.profile.name}")
        return min(good, key=_latency)

    def _promising(self, shares: Mapping[str, float]) -> list[int]:
        """Numbers of slots worth asking the twin about: all that start, or the likely best where they are foreseen.

        Those with which somebody may suffer under other arrivals are left out as long as there are safer ones.
        """
        choices, sums = self.slot_choices(shares), self.sums_of(shares.items())
        guesses = self._guesses(sums, choices)
        if len(choices) <= CONTENDERS or not guesses or not all(guess.inside for guess in guesses):
            return choices
        safest = min(guess.overload for guess in guesses)
        stressed = self._guesses(sums, choices, STRESS)
        likely = sorted(
            (under_stress.e2e_mean, slots)
            for slots, guess, under_stress in zip(choices, guesses, stressed, strict=True)
            if guess.overload <= max(SAFE, 2.0 * safest)
        )
        found = sorted(slots for _, slots in likely[:CONTENDERS])
        return found if any(self.ask(shares, slots).ok for slots in found) else choices

    def require_startable(self, name: str) -> None:
        """Raise `Infeasible` when not even one slot of the adapter's rank leaves room for a KV cache."""
        slots = self.fewest_slots(AdapterPart(name, 1.0))
        try:
            self.server({name: 1.0}, slots).limits(self.profile)
        except OutOfMemory as error:
            rank = self._by_name[name].rank
            raise Infeasible(f"{self.path(name)}.rank: {rank} of {name!r} fits on no GPU: {error}") from None


def downhill(choices: list[int], start: int, cost: Callable[[int], float]) -> Iterable[int]:
    """Visit choices from `start`: to either side, and on for as long as the cost falls."""
    yield choices[start]
    for direction in (1, -1):
        i, best = start, cost(choices[start])
        while 0 <= i + direction < len(choices):
            i += direction
            yield choices[i]
            if cost(choices[i]) > best:
                break
            best = cost(choices[i])
