"""Explanations, as shown on a terminal."""

import pytest
from tests.report.brink import BRINK
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
from adaptwin.report.plan.explanation import advice_sentence, explanation_table, saving_lines
from adaptwin.twin.server import Server


@pytest.fixture
def explanation(make_plan):
    """Return a function from a number of GPUs to an explanation of a plan with this many."""

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
    assert "What limits the GPUs: " in text
    named = rendered(explanation_table(made, ["gpu-60", "gpu-7"]))
    assert "gpu-60 " in named
    assert "gpu-8 " not in named


def test_an_explanation_shows_spare_capacity_and_restarts(explanation) -> None:
    text = " ".join(rendered(explanation_table(explanation(4))).split())
    assert "gpu-0 30 1 % over 500 32 0.25" in text
    assert "max_lora_rank 64, max_loras 8" in text
    assert "gpu-2 no start 120 ms – 600 ms –" in text
    assert "- 10 % less traffic: about 3 GPUs" in text
    assert (
        "gpu-1, with 10.0 requests/s. It could be given up if about 25 % of its traffic (2.50 requests/s) were gone."
        in text
    )


def test_advice_names_the_gpu_and_what_to_do_with_it() -> None:
    assert advice_sentence(Advice(action="load", server="gpu-2")) == "Load it on gpu-2: latencies grow least there."
    restart = advice_sentence(Advice(action="restart", server="gpu-2", max_lora_rank=64, max_loras=8))
    assert restart == "It needs a restart of gpu-2 with --max-lora-rank 64 --max-loras 8."
    assert "new GPU" in advice_sentence(Advice(action="new GPU", max_lora_rank=8))
    assert "not even alone" in advice_sentence(Advice(action="nowhere"))


def test_changes_that_save_nothing_or_are_unknown_are_stated() -> None:
    alone = Savings(as_it_is=1, tried=("a",), unknown=(), saving=(), emptiest=None)
    assert saving_lines(alone, 1) == ["The plan has only one GPU."]
    nothing = Savings(as_it_is=3, tried=("a", "b"), unknown=("c",), saving=(), emptiest=None)
    assert saving_lines(nothing, 3) == [
        "2 changes tried: by estimate, none saves a GPU.",
        "1 change without an estimate: make a new plan to find out.",
    ]
    better = Savings(as_it_is=2, tried=(), unknown=(), saving=(), emptiest=None)
    assert saving_lines(better, 3) == [
        "- a new plan, with nothing changed: about 2 GPUs",
        "These are estimates: make a new plan to confirm them.",
    ]
    stuck = Emptiest(server="gpu-1", request_rate=2.0, too_much=1.0)
    assert (
        "It can be given up only if all its traffic is gone."
        in saving_lines(nothing.model_copy(update={"emptiest": stuck}), 3)[-1]
    )
    unknown = stuck.model_copy(update={"too_much": None})
    last = saving_lines(nothing.model_copy(update={"emptiest": unknown}), 3)[-1]
    assert last == "The emptiest GPU is gpu-1, with 2.00 requests/s."
