import math
import re

import pytest
from tests.report.reading import Page, assert_loads_nothing, drawn, without_plotly
from tests.report.training.findings import LLAMA, QWEN, REGIMES, make_findings, make_surrogate, make_surrogates, scores

from adaptwin.errors import SpecError
from adaptwin.report.training.page import HEADLINES, training_report, write_training_report
from adaptwin.surrogate import findings as findings_of_training
from adaptwin.surrogate.score import ScoreWithInterval

FIGURES = {"throughput", "itl", "ttft", "regimes", "reliability", "curve", "importances"}
NASTY = """</script><script>alert("1")</script>'&{{ 7*7 }}"""
UNKNOWN = ScoreWithInterval(math.nan, math.nan, math.nan)


@pytest.fixture(scope="module")
def html() -> str:
    return training_report(make_findings(), make_surrogates())


def test_the_page_loads_nothing_and_forbids_itself_to(html) -> None:
    assert_loads_nothing(html)


def test_without_plotly_the_page_is_small(html) -> None:
    assert len(without_plotly(html)) < 100_000


def test_every_figure_has_its_place_its_data_and_a_description(html) -> None:
    shown = drawn(html)["figures"]
    assert set(shown) == FIGURES
    boxes = [attributes for _, attributes in Page(html).tags if attributes.get("class") == "plot"]
    assert {box["id"] for box in boxes} == FIGURES
    for box in boxes:
        assert box["role"] == "img"
        assert len(box["aria-label"] or "") > 40
    for figure in shown.values():
        assert figure["data"]
        assert "template" not in figure["layout"]


def test_the_cards_show_the_profile_for_which_a_figure_is_worst(html) -> None:
    text = Page(html).words()
    assert f"Throughput error3.1 %2.9 to 3.3; large models 2.4 %; {LLAMA}" in text
    assert f"Starvation, F10.9310.948 to 0.963; large models 0.966; {QWEN}" in text
    assert "Twin needed64 %of the runs at the boundary" in text


def test_of_one_profile_the_cards_do_not_repeat_its_name() -> None:
    page = training_report(make_findings(scores={LLAMA: scores()}), {LLAMA: make_surrogate()})
    assert "large models 2.4 % Mean ITL error" in Page(page).words()


def test_headline_figures_are_ones_that_a_training_scores() -> None:
    assert set(HEADLINES) <= set(findings_of_training._FIGURES.values())


def test_every_profile_has_its_scores_with_intervals(html) -> None:
    text = Page(html).words()
    for profile in (LLAMA, QWEN):
        assert f"{profile} figurelarge modelsdistilled" in text
    assert "throughput, mean error2.4 %2.2 to 2.63.1 %2.9 to 3.3" in text
    assert "ITL p99, median error7.8 %10.7 %" in text


def test_the_weakest_regimes_are_named_in_words_and_marked_in_the_table(html) -> None:
    page = Page(html)
    text = page.words()
    assert "Throughput has its largest mean error at “utilisation: above 1.5”: 13.9 % over 300 runs." in text
    assert "Median TTFT has its largest median error at “adapters: above 300”: 92.6 % over 700 runs." in text
    assert "Overload is predicted wrongly most often at “adapters: above 300”: in 8.4 % of 700 runs." in text
    assert sum(attributes.get("class") == "n worst" for _, attributes in page.tags) == 4
    assert "above 30070 05.9 %17.8 %92.6 %8.4 %52 %".replace(" ", "") in text.replace(" ", "")


def test_the_page_says_what_was_trained_and_when_it_is_sure(html) -> None:
    text = Page(html).words()
    assert "Trained on 1,000 runs of 250 mixes, adaptwin 0.1.0, for 2 profiles." in text
    assert "9 trees with 18 rules, from 1,000 runs of 250 mixes" in text
    assert "not overloaded up to a probability of 0.88 %, and as overloaded from 99.0 % on." in text


def test_unknown_numbers_are_dashes() -> None:
    lines = [line._replace(teacher=UNKNOWN, distilled=UNKNOWN) for line in scores()]
    regimes = [REGIMES[0]._replace(throughput=math.nan, itl=math.nan, ttft=math.nan)]
    page = training_report(make_findings(scores={LLAMA: lines}, regimes=regimes, unsure=math.nan), make_surrogates())
    text = Page(page).words()
    assert not re.search(r"\b(nan|inf)\b", text)
    assert "Throughput error–not scored" in text
    assert "throughput, mean error––" in text
    assert "4,000–––4.0 %12 %" in text
    assert "it is not known how often a planner would run the twin" in text
    drawn(page)


def test_a_training_without_findings_has_a_page() -> None:
    empty = make_findings(
        scores={}, regimes=[], curve=[], importances=[], reliability=[], sample=make_findings().sample.clear()
    )
    text = Page(training_report(empty, make_surrogates())).words()
    assert "No profile was scored." in text
    assert "No regime has enough runs for a comparison." in text


def test_names_cannot_leave_their_place() -> None:
    regimes = [REGIMES[1]._replace(dimension=NASTY, regime=NASTY)]
    surrogates = {NASTY: make_surrogate().model_copy(update={"source": NASTY})}
    page = training_report(make_findings(scores={NASTY: scores()}, regimes=regimes), surrogates)
    assert "<script>alert" not in page
    assert Page(page).text.count(NASTY) >= 5  # source, sentences, table of scores, of regimes, facts
    assert [tag for tag, _ in Page(page).tags].count("script") == 3
    assert drawn(page)["figures"]["regimes"]["layout"]["annotations"][0]["text"].startswith("<b>&lt;/script&gt;")


def test_the_same_findings_make_the_same_page(html) -> None:
    assert training_report(make_findings(), make_surrogates()) == html


def test_the_page_is_written_as_a_whole_or_the_error_names_the_place(html, tmp_path) -> None:
    write_training_report(make_findings(), make_surrogates(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    with pytest.raises(SpecError, match=r"missing.*report\.html"):
        write_training_report(make_findings(), make_surrogates(), tmp_path / "missing" / "report.html")
