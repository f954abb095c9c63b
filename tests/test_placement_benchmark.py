"""The page about placement: its sentences say what its results say, worked out by hand."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from adaptwin import Adapter, Server, Workload

BENCHMARKS = str(Path(__file__).resolve().parents[1] / "benchmarks")


@pytest.fixture(scope="module")
def page():
    """Return the modules that make the page."""
    sys.path.insert(0, BENCHMARKS)
    try:
        import placement_confidence
        import placement_figures
        import placement_hot
        import placement_judge
        import placement_least_loaded
        import placement_scaling
        import placement_settings
        import placement_tables
        import populations
    finally:
        sys.path.remove(BENCHMARKS)
    return SimpleNamespace(
        confidence=placement_confidence,
        figures=placement_figures,
        hot=placement_hot,
        judge=placement_judge,
        near=placement_least_loaded,
        scaling=placement_scaling,
        settings=placement_settings,
        tables=placement_tables,
        populations=populations,
    )


@pytest.fixture
def result(page):
    """Return a function from the fields of a result to the result of a plan that holds."""

    def make(**fields):
        usual = {
            "population": "p",
            "kind": "test",
            "adapters": 10,
            "rate": 5.0,
            "settings": "chosen",
            "strategy": "pack",
            "bound": 2,
            "gpus": 3,
            "overloaded": 0,
            "holds": True,
            "itl_mean": 0.03,
            "itl_p99": 0.1,
            "ttft_p99": 0.5,
            "running": 100.0,
            "seconds": 1.0,
        }
        given = {**usual, **fields}
        return page.judge.Result(**{"alone": given["gpus"], **given})

    return make


def test_given_settings_are_those_that_the_planner_does_not_choose(page, h100):
    given = {name: page.settings.settings_named(name, h100).given for name in ("chosen", "default", "paper", "seqs")}
    assert given["chosen"] == Server()
    assert given["default"] == Server(max_num_seqs=256, max_num_batched_tokens=2048)
    assert given["paper"] == Server(max_num_seqs=2048)
    assert given["seqs"] == Server(max_num_batched_tokens=2048)
    assert all(page.settings.settings_named(name, h100).name == name for name in page.settings.ABLATION)


def test_totals_are_added_up_by_settings(page, result):
    results = [
        result(population=population, settings=settings, strategy=strategy, gpus=gpus)
        for population, of in (("p", (3, 4, 3)), ("q", (6, 8, 7)))
        for settings, gpus in zip(("chosen", "default", "paper"), of, strict=True)
        for strategy in ("pack", "dlora")
    ]
    text = page.tables.totals(results, ["pack", "dlora"])
    assert "| `pack` | 9 | 12 | 10 |" in text
    assert "| lower bounds | 4 | 4 | 4 |" in text
    assert "`pack` needs 9 GPUs where the planner chooses, and 12 with vLLM's defaults: 25 % fewer." in text


def test_strategies_that_need_more_gpus_with_chosen_settings_are_named(page, result):
    results = [result(), result(strategy="dlora", gpus=5)]
    text = page.tables.totals([*results, *_default(results)], ["pack", "dlora"])
    assert "more GPUs, but none does here." in " ".join(text.split())
    fewer = [*results, result(settings="default"), result(settings="default", strategy="dlora", gpus=4)]
    text = page.tables.totals(fewer, ["pack", "dlora"])
    assert "than with vLLM's defaults: `dlora` on 1 population." in " ".join(text.split())


def test_populations_without_a_plan_are_counted(page, result):
    results = [result(), result(population="q", gpus=0)]
    assert "| `pack` | 3 (1 population without a plan) |" in page.tables.totals(
        [*results, *_default(results)], ["pack"]
    )


def _default(results):
    return [each._replace(settings=name) for each in results for name in ("default", "paper")]


def test_strategies_are_compared_with_pack(page, result):
    results = [
        result(),
        result(strategy="dlora", gpus=4, alone=3, overloaded=5),
        result(population="q"),
        result(population="q", strategy="dlora", holds=False),
    ]
    text = page.tables.gpus(results, ["pack", "dlora"], "chosen")
    assert "- `dlora`: `pack` needs fewer GPUs on 1 population, more on 0, and 14 % fewer in total;" in text
    assert "| p | 10 | 5.0 | 2 | - | 3 | 4 ← 3!5 |" in text
    assert "| q | 10 | 5.0 | 2 | - | 3 | **3** |" in text


@pytest.fixture
def decisions(page, result):
    """Return results by decision: GPUs, p99 of ITL in ms and of TTFT in s, and requests that run at once."""

    def make(**columns):
        default = dict.fromkeys(page.settings.ABLATION, (3, 100, 0.5, 50.0))
        return [
            result(settings=name, gpus=gpus, itl_p99=itl / 1e3, ttft_p99=ttft, running=running)
            for name, (gpus, itl, ttft, running) in {**default, **columns}.items()
        ]

    return make


def test_the_gain_of_each_decision_is_said(page, decisions):
    text = page.settings.ablation(
        decisions(
            default=(4, 100, 0.5, 90.0),
            tokens=(4, 60, 0.9, 90.0),
            seqs=(3, 120, 0.5, 400.0),
            chosen=(3, 60, 0.8, 400.0),
        )
    )
    assert "| p | 4, 100 / 0.5 | 3, 120 / 0.5 | 4, 60 / 0.9 | 3, 60 / 0.8 |" in text
    flat = " ".join(text.split())
    assert "`max_num_seqs` only: 3 GPUs against 4 with nothing chosen, fewer on 1 population, more on 0" in flat
    assert "p99 of ITL changes by -40 % and p99 of TTFT by +0.4 s (median)" in flat
    assert "with nothing chosen have 1 requests/s for each GPU, and with `max_num_seqs` chosen" in flat
    assert "the server with the most requests runs 400 at once" in flat
    assert (
        "by 10 % or more on 1 of 1 populations, by 50 % in the median, and changes p99 of TTFT there by +0.3 s" in flat
    )
    assert "save no GPU" in flat


def test_a_decision_that_gains_nothing_is_said_to(page, decisions):
    flat = " ".join(page.settings.ablation(decisions(length=(2, 100, 0.5, 50.0))).split())
    assert "**`max_num_seqs`** saves no GPU on these populations." in flat
    assert "**`max_num_batched_tokens`** lowers p99 of ITL noticeably on none" in flat
    assert "save further GPUs: `max_model_len` 8,192 (1)." in flat


def test_a_setting_with_which_a_population_has_no_plan_saves_nothing_there(page, decisions):
    flat = " ".join(page.settings.ablation(decisions(length=(0, 0, 0.0, 0.0))).split())
    assert "0 GPUs against 0 with both, fewer on 0 populations, more on 0, no plan on 1 population" in flat
    assert "save no GPU" in flat
    assert "**0** on 0" in flat


def test_merged_weights_are_undone_by_restarts_and_more_gpus(page, result):
    text = page.hot.hot(
        [result(population="60 requests/s", gpus=3)], [result(population="60 requests/s", gpus=2, merged=1)]
    )
    assert "| 60 requests/s | allowed | 2 | 2 | 1 | 30 | 100 | 0.5 | 1 restart, 1 more GPU |" in text
    assert "Merging is used on 1 of the 1 population: 3 GPUs to 2." in text
    assert "on 0 of the 1 population: it saves no GPU." in page.hot.hot([result()], [result()])


def test_equal_ranks_are_the_highest_and_the_base_model_stays(page):
    fleet = Workload([Adapter("a", 8, 1.0), Adapter("b", 32, 1.0), Adapter("base", 0, 1.0)])
    population = page.populations.Population("p", "test", fleet)
    assert page.near.mixes_ranks(fleet)
    assert [a.rank for a in page.near.with_equal_ranks(population).workload.adapters] == [32, 32, 0]
    assert not page.near.mixes_ranks(page.near.with_equal_ranks(population).workload)


def test_nearness_is_said_with_and_without_several_ranks(page, result):
    def both(pack, least, **fields):
        return [result(gpus=pack, **fields), result(gpus=least, strategy="least_loaded", **fields)]

    text = page.near.nearness([*both(2, 3), *both(4, 4, population="q")], both(3, 3))
    assert "differ on 1 of 2 populations (p)." in " ".join(text.split())
    assert "`pack` needs 2 GPUs and `least_loaded` 3." in " ".join(text.split())
    assert "they would need 3 and 3." in " ".join(text.split())


def test_a_picture_is_drawn_of_any_number_of_strategies(page, result, tmp_path):
    strategies = ("pack", "dlora", "dlora_best_slots", *(f"s{i}" for i in range(12)))
    page.figures.gpus_by_strategy([result(strategy=name)._asdict() for name in strategies], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_plans_near_the_estimate_are_counted_in_whole_gpus(page, result):
    """2.1 stands for 3 whole GPUs and 9.9 for 10; 100 is 5 % below 105, and 3 within one of 2."""
    pairs = ((3, 2.1), (10, 9.9), (105, 100.0), (106, 100.0), (3, 2.0), (1, None))
    packs = [result(gpus=gpus, estimate=estimate) for gpus, estimate in pairs]
    assert page.tables._near_estimate(packs) == (
        "and of the 5 with an estimate 4 are within one GPU or 5 % of it, 2 of them equal to it"
    )


def test_a_stated_probability_that_was_not_reached_is_named(page):
    row = page.confidence.Stated("p", 2, 0.4, 3, False, 0.93, 0.9, 0.95, 0.9, 0.85, 0.94)
    table = page.confidence.confidence_table([row])
    assert "| p | 2 | 40.0 % | 3 | 93.0 % (not reached) | 90.0 to 95.0 % | 90.0 % | 85.0 to 94.0 % |" in table
    assert "On 1 of 1 populations" in table


def test_seconds_are_those_of_the_part_that_is_under_way(page, monkeypatch):
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(page.scaling.time, "perf_counter", lambda: next(now))
    clock = page.scaling._Clock()
    for step in ("packing", "choosing settings", "verifying", "packing", "measuring headroom"):
        clock(step, 0, 1)
    assert clock.seconds["search"] == 6.0
    assert clock.seconds["verification"] == 9.0
