"""Laws that hold at every step of every run, checked on the reference twin (the kernel equals it)."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.effort import examples
from tests.twin.scenarios import MS, plain_profile, same_every_time, scenarios, watch

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, simulate
from adaptwin.twin.kernel.play import play
from adaptwin.twin.reference.engine import ReferenceTwin


@same_every_time
@given(scenarios(st.booleans()))
def test_every_request_is_accounted_for_at_every_step(scenario):
    outcome, steps = watch(scenario)
    for step in steps:
        assert step.arrived == step.finished + len(step.running) + len(step.waiting) + step.rejected
    finished, rejected = int((outcome.finish >= 0).sum()), int(outcome.rejected.sum())
    waiting = outcome.arrived - finished - int(outcome.running.sum()) - rejected
    assert waiting >= 0
    if scenario.window.drain:
        assert outcome.arrived == finished + rejected == len(scenario.requests.arrival)


@same_every_time
@given(scenarios(st.booleans()))
def test_blocks_held_and_free_are_all_blocks_at_every_step(scenario):
    _, steps = watch(scenario)
    assert all(step.blocks_held + step.blocks_free == scenario.limits.kv_blocks for step in steps)
    assert all(step.blocks_free >= 0 for step in steps)


@same_every_time
@given(scenarios(st.booleans()))
def test_a_drained_server_holds_no_blocks_and_no_requests(scenario):
    twin = ReferenceTwin(scenario._replace(window=scenario.window._replace(drain=True)))
    twin.run()
    assert twin.scheduler.kv_cache.num_free_blocks == scenario.limits.kv_blocks
    assert not twin.scheduler.running
    assert not twin.scheduler.waiting


@same_every_time
@given(scenarios())
def test_the_batch_holds_at_most_max_loras_adapters_and_all_of_them_are_on_the_gpu(scenario):
    _, steps = watch(scenario)
    for step in steps:
        assert len(step.adapters) <= scenario.limits.max_loras
        assert step.adapters <= step.on_gpu <= step.on_host
        assert len(step.on_gpu) <= scenario.limits.max_loras
        assert len(step.on_host) <= scenario.limits.max_cpu_loras


@same_every_time
@given(scenarios())
def test_every_running_request_is_scheduled_and_holds_a_slot_for_its_adapter(scenario):
    _, steps = watch(scenario)
    adapter, needs_slot = scenario.requests.adapter, scenario.adapters.needs_slot
    for step in steps:
        assert tuple(step.tokens) == step.running
        assert step.adapters == {int(adapter[r]) for r in step.running if needs_slot[adapter[r]]}


@same_every_time
@given(scenarios())
def test_a_step_computes_at_least_one_token_and_at_most_its_budget(scenario):
    _, steps = watch(scenario)
    for step in steps:
        assert all(tokens >= 1 for tokens in step.tokens.values())
        assert sum(step.tokens.values()) <= scenario.limits.token_budget
        assert len(step.tokens) <= scenario.limits.max_num_seqs


@same_every_time
@given(scenarios())
def test_no_request_is_admitted_in_a_step_that_preempts(scenario):
    _, steps = watch(scenario)
    for before, step in pairwise(steps):
        if step.preempted:
            assert set(step.running) <= set(before.running)


@same_every_time
@given(scenarios(st.booleans()))
def test_time_never_goes_back(scenario):
    outcome, steps = watch(scenario)
    assert all(step.start <= step.end for step in steps)
    assert all(before.end <= step.start for before, step in pairwise(steps))
    served = outcome.first_token >= 0
    assert np.all(scenario.requests.arrival[served] <= outcome.first_token[served])
    done = outcome.finish >= 0
    assert np.all(outcome.first_token[done] <= outcome.finish[done])
    if not scenario.window.drain and np.all(scenario.requests.arrival < scenario.window.end):
        assert outcome.end <= scenario.window.end


@same_every_time
@given(scenarios(st.booleans()))
def test_a_finished_request_has_exactly_its_answer(scenario):
    outcome = play(scenario)
    done = outcome.finish >= 0
    assert np.array_equal(outcome.generated[done], scenario.requests.output[done])
    assert np.all(outcome.generated[~done] < scenario.requests.output[~done])
    assert np.array_equal(outcome.generated > 0, outcome.first_token >= 0)
    if scenario.window.warmup == 0:
        gaps = (scenario.requests.output[done] - 1).sum()
        # Tokens made during a scrape are one chunk, unless a step makes over `output_chunk`; with 0, each step does.
        merged = scenario.window.scrape_every > 0 and scenario.limits.output_chunk > 0
        merged = merged or scenario.step_cost.base < 1e-9  # tokens of steps that take no time merge, too
        assert outcome.gaps.sum() <= gaps if merged else outcome.gaps.sum() == gaps


@same_every_time
@given(scenarios(st.booleans()))
def test_equal_scenarios_give_equal_outcomes_and_stay_as_they_were(scenario):
    before = [np.copy(column) for column in (*scenario.requests, *scenario.adapters)]
    first, second = play(scenario), play(scenario)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    after = (*scenario.requests, *scenario.adapters)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_random_scenarios_do_meet_everything_the_laws_are_about():
    """A law holds trivially if no example tests it, so there must be many examples of each kind."""
    met: Counter[str] = Counter()

    @settings(same_every_time, max_examples=examples(450, 150))
    @given(scenarios())
    def count(scenario):
        outcome, steps = watch(scenario)
        met["preemption"] += outcome.preemptions > 0
        met["GPU load"] += outcome.gpu_loads > 0
        met["disk load"] += outcome.disk_loads > 0
        met["rejection"] += bool(outcome.rejected.any())
        met["unfinished request"] += bool((~outcome.rejected & (outcome.finish < 0)).any())
        met["partial prefill"] += any(step.cut_short for step in steps)
        met["skipped request"] += any(step.skipped for step in steps)
        met["client out of connections"] += outcome.arrived < len(scenario.requests.arrival)
        met["idle server"] += any(not step.tokens for step in steps)
        met["many steps"] += outcome.steps > 100

    count()
    assert min(met.values()) >= 8, met
    assert len(met) == 10


def fleet(rates, ranks, **fields):
    fields = {"lengths": Lengths.fixed(40, 20), "duration": 20.0, **fields}
    return Workload([Adapter(f"a{i}", r, rate) for i, (r, rate) in enumerate(zip(ranks, rates, strict=True))], **fields)


def all_but_the_silent(run):
    """Return all figures of the server and of adapters with requests, as text, so that NaN equals NaN."""
    heard = run.adapters.filter(run.adapters["name"] != "silent")
    return run.model_copy(update={"adapters": heard}).to_json()


@settings(same_every_time, max_examples=examples(40))
@given(
    rates=st.lists(st.floats(0.1, 4), min_size=1, max_size=6),
    rank=st.sampled_from([0, 8, 16]),
    place=st.integers(0, 6),
    max_loras=st.integers(1, 8),
)
def test_an_adapter_without_requests_changes_nothing(rates, rank, place, max_loras):
    """Adapters loaded last keep their slots at start-up: here it is loaded first, or every adapter has a slot."""
    assume(place == 0 or max_loras > len(rates))
    workload = fleet(rates, [8] * len(rates))
    adapters = list(workload.adapters)
    adapters.insert(place, Adapter("silent", rank, 0.0))
    server = Server(max_loras=max_loras, max_lora_rank=16, max_cpu_loras=max_loras + 1)
    joined = workload.model_copy(update={"adapters": tuple(adapters)})
    assert all_but_the_silent(simulate(plain_profile(), server, joined)) == all_but_the_silent(
        simulate(plain_profile(), server, workload)
    )


def test_equal_arguments_give_equal_runs_and_stay_as_they_were():
    profile, server, workload = plain_profile(), Server(max_loras=2), fleet([1, 2, 3], [8, 16, 0])
    before = [argument.model_dump_json() for argument in (profile, server, workload)]
    runs = [simulate(profile, server, workload, record=True, repeats=2).to_json() for _ in range(2)]
    assert runs[0] == runs[1]
    assert before == [argument.model_dump_json() for argument in (profile, server, workload)]


def test_another_seed_gives_another_run():
    workload = fleet([1, 2], [8, 8])
    runs = [simulate(plain_profile(), Server(max_loras=2), workload, seed=seed).to_json() for seed in (0, 1)]
    assert runs[0] != runs[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"])
def test_with_a_slot_for_every_adapter_more_memory_never_lowers_throughput_by_more_than_noise(name, seed):
    workload = fleet([1.0] * 30, [8] * 30, lengths=Lengths.named("sharegpt"), duration=300.0, seed=seed)
    server = Server(max_loras=30, max_lora_rank=8, max_model_len=2048)
    sizes = [2048 * factor for factor in (2, 4, 8, 16, 32, 64)]
    profile = load_profile(name)
    throughputs = [
        simulate(profile, server.model_copy(update={"kv_cache_tokens": size}), workload).throughput for size in sizes
    ]
    assert all(more >= 0.98 * less for less, more in pairwise(throughputs))
    assert throughputs[-1] > 1.5 * throughputs[0]


@pytest.mark.parametrize(("adapters", "max_loras", "rate"), [(16, 3, 12.0), (96, 2, 10.0), (16, 2, 16.0)])
def test_with_few_slots_more_memory_lowers_throughput_in_single_runs_but_not_on_average(adapters, max_loras, rate):
    """Rates follow Zipf's law. Twice the memory costs single runs up to a tenth of their throughput."""
    profile, weights = load_profile("h100-64gb-llama-3.1-8b-instruct"), 1 / np.arange(1, adapters + 1)
    rates = (rate * weights / weights.sum()).tolist()
    workload = fleet(rates, [8] * adapters, lengths=Lengths.named("sharegpt"), duration=300.0)
    limits = {"max_loras": max_loras, "max_lora_rank": 8, "max_cpu_loras": adapters, "max_model_len": 2048}
    less, more = (
        np.array([simulate(profile, server, workload, seed=seed).throughput for seed in range(24)])
        for server in (Server(**limits, kv_cache_tokens=tokens) for tokens in (16_384, 32_768))
    )
    assert min(more / less) < 0.95
    assert more.mean() > 0.98 * less.mean()


@same_every_time
@given(scenarios(st.booleans()))
def test_scraping_takes_no_time_of_the_engine(scenario):
    """All requests are there before the first scrape, so none of them is held up by one."""
    requests = scenario.requests._replace(arrival=np.zeros_like(scenario.requests.arrival))
    window = scenario.window._replace(drain=True)
    alone, scraped = (
        play(scenario._replace(requests=requests, window=window._replace(scrape_every=every))) for every in (0, MS)
    )
    for name in ("steps", "end", "busy_time", "running_time", "waiting_time", "kv_time", "preemptions", "load_time"):
        assert getattr(scraped, name) == getattr(alone, name), name
    assert np.all(scraped.first_token >= alone.first_token)
    assert np.all(scraped.finish >= alone.finish)
