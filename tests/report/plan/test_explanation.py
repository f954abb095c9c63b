"""Why GPUs are full, in words, and explanations on a terminal."""

import pytest
from tests.report.reading import assert_fits, rendered

from adaptwin.explanation.explanation import (
    Addition,
    Advice,
    Emptiest,
    Explanation,
    Kin,
    Latencies,
    Saving,
    Savings,
    ServerExplanation,
)
from adaptwin.plan.forecast import Brink, Missed
from adaptwin.report.plan.explanation import advice_sentence, explanation_table, saving_lines
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.table import plan_table
from adaptwin.report.plan.why import what_binds, why_full
from adaptwin.report.style.words import headroom_share
from adaptwin.twin.server import Server

BRINK = Brink(
    traffic=1.42,
    mean_running=230.0,
    mean_waiting=14.4,
    mean_adapters=46.2,
    kv_usage=0.93,
    busy=1.0,
    preemptions=12,
    ttft_p99=9.0,
    itl_mean=0.061,
    itl_p99=0.12,
)
LIMITS = {"loras": 64, "max_loras": 48, "max_num_seqs": 1024}


@pytest.fixture
def forecast(plan):
    """A function from a binding to a forecast that has it, with a brink."""

    def make(binding, **brink):
        update = {"binding": binding, "brink": BRINK.model_copy(update=brink)}
        return plan.servers[0].forecast.model_copy(update=update)

    return make


@pytest.fixture
def explanation(make_plan):
    """A function from a number of GPUs to an explanation of a plan that has them."""

    def make(gpus, *, name="gpu"):
        latencies = Latencies(ttft_p99=0.6, itl_mean=0.05, itl_p99=0.12, in_system=100.0)
        after = latencies.model_copy(update={"in_system": 101.0})
        servers = tuple(
            ServerExplanation(
                server=f"{name}-{index}",
                profile=placed.profile,
                adapters=len(placed.adapters),
                loras=len(placed.adapters),
                max_loras=placed.server.max_loras,
                max_lora_rank=32,
                max_num_seqs=256,
                forecast=placed.forecast.model_copy(update={"brink": BRINK, "headroom": 0.01 * (index + 1)}),
                kin=Kin(rank=32, rate=0.25, more=500 if index == 0 else 7),
                addition=Addition(
                    verdict="ok",
                    restart=Server(max_loras=8, max_lora_rank=64) if index == 1 else None,
                    before=latencies,
                    after=None if index == 2 else after,
                ),
            )
            for index, placed in enumerate(make_plan(gpus=gpus, adapters=30 * gpus).servers)
        )
        return Explanation(
            gpus=gpus,
            lower_bound=max(1, gpus - 1),
            newcomer={"name": "newcomer", "rank": 16, "rate": 0.5},
            servers=servers,
            advice=Advice(action="load", server=f"{name}-0"),
            savings=Savings(
                as_it_is=gpus,
                tried=("5 % less traffic", "10 % less traffic"),
                unknown=(),
                saving=(Saving(change="10 % less traffic", gpus=gpus - 1),),
                emptiest=Emptiest(server=f"{name}-1", request_rate=10.0, too_much=0.25),
            ),
        )

    return make


@pytest.mark.parametrize(
    ("binding", "facts"),
    [
        ("slots", "64 adapters share 48 slots, 46.2 of them in the batch on average; 14.4 requests wait."),
        ("memory", "the KV cache is 93 % full on average, 12 preemptions; 14.4 requests wait."),
        ("compute", "230 requests run at once (max_num_seqs 1,024), a token takes 61 ms, busy 100 % of the time"),
        ("slo", "TTFT p99 is 9.0 s and ITL p99 120 ms, more than was promised"),
    ],
)
def test_each_binding_is_told_with_the_numbers_that_show_it(forecast, binding, facts) -> None:
    why = why_full(forecast(binding), **LIMITS)
    assert why.startswith("With 42 % more traffic ")
    assert facts in why
    assert what_binds(forecast(binding), 1024) == binding


def test_a_batch_at_its_limit_is_told_from_a_gpu_that_is_too_slow(forecast) -> None:
    limits = {**LIMITS, "max_num_seqs": 256}
    assert what_binds(forecast("compute"), 256) == "max_num_seqs"
    assert "the batch is at its limit, max_num_seqs: 230 of 256 running" in why_full(forecast("compute"), **limits)
    assert what_binds(forecast("compute", mean_running=100.0), 256) == "compute"
    assert what_binds(forecast("memory"), 256) == "memory"


def test_the_objective_that_is_missed_is_named(forecast) -> None:
    missed = Missed(adapter="tenant-1", objective="itl", latency=0.061, allowed=0.05)
    assert "the mean ITL of tenant-1 is 61 ms, 50 ms is allowed" in why_full(forecast("slo", missed=missed), **LIMITS)


def test_a_plan_of_before_says_what_it_knows(plan) -> None:
    why = why_full(plan.servers[0].forecast, **LIMITS)
    assert why.startswith("Where it is full was not measured; now 11.4 requests run at once")


def with_headroom(plan, headroom, brink=None):
    update = {"headroom": headroom, "brink": brink}
    servers = (one.model_copy(update={"forecast": one.forecast.model_copy(update=update)}) for one in plan.servers)
    return plan.model_copy(update={"servers": tuple(servers)})


def test_headroom_beyond_what_is_searched_for_is_written_as_such(plan) -> None:
    assert [headroom_share(share) for share in (0.14, 2.99, 3.0, float("inf"))] == ["14 %", "299 %", "over 300 %", "–"]
    idle = with_headroom(plan, 3.0)
    text = rendered(plan_table(idle))
    assert_fits(text)
    assert text.count(">300 %") == plan.gpus
    html = plan_report(idle)
    assert "Its headroom is over 300 %: four times its traffic would still be served." in html
    assert "gives way first." not in html
    assert "far from full" in why_full(idle.servers[0].forecast, **LIMITS)


def test_the_page_says_why_each_gpu_is_full(plan) -> None:
    html = plan_report(with_headroom(plan, 0.4, BRINK))
    assert "With 42 % more traffic the KV cache is 93 % full on average, 12 preemptions" in html
    assert "The batch gives way first." in html  # 230 requests run, vLLM's default for 64 GB is 256
    assert "the batch is at its limit, max_num_seqs: 230 of 256 running" in html


@pytest.mark.parametrize(
    ("gpus", "name"), [(1, "gpu"), (4, "gpu"), (4, "[red]a-very-long-name-of-a-gpu" * 3), (120, "gpu")]
)
def test_an_explanation_fits_80_columns_and_stays_short(explanation, gpus, name) -> None:
    text = rendered(explanation_table(explanation(gpus, name=name)))
    assert_fits(text)
    assert len(text.splitlines()) < 120


def test_of_many_gpus_the_fullest_are_shown_and_others_by_name(explanation) -> None:
    made = explanation(120)
    text = rendered(explanation_table(made))
    assert "gpu-9 " in text  # the tenth
    assert "gpu-60 " not in text
    assert "What gives way first: " in text
    named = rendered(explanation_table(made, ["gpu-60", "gpu-7"]))
    assert "gpu-60 " in named
    assert "gpu-8 " not in named


def test_an_explanation_shows_room_and_restarts(explanation) -> None:
    text = " ".join(rendered(explanation_table(explanation(4))).split())
    assert "gpu-0 30 1 % over 500 32 0.25" in text
    assert "max_lora_rank 64, max_loras 8" in text
    assert "gpu-2 no start 120 ms – 600 ms –" in text
    assert "- 10 % less traffic: about 3 GPUs" in text
    assert (
        "gpu-1, with 10.0 requests/s: without about 25 % of its traffic (2.50 requests/s) it could be given up" in text
    )


def test_advice_names_the_gpu_and_what_to_do_with_it() -> None:
    assert advice_sentence(Advice(action="load", server="gpu-2")) == "It does least harm on gpu-2."
    restart = advice_sentence(Advice(action="restart", server="gpu-2", max_lora_rank=64, max_loras=8))
    assert restart == "It needs a restart of gpu-2 with --max-lora-rank 64 --max-loras 8."
    assert "new GPU" in advice_sentence(Advice(action="new GPU", max_lora_rank=8))
    assert "not even alone" in advice_sentence(Advice(action="nowhere"))


def test_what_saves_nothing_or_is_not_known_is_said() -> None:
    alone = Savings(as_it_is=1, tried=("a",), unknown=(), saving=(), emptiest=None)
    assert saving_lines(alone, 1) == ["There is only one."]
    nothing = Savings(as_it_is=3, tried=("a", "b"), unknown=("c",), saving=(), emptiest=None)
    assert saving_lines(nothing, 3) == [
        "None of 2 changes that were tried, by estimate.",
        "1 change not tried: the predictors do not know such traffic.",
    ]
    better = Savings(as_it_is=2, tried=(), unknown=(), saving=(), emptiest=None)
    assert saving_lines(better, 3) == [
        "- a new plan, with nothing changed: about 2 GPUs",
        "These are estimates: make a plan to be sure.",
    ]
    stuck = Emptiest(server="gpu-1", request_rate=2.0, too_much=1.0)
    assert (
        "only be given up if all its traffic goes"
        in saving_lines(nothing.model_copy(update={"emptiest": stuck}), 3)[-1]
    )
    unknown = stuck.model_copy(update={"too_much": None})
    last = saving_lines(nothing.model_copy(update={"emptiest": unknown}), 3)[-1]
    assert last == "The emptiest GPU is gpu-1, with 2.00 requests/s."
