"""Settings that a plan chose: what is said of them in tables and pages."""

import pytest
from tests.report.reading import Page, assert_fits, rendered, without_plotly

from adaptwin.plan.decisions import Alternative, Decision, DefaultPerformance
from adaptwin.report.plan.chosen_settings import chosen_sentences, differing_budgets
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.table import plan_table

STARVED, OK = DefaultPerformance(verdict="starved"), DefaultPerformance(verdict="ok", itl_p99=0.108, ttft_p99=0.2)


def seqs(without):
    return Decision(setting="max_num_seqs", chosen=1024, default=256, without=without)


def tokens(chosen, without):
    return Decision(setting="max_num_batched_tokens", chosen=chosen, default=2048, without=without)


def with_decisions(plan, *decisions, alternatives=()):
    """Return the plan with decisions for its first servers, and the settings decided on."""
    servers = list(plan.servers)
    for index, own in enumerate(decisions):
        settings = {each.setting: each.chosen for each in own}
        server = servers[index].server.model_copy(update=settings)
        servers[index] = servers[index].model_copy(update={"server": server, "decisions": tuple(own)})
    return plan.model_copy(update={"servers": tuple(servers), "alternatives": alternatives})


@pytest.fixture(scope="module")
def merged(make_plan):
    """Return a plan whose first two servers serve nothing but the hottest adapter, with its weights merged."""
    plan = make_plan(gpus=4, adapters=40)
    hot, *others = [adapter.name for adapter in plan.workload.adapters]
    decision = Decision(setting="merged", chosen=1, default=0, without=STARVED)
    servers = []
    for index, placed in enumerate(plan.servers):
        own = {"server": placed.server.with_merged_weights(), "adapters": {hot: 0.5}, "decisions": (decision,)}
        rest = {"adapters": dict.fromkeys(others[index % 2 :: 2], 1.0)}
        servers.append(placed.model_copy(update=own if index < 2 else rest))
    alternative = Alternative(without="merged", gpus=5, found_by="search")
    return plan.model_copy(update={"servers": tuple(servers), "alternatives": (alternative,)})


def test_without_choices_nothing_is_said(plan):
    assert chosen_sentences(plan) == []
    assert "chosen" not in rendered(plan_table(plan))
    assert "Settings chosen" not in without_plotly(plan_report(plan))


def test_servers_that_would_fail_without_a_setting_are_counted(plan):
    alternative = Alternative(without="max_num_seqs", gpus=6, found_by="prediction")
    decided = [(seqs(STARVED),), (seqs(STARVED),), (seqs(None),), (seqs(OK),)]
    (said,) = chosen_sentences(with_decisions(plan, *decided, alternatives=(alternative,)))
    assert said == (
        "max_num_seqs 1,024 instead of 256 on all 4 GPUs: without it, 2 would be starved and 1 would not start; "
        "about 6 GPUs would be needed (by prediction)."
    )


def test_where_all_would_serve_without_a_setting_the_latencies_are_compared(plan):
    first, second = (server.forecast for server in plan.servers[:2])
    latencies = (first.itl_p99, second.itl_p99, first.ttft_p99, second.ttft_p99)
    found = with_decisions(plan, (tokens(512, OK),), (tokens(1024, OK),))
    assert latencies == pytest.approx((0.061, 0.067, 0.31, 1.007), rel=1e-3)
    (said,) = chosen_sentences(found)
    assert said == (
        "max_num_batched_tokens 512 to 1,024 instead of 2,048 on gpu-0, gpu-1: ITL p99 up to 67 ms instead of 108 ms, "
        "at the cost of TTFT p99 up to 1.0 s instead of 200 ms."
    )


def test_a_choice_that_saves_no_gpu_says_so(plan):
    alternative = Alternative(without="max_num_seqs", gpus=4, found_by="prediction")
    (said,) = chosen_sentences(with_decisions(plan, (seqs(STARVED),), alternatives=(alternative,)))
    assert said == (
        "max_num_seqs 1,024 instead of 256 on gpu-0: without it, the GPU would be starved; no GPU is saved (by "
        "prediction)."
    )


def test_merged_weights_have_their_gain_and_the_cost_of_undoing_them(merged):
    (said,) = chosen_sentences(merged)
    assert said == (
        "Weights of tenant-000 merged into those of the model on gpu-0, gpu-1: with LoRA instead, both would be "
        "starved; 5 GPUs would be needed (by a search, not verified). To undo it, these 2 servers restart with "
        "--enable-lora, and 1 more GPU is needed."
    )


def test_the_table_has_the_settings_in_which_servers_differ_and_fits(plan, merged):
    found = with_decisions(plan, (seqs(STARVED), tokens(1024, OK)), (seqs(STARVED),))
    assert differing_budgets(found) == ["max_num_seqs", "max_num_batched_tokens"]
    text = rendered(plan_table(found))
    assert_fits(text)
    rows = [line.split() for line in text.splitlines() if line.startswith("gpu-")]
    assert [row[-2:] for row in rows[:3]] == [["1,024", "1,024"], ["1,024", "2,048"], ["256", "2,048"]]
    assert differing_budgets(merged) == []
    text = rendered(plan_table(merged))
    assert_fits(text)
    assert next(line.split()[-3:] for line in text.splitlines() if line.startswith("gpu-0")) == ["merged", "–", "–"]


def test_the_page_has_a_section_of_chosen_settings(merged):
    page = Page(plan_report(merged))
    assert "Settings chosen" in page.words()
    assert chosen_sentences(merged)[0] in page.words()
    assert "It serves tenant-000 only, with its weights merged into those of the model" in page.words()
