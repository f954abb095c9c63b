import math
import re

import pytest
from plotly.offline import get_plotlyjs
from tests.report.reading import Page, assert_loads_nothing, drawn, without_plotly

from adaptwin.errors import SpecError
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.plan.options import PlanOptions
from adaptwin.report.plan.page import plan_report, write_plan_report

FIGURES = ("packing", "throughput", "ttft", "itl", "kv", "popularity")
NASTY = """</script><script>alert("1")</script>'&{{ 7*7 }}"""


def renamed(plan, name: str):
    """Return the plan with other names for its first adapter, first server and profile."""
    old = plan.workload.adapters[1].name
    adapters = tuple(
        one.model_copy(update={"name": name}) if one.name == old else one for one in plan.workload.adapters
    )
    profile = plan.profiles[0].model_copy(update={"source": name, "hardware": name})
    servers = [
        server.model_copy(update={"adapters": {name if key == old else key: s for key, s in server.adapters.items()}})
        for server in plan.servers
    ]
    servers[0] = servers[0].model_copy(update={"name": name})
    workload = plan.workload.model_copy(update={"adapters": adapters})
    return plan.model_copy(update={"workload": workload, "servers": tuple(servers), "profiles": (profile,)})


@pytest.fixture(scope="module")
def html(plan) -> str:
    return plan_report(plan)


def test_the_page_loads_nothing_and_forbids_itself_to(html) -> None:
    assert_loads_nothing(html)


def test_plotly_is_there_once_and_the_rest_is_small(html) -> None:
    assert html.count(get_plotlyjs()[:200]) == 1
    assert len(without_plotly(html)) < 200_000


def test_a_large_plan_stays_light(make_plan) -> None:
    assert len(without_plotly(plan_report(make_plan(gpus=40, adapters=5000)))) < 2_200_000


def test_every_figure_has_its_place_its_data_and_a_description(plan, html) -> None:
    keys = {*FIGURES, *(f"choices-{index}" for index in range(plan.gpus))}
    figures = drawn(html)["figures"]
    assert set(figures) == keys
    boxes = [attributes for _, attributes in Page(html).tags if attributes.get("class") == "plot"]
    assert {box["id"] for box in boxes} == keys
    for box in boxes:
        assert box["role"] == "img"
        assert len(box["aria-label"] or "") > 40
    for figure in figures.values():
        assert figure["data"]
        assert "template" not in figure["layout"]


def test_every_gpu_and_adapter_is_named(plan, html) -> None:
    page = Page(html)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for index, server in enumerate(plan.servers):
        assert f"gpu-section-{index}" in ids
        assert server.name in page.text
    for adapter in plan.workload.adapters:
        assert adapter.name in page.text


def test_the_page_says_how_the_plan_was_made(plan, html) -> None:
    text = Page(html).words()
    assert "Objective min-gpus, strategy pack, seed 7" in text
    assert plan.profiles[0].source in text
    assert "throughput 2.1 % and mean ITL 4.3 %" in text
    assert "216 real runs" in text
    assert "at most 1 GPU above the optimum" in text


def test_each_binding_constraint_is_explained_in_words(html) -> None:
    text = Page(html).words()
    for words in (
        "GPU memory is the limit.",
        "Compute is the limit.",
        "The adapter slots are the limit.",
        "A latency target is the limit.",
    ):
        assert words in text
    assert "Its headroom is 27 %" in text


def test_names_from_the_user_cannot_leave_their_place(plan) -> None:
    nasty = plan_report(renamed(plan, NASTY))
    assert "<script>alert" not in nasty
    assert Page(nasty).text.count(NASTY) >= 5  # as text: table, card or section, settings, list, source
    assert [tag for tag, _ in Page(nasty).tags].count("script") == 4
    figures = drawn(nasty)["figures"]
    assert figures["packing"]["layout"]["yaxis"]["categoryarray"][0].startswith("&lt;/script&gt;&lt;script&gt;alert(")


def test_the_description_of_a_profile_without_error_states_that(plan) -> None:
    unchecked = plan.profiles[0].model_copy(update={"error": None})
    assert "not checked against real runs" in plan_report(plan.model_copy(update={"profiles": (unchecked,)}))


def test_a_plan_without_forecasts_or_choices_has_a_page(make_plan) -> None:
    text = Page(plan_report(make_plan(gpus=2, adapters=10, forecast=False))).text
    assert "no forecast" in text
    assert "Why max_loras" not in text


def test_a_standby_is_called_one_and_has_figures_of_none(plan) -> None:
    html = plan_report(with_standbys(plan.model_copy(update={"options": PlanOptions(spare=1)})))
    text = Page(html).words()
    assert "A standby: it runs only when another server fails" in text
    assert "Any 1 GPU may fail: in its place, a standby (gpu-4) starts with its settings and adapters" in text
    drawn(html)


def test_unknown_numbers_are_written_as_such(plan) -> None:
    update = {"ttft_p50": math.nan, "ttft_p99": math.nan, "headroom": math.inf, "itl_p99": math.inf}
    servers = tuple(one.model_copy(update={"forecast": one.forecast.model_copy(update=update)}) for one in plan.servers)
    html = plan_report(plan.model_copy(update={"servers": servers}))
    assert "Its headroom is not known." in Page(html).text
    assert not re.search(r"\b(nan|inf)\b", Page(html).text)
    drawn(html)


def test_a_server_that_vllm_would_refuse_to_start_still_has_settings(plan) -> None:
    server = plan.servers[0].server.model_copy(update={"max_loras": 100_000, "max_cpu_loras": None})
    servers = (plan.servers[0].model_copy(update={"server": server}), *plan.servers[1:])
    assert "100,000" in Page(plan_report(plan.model_copy(update={"servers": servers}))).text


def test_sections_start_closed_when_there_are_many(make_plan) -> None:
    def open_sections(gpus: int) -> int:
        tags = Page(plan_report(make_plan(gpus=gpus, adapters=2 * gpus))).tags
        return sum(tag == "details" and "open" in attributes for tag, attributes in tags)

    assert open_sections(4) == 4
    assert open_sections(12) == 0


def test_the_same_plan_makes_the_same_page(plan, html) -> None:
    assert plan_report(plan) == html


def test_the_page_is_written_as_a_whole_or_the_error_names_the_place(plan, html, tmp_path) -> None:
    write_plan_report(plan, tmp_path / "plan.html")
    assert (tmp_path / "plan.html").read_text(encoding="utf-8") == html
    with pytest.raises(SpecError, match=r"missing.*plan\.html"):
        write_plan_report(plan, tmp_path / "missing" / "plan.html")
