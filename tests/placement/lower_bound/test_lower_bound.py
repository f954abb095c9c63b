"""The lower bounds, and the least work that they rest on: below the twin and below every placement."""

import functools
import math
import time

import numpy as np
import pytest
from tests.effort import examples
from tests.placement.partitions import partitions

from adaptwin import Adapter, Lengths, Server, SpecError, Template, Workload, make_plan, simulate
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.lower_bound.least_work import (
    SHARED_BY,
    RequestKinds,
    SharedBy,
    experts_tangent,
    mean_request,
    work_of_each,
    work_seconds,
)
from adaptwin.placement.lower_bound.lower_bound import cost_bound, lower_bound
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.pack import pack
from adaptwin.profile.derive import derive_profile
from adaptwin.profile.lora_kernels import LoraKernels
from adaptwin.profile.step_cost import StepCost, step_seconds
from adaptwin.progress import silent
from adaptwin.twin.server import server_rank
from adaptwin.workload.demand.shared_tokens import Openings

LENGTHS = {
    "sharegpt": Lengths.named("sharegpt"),
    "chat": Lengths.fixed(250, 231),
    "long prompts": Lengths.fixed(4000, 20),
    "quadratic attention": Lengths.fixed(30_000, 10),
    "long answers": Lengths.fixed(10, 1000),
    "much cache": Lengths.fixed(3000, 600),
    "one token": Lengths.fixed(300, 1),
}
RANDOM_FLEETS = examples(16, 8)
NO_KERNELS = LoraKernels(0, 0, 0, 0.0, 0.0, skip_base_only=True)


def cheapest(names, price_of):
    """Return the price of the cheapest partition of adapters into servers; `price_of` is None if one is not served."""
    price = functools.cache(price_of)
    prices = ([price(frozenset(group)) for group in way] for way in partitions(names))
    return min((sum(of_servers) for of_servers in prices if None not in of_servers), default=None)


def optimum(capacity):
    """Return the fewest servers that serve all adapters without splitting any, by brute force."""
    return cheapest(capacity.names, lambda group: choose_slots(capacity, dict.fromkeys(group, 1.0)) and 1)


def random_fleet(seed, fleet, **fields):
    """Return five to eight adapters of mixed ranks, none too hot for a GPU, that need about two to four GPUs."""
    random = np.random.default_rng(seed)
    count = int(random.integers(5, 9))
    rates = np.minimum(22.0, random.uniform(30.0, 110.0) * random.dirichlet(np.full(count, 2.0)))
    ranks = random.choice([0, 8, 16, 32, 64], count)
    return fleet(*[(f"a{i}", int(ranks[i]), float(rates[i])) for i in range(count)], **fields)


def test_five_elements_have_52_partitions():
    assert [len(list(partitions(list(range(n))))) for n in range(6)] == [1, 1, 2, 5, 15, 52]


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("rank", [0, 8, 64])
def test_no_server_serves_requests_faster_than_their_work(h100, rank, lengths):
    """This holds for every `SharedBy`. Requests still running at the end are a small part of so long a window."""
    for seqs in (64, 256, 1024):
        template = Server(max_num_seqs=seqs)
        works = [work_seconds(h100, template, lengths, rank, shared_by) for shared_by in SHARED_BY]
        hammered = Workload([Adapter("a", rank, 1.2 / max(works))], lengths=lengths, duration=900.0)
        runs = [
            simulate(h100, Server(max_loras=slots, max_lora_rank=server_rank(rank, h100), max_num_seqs=seqs), hammered)
            for slots in {min(rank, 1), 1, 40}
        ]
        fastest = max(run.request_rate for run in runs)
        assert 0.7 / max(works) < fastest <= 1.01 / max(works)


def test_experts_are_not_computed_faster_than_their_work():
    """A model with experts, in small steps that use few experts and in large ones that use all."""
    profile = derive_profile(gpu="h200", model="Qwen/Qwen3-30B-A3B")
    for lengths, seqs in ((Lengths.fixed(30, 300), 8), (Lengths.fixed(2000, 20), 256)):
        template = Server(max_num_seqs=seqs, max_model_len=4096)
        works = [work_seconds(profile, template, lengths, 0, shared_by) for shared_by in SHARED_BY]
        hammered = Workload([Adapter("a", 0, 1.2 / max(works))], lengths=lengths, duration=600.0)
        fastest = simulate(profile, template.with_slots(0, max_lora_rank=16), hammered).request_rate
        assert 0.3 / max(works) < fastest <= 1.01 / max(works)


def test_a_line_below_the_experts_is_below_all_steps_and_near_the_largest():
    """A step of 100 tokens at most, each of which uses a quarter of the experts."""
    cost = StepCost(
        host_base=0.0, weights=0.0, per_token=0.0, per_context_token=0.0,
        expert_weights=1.0, expert_share=0.25, expert_balance_tokens=50.0,
    ).resolve(NO_KERNELS, max_loras=0, max_lora_rank=16)  # fmt: skip
    of_step, of_token = experts_tangent(cost, 100)
    seconds = [step_seconds(cost, tokens=tokens, sequences=1, adapters=0) for tokens in range(1, 101)]
    assert all(of_step + of_token * tokens <= took + 1e-12 for tokens, took in enumerate(seconds, start=1))
    assert of_step + of_token * 100 > 0.9 * seconds[99]


def test_work_grows_with_rank_and_lengths(h100):
    def work(rank, *lengths):
        return work_seconds(h100, Server(), Lengths.fixed(*lengths), rank)

    assert work(0, 250, 230) < work(8, 250, 230) < work(64, 250, 230)
    assert work(8, 250, 230) < work(8, 500, 230) < work(8, 500, 460)


@pytest.mark.parametrize(
    ("shared_by", "share"),
    [
        (SharedBy("tokens", False), 5 / 2048),  # a prompt of 3 and two decodes
        (SharedBy("seats", False), 3 / 64),
        (SharedBy("cache", False), (3 + 4 + 5) / 4096),
        (SharedBy("tokens", True), 5 / 2048 * 3),  # the largest step costs three times the constant
        (SharedBy("seats", True), 5 / 768 + 3 / 64 / 3),  # 2 / 1,536 per token: for 512, 2/3 of the constant
    ],
)
def test_work_is_that_of_a_step_cost_worked_out_by_hand(h100, shared_by, share):
    """With prompt 3 and answer 3 there are five tokens in three steps; two decodes read 3 and 4 cached tokens.

    The prompt has six pairs. Linear layers cost nothing here, see the next test.
    """
    cost = h100.step_cost
    law = {**dict.fromkeys(type(cost).model_fields, 0.0), "balance_tokens": 1.0, "expert_balance_tokens": 1.0}
    figures = {"host_base": 1.0, "per_token": 10.0, "per_context_token": 1000.0, "eager": 2.0, "graph_tokens": 512}
    figures |= {"per_pair": 100.0, "per_sequence": 2e3}
    scheduler = h100.scheduler_cost.model_copy(update={"base": 0.0, "per_running": 1e5, "per_waiting": 0.0})
    profile = h100.model_copy(update={"step_cost": type(cost)(**{**law, **figures}), "scheduler_cost": scheduler})
    server = Server(max_num_batched_tokens=2048, max_num_seqs=64, kv_cache_tokens=4112, max_model_len=4096)
    expected = 5 * 10 + (3 + 4) * 1000 + 6 * 100 + 3 * (1e5 + 2e3) + share
    assert work_seconds(profile, server, Lengths.fixed(3, 3), 0, shared_by) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tangent_at", ["token budget", "seats"])
def test_the_tangent_of_the_linear_layers_touches_them_at_its_step(h100, tangent_at):
    """A request of one token in a step of as many requests as the tangent touches at: its part of that step."""
    cost = h100.step_cost
    law = {**dict.fromkeys(type(cost).model_fields, 0.0), "balance_tokens": 100.0, "weights": 1.0, "graph_tokens": 512}
    law["expert_balance_tokens"] = 1.0
    free = h100.scheduler_cost.model_copy(update={"base": 0.0, "per_running": 0.0})
    profile = h100.model_copy(update={"step_cost": type(cost)(**law), "scheduler_cost": free})
    server = Server(max_num_batched_tokens=300, max_num_seqs=75)
    tokens, shared = (300, SharedBy("tokens", False)) if tangent_at != "seats" else (75, SharedBy("seats", False))
    work = work_seconds(profile, server, Lengths.fixed(1, 1), 0, shared._replace(tangent_at=tangent_at))
    assert work == pytest.approx(math.sqrt(1 + (tokens / 100) ** 2) / tokens)


def test_blocks_are_full_except_in_the_last_steps(h100):
    """With prompt 16 and answer 32, the first step holds 16 tokens, 16 steps hold 32 and 15 steps hold 48."""
    by_cache, by_seats = SharedBy("cache", False), SharedBy("seats", False)
    server = Server(max_num_seqs=1, kv_cache_tokens=4096 + 16, max_model_len=4096)

    def constant(shared_by, lengths):
        free = h100.model_copy(update={"step_cost": h100.step_cost.model_copy(update={"host_base": 1.0})})
        freer = h100.model_copy(update={"step_cost": h100.step_cost.model_copy(update={"host_base": 0.0})})
        return work_seconds(free, server, lengths, 0, shared_by) - work_seconds(freer, server, lengths, 0, shared_by)

    assert constant(by_seats, Lengths.fixed(16, 32)) == pytest.approx(32)
    held = 16 + 16 * 32 + 15 * 48
    at_least = sum(range(16, 48)) + 7.5 * (32 - 15)
    assert at_least < held
    assert constant(by_cache, Lengths.fixed(16, 32)) == pytest.approx(at_least / 4096)


def test_work_is_measured_by_the_resource_that_runs_out_first(h100, fleet):
    for lengths, by in (((250, 231), "seats"), ((4000, 20), "tokens"), ((3000, 600), "cache")):
        workload = fleet(("a", 8, 1.0), ("b", 16, 2.0), lengths=Lengths.fixed(*lengths))
        shared_by, work = RequestKinds.of(workload).measure(h100, Server(), np.array([1.0, 2.0]))
        assert shared_by.by == by
        own = [work_seconds(h100, Server(), workload.lengths, rank, shared_by) for rank in (8, 16)]
        assert work.tolist() == pytest.approx(own)


def test_a_rank_is_served_by_the_next_one_up(h100):
    assert [server_rank(rank, h100) for rank in (0, 1, 2, 8, 9, 64, 300, 512)] == [8, 8, 8, 8, 16, 64, 320, 512]


def test_in_a_long_window_the_bound_is_the_work_rounded_up(h100, fleet):
    chat = LENGTHS["chat"]
    idle = fleet(("idle", 8, 0.0), lengths=chat)
    [work] = work_of_each(h100, Server(), fleet(("a", 8, 1.0), lengths=chat))
    for gpus in (0.5, 0.99, 1.01, 2.5, 30.01):
        workload = fleet(("a", 8, gpus / work), lengths=chat, duration=1e6)
        assert lower_bound([h100], workload, Server()) == int(gpus) + 1
    assert lower_bound([h100], idle, Server()) == 1
    assert lower_bound([h100], idle.model_copy(update={"adapters": ()}), Server()) == 0


@pytest.mark.parametrize("lengths", [*LENGTHS.values(), None], ids=[*LENGTHS, "mixed"])
def test_the_bound_is_one_for_what_one_gpu_serves_and_two_for_half_as_much_again(h100, fleet, lengths):
    """The traffic of three adapters is raised until one is overloaded; if mixed, each has its own lengths."""
    own = [lengths] * 3 if lengths else [LENGTHS[name] for name in ("sharegpt", "much cache", "one token")]
    at_first = fleet(*[(f"a{i}", (0, 8, 16)[i], 1.0) for i in range(3)], duration=1200.0)
    adapters = [a.model_copy(update={"lengths": own[i]}) for i, a in enumerate(at_first.adapters)]

    def raised(factor):
        return at_first.model_copy(update={"adapters": tuple(adapter.scaled(factor) for adapter in adapters)})

    low, high = 0.05, 256.0
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        served = Capacity(h100, raised(middle), Server()).ask(dict.fromkeys(("a0", "a1", "a2"), 1.0), 2).ok
        low, high = (middle, high) if served else (low, middle)
    assert lower_bound([h100], raised(low), Server()) == 1
    assert lower_bound([h100], raised(low * 1.5), Server()) == 2


def test_in_a_short_window_it_leaves_out_the_queue_and_what_is_still_running(h100, fleet):
    """Answers of one token leave nothing running at the end. The queue may hold 10 s of traffic and five requests."""
    one = LENGTHS["one token"]
    work = work_seconds(h100, Server(), one, 8)
    for gpus in (1.9, 2.1):
        served = gpus * (150.0 + 5 * work) / (150.0 - 10.0) / work
        overhang = 1.05
        assert lower_bound([h100], fleet(("a", 8, overhang * served), lengths=one), Server()) == math.ceil(gpus)


def test_an_adapter_of_few_requests_counts_by_the_tokens_that_it_must_be_served(h100, fleet):
    """Its queue is not judged by itself, but nine tenths of its old tokens must be served, as those of any adapter."""
    long = Lengths.fixed(3000, 500)
    rare = [Adapter(f"a{i}", 8, 0.01, long) for i in range(3000)]
    often = [Adapter(f"a{i}", 8, 0.3, long) for i in range(100)]
    cheap = Adapter("cheap", 8, 0.01, Lengths.fixed(1, 1))
    few, many = (
        lower_bound([h100], fleet().model_copy(update={"adapters": (*a, cheap)}), Server()) for a in (rare, often)
    )
    assert 1 < few <= many
    alike = fleet().model_copy(update={"adapters": tuple(rare)})
    assert lower_bound([h100], alike, Server()) >= many


def test_requests_that_all_come_early_are_counted_as_well(h100, fleet):
    """All requests arrive early in the window, but nine tenths of them must be served by its end.

    They are as many as arrive at 50 per second until a minute before the end; the bound for that steady traffic is not
    lower.
    """
    early = tuple(np.linspace(0, 30.0, 12_000))
    replay = fleet().model_copy(update={"adapters": (Adapter("a", 8, 1.0, arrivals=early),)})
    steady = fleet(("a", 8, 12_000 / 240))
    assert 1 < lower_bound([h100], replay, Server()) <= lower_bound([h100], steady, Server())


def test_headroom_counts_as_traffic(h100, fleet):
    asked, more = fleet(("a", 8, 90.0), ("b", 16, 30.0)), fleet(("a", 8, 135.0), ("b", 16, 45.0))
    assert lower_bound([h100], asked, Server(), factor=1.5) == lower_bound([h100], more, Server())
    assert lower_bound([h100], asked, Server()) < lower_bound([h100], more, Server())


def test_the_bound_takes_the_best_profile_for_each_adapter(h100, fleet):
    slow = h100.model_copy(
        update={"step_cost": h100.step_cost.model_copy(update={"host_base": 1.0, "per_token": 1.0}), "name": "slow"}
    )
    workload = fleet(("a", 8, 60.0))
    best = lower_bound([h100], workload, Server())
    assert lower_bound([slow, h100], workload, Server()) == best < lower_bound([slow], workload, Server())


@pytest.mark.parametrize(
    "rates",
    [(1.0, 2.0, 3.0), (15.0, 10.0, 12.0, 9.0), (20.0, 18.0, 3.0, 3.0, 3.0), (12.0, 12.0, 12.0, 12.0, 12.0)],
)
def test_no_placement_of_a_tiny_fleet_beats_the_bound_and_pack_finds_the_best(h100, fleet, capacity_of, rates):
    workload = fleet(*[(f"a{i}", (8, 16, 64)[i % 3], rate) for i, rate in enumerate(rates)])
    best = optimum(capacity_of(workload))
    assert lower_bound([h100], workload, Server()) <= best
    plan = make_plan(h100, workload)
    assert plan.verified
    assert plan.lower_bound <= best == plan.gpus


def test_no_placement_of_random_fleets_beats_the_bound_and_pack_nearly_always_finds_the_best(h100, fleet, capacity_of):
    rows = []
    for seed in range(RANDOM_FLEETS):
        workload = random_fleet(seed, fleet)
        capacity, bound = capacity_of(workload), lower_bound([h100], workload, Server())
        packed = len(pack(Problem(capacity, bound, silent, time.perf_counter() + 60.0)))
        rows.append((bound, optimum(capacity), packed))
    print(rows)
    assert {2, 3, 4} <= {best for _, best, _ in rows}
    assert all(bound <= best <= packed for bound, best, packed in rows)
    assert sum(packed == best for _, best, packed in rows) >= 0.9 * RANDOM_FLEETS
    assert sum(bound == best for bound, best, _ in rows) >= 0.5 * RANDOM_FLEETS


def test_no_mix_of_profiles_is_cheaper_than_the_cost_bound(h100, fleet):
    """The small GPU has 0.6 of the memory, takes 1.5 times as long for everything, and costs 0.6 of the price."""
    slow = {name: value * 1.5 for name, value in h100.step_cost.model_dump().items() if not name.endswith("tokens")}
    small = h100.model_copy(
        update={
            "name": "small",
            "price_per_hour": 0.6,
            "step_cost": h100.step_cost.model_copy(update=slow),
            "memory": h100.memory.model_copy(update={"gpu_bytes": 0.6 * h100.memory.gpu_bytes}),
        }
    )
    large, template = h100.model_copy(update={"price_per_hour": 1.0}), Server(max_model_len=8192)
    for seed in range(examples(4, 2)):
        workload = random_fleet(seed, fleet, duration=150.0)
        capacities = [Capacity(profile, workload, template) for profile in (small, large)]

        def price(group, capacities=capacities):
            shares = dict.fromkeys(group, 1.0)
            return next((c.profile.price_per_hour for c in capacities if choose_slots(c, shares)), None)

        best = cheapest(capacities[0].names, price)
        bound = cost_bound([large, small], workload, template)
        print(bound, best)
        assert 0.5 * best < bound <= best + 1e-9
        assert bound <= cost_bound([large], workload, template)


def test_the_cost_bound_is_that_of_whole_gpus(h100, fleet):
    def priced(price, name):
        return h100.model_copy(update={"price_per_hour": price, "name": name})

    workload = fleet(("a", 8, 90.0))
    gpus = lower_bound([h100], workload, Server())
    assert gpus > 1
    assert cost_bound([priced(3.0, "a")], workload, Server()) == 3.0 * gpus
    assert cost_bound([priced(3.0, "a"), priced(7.0, "b")], workload, Server()) == 3.0 * gpus
    assert cost_bound([priced(3.0, "a")], fleet(("idle", 8, 0.0)), Server()) == 3.0
    with pytest.raises(SpecError, match=f"profile {h100.name} has none"):
        cost_bound([priced(3.0, "a"), priced(None, h100.name)], workload, Server())


def test_requests_that_are_rejected_cost_nothing(h100):
    """One request in ten is too long for the server, so the work is nine tenths of that of the others."""
    server = Server(max_model_len=2048)
    mixed, short = Lengths.empirical([(100, 50)] * 9 + [(3000, 3000)]), Lengths.fixed(100, 50)
    assert work_seconds(h100, server, mixed, 8) == pytest.approx(0.9 * work_seconds(h100, server, short, 8))


def test_answers_that_end_early_lower_the_bound(h100):
    never, early = (
        h100.model_copy(update={"model": h100.model.model_copy(update={"early_stop_share": share})})
        for share in (0, 0.5)
    )
    limits, answers = (Lengths.empirical([(100, 51)], are_limits=are_limits) for are_limits in (True, False))
    whole = work_seconds(never, Server(), limits, 8)
    assert work_seconds(early, Server(), answers, 8) == whole
    assert 0.5 * whole < work_seconds(early, Server(), limits, 8) < whole


def test_planning_that_is_hidden_behind_the_step_before_is_not_counted(h100):
    waiting, hidden = (
        work_seconds(h100, Server(async_scheduling=on), Lengths.fixed(100, 50), 8) for on in (False, True)
    )
    assert hidden < waiting


def test_what_a_prompt_shares_is_neither_computed_nor_held(h100):
    """Prompts of 100 tokens, of which 60 are cached, and answers of 10 tokens: 49 tokens go into steps."""
    lengths, openings = Lengths.fixed(100, 10), Openings((Template(tokens=60),))
    whole, shared = (mean_request(h100, Server(), lengths, each) for each in (Openings(), openings))
    assert (whole.tokens, shared.tokens) == (109, 49)
    assert (whole.pairs, shared.pairs) == (100 * 101 / 2, 100 * 101 / 2 - 60 * 61 / 2)
    assert whole.held - shared.held == 60 * 10
    assert (whole.steps, whole.read) == (shared.steps, shared.read)
    assert mean_request(h100, Server(enable_prefix_caching=False), lengths, openings) == whole
    assert mean_request(h100, Server(), lengths, Openings(prefixes=((-1, 0), (0, 60)))).tokens == 79


def test_a_prompt_that_is_cached_as_a_whole_still_takes_its_steps(h100):
    request = mean_request(h100, Server(), Lengths.fixed(100, 10), Openings(prefixes=((0, 100),)))
    assert request.tokens == request.steps == 10
    assert request.pairs >= 0


@pytest.mark.parametrize("tokens", [200, 900])
def test_plans_for_prompts_that_begin_alike_do_not_beat_the_bound(h100, tokens):
    lengths = Lengths.lognormal(input_mean=1000, input_cv=0.3, output_mean=60, output_cv=0.5)
    workload = Workload(
        [Adapter(f"a{i}", 8, 3.0) for i in range(8)],
        lengths=lengths,
        templates=(Template(tokens=tokens),),
        duration=300.0,
    )
    plan = make_plan(h100, workload, server=Server())
    alone = workload.model_copy(update={"templates": ()})
    assert 1 <= plan.lower_bound <= plan.gpus
    assert lower_bound([h100], workload, Server()) <= lower_bound([h100], alone, Server())


@pytest.mark.parametrize("seed", range(4))
def test_no_placement_of_random_fleets_with_system_prompts_beats_the_bound(h100, fleet, capacity_of, seed):
    lengths = Lengths.lognormal(input_mean=800, input_cv=0.4, output_mean=120, output_cv=0.8)
    workload = random_fleet(seed, fleet, lengths=lengths).model_copy(update={"templates": (Template(tokens=600),)})
    assert lower_bound([h100], workload, Server()) <= optimum(capacity_of(workload))


@pytest.mark.parametrize(
    ("later", "prefixes"), [((4000, 1), ((-1, 0),) * 3400 + ((0, 4000),) * 20_000), ((100, 1), None)]
)
def test_recorded_requests_that_become_cheaper_do_not_raise_the_bound(h100, later, prefixes):
    """The second half has most requests; as dear as those of the first, they would be too much for the server."""
    times = (*np.linspace(0.0, 295.0, 3400), *np.linspace(301.0, 599.9, 20_000))
    lengths = Lengths.empirical([(4000, 1)] * 3400 + [later] * 20_000)
    adapter = Adapter("a", 0, 39.0, arrivals=times, lengths=lengths, prefixes=prefixes)
    workload = Workload([adapter], duration=600.0)
    assert simulate(h100, Server(max_loras=0), workload).verdict == "ok"
    assert lower_bound([h100], workload, Server(max_loras=0)) == 1
