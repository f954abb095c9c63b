"""The page, the pictures and the tables of a comparison."""

import pytest
from tests.live.replays import NO_PROBLEM, replay_of, replayed_run, run_of
from tests.report.reading import Page, assert_loads_nothing, drawn, without_plotly

from adaptwin import Adapter, Server, Workload
from adaptwin.live.compare_measured import compare_with_plan, compare_with_run
from adaptwin.live.comparison import Comparison
from adaptwin.live.measured_files import read_observations
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.comparison.charts import DRAWN_UP_TO, adapters_figure, ratios_figure
from adaptwin.report.comparison.page import comparison_report
from adaptwin.report.comparison.table import comparison_table
from adaptwin.report.style.words import signed_percent
from adaptwin.workload.lengths import Lengths

NASTY = """</script><script>alert("1")</script>'&{{ 7*7 }}"""
SERVER = Server(max_loras=2, max_lora_rank=16)
WORKLOAD = Workload(
    adapters=(Adapter(NASTY, 8, 1.0), Adapter("a1", 16, 0.5)), lengths=Lengths.fixed(200, 100), duration=150.0
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write replays, and return what they say."""
    folder = tmp_path_factory.mktemp("replays")

    def read(*replays):
        seen = []
        for index, replay in enumerate(replays):
            replay.write(folder / f"r{index}.json")
            seen += read_observations(folder / f"r{index}.json")
        return seen

    return read


@pytest.fixture(scope="module")
def of_one(h100, files) -> Comparison:
    """One server, measured three times; the client of the last did not keep up."""
    late = NO_PROBLEM.model_copy(update={"complaint": "requests were sent late"})
    runs = [replayed_run(h100, SERVER, WORKLOAD, slower=slower) for slower in (1.0, 2.0, 4.0)]
    seen = files(replay_of(runs[0]), replay_of(runs[1]), replay_of(runs[2], client=late))
    return compare_with_run(run_of(h100, SERVER, WORKLOAD), "run.json", seen)


@pytest.fixture(scope="module")
def of_two(h100, files) -> Comparison:
    """A plan with two servers, the second of which was overloaded."""
    names = [adapter.name for adapter in WORKLOAD.adapters]
    servers = tuple(
        PlacedServer(name=f"gpu-{i}", profile=h100.name, server=SERVER, adapters={name: 1.0})
        for i, name in enumerate(names)
    )
    plan = Plan(options=PlanOptions(), seed=0, lower_bound=1, servers=servers, profiles=(h100,), workload=WORKLOAD)
    first, second = (replayed_run(h100, SERVER, plan.workload_of(each), name=each.name) for each in servers)
    seen = files(replay_of(first, second.model_copy(update={"verdict": "starved"}), routing="plan"))
    return compare_with_plan(plan, "plan.yaml", seen)


@pytest.fixture(scope="module", params=["of_one", "of_two"])
def html(request) -> str:
    """The page of each."""
    return comparison_report(request.getfixturevalue(request.param))


def test_the_page_loads_nothing_and_has_all_pictures(html):
    assert_loads_nothing(html)
    assert len(without_plotly(html)) < 60_000
    shown = drawn(html)["figures"]
    boxes = [attributes for _, attributes in Page(html).tags if attributes.get("class") == "plot"]
    assert set(shown) == {box["id"] for box in boxes} == {"ratios", "ttft", "itl"}
    assert all(figure["data"] for figure in shown.values())
    assert "<script>alert" not in html


def test_the_cards_show_errors_beside_the_noise_of_repeats(of_one):
    words = Page(comparison_report(of_one)).words()
    assert "Throughput error0.0 %" in words
    assert "Mean ITL error-50 %" in words
    assert "spread of repeats 150.0 %" in words
    assert "the client was the bottleneck: requests were sent late" in words


def test_the_cards_of_several_servers_show_mean_and_worst_error(of_two):
    words = Page(comparison_report(of_two)).words()
    assert "Throughput error0.0 %mean of 2 servers; worst 0.0 %, gpu-0" in words
    assert "Verdicts1 of 2are the measured ones" in words
    assert "starvedokdiffers" in words


def test_the_bars_of_repeats_reach_from_the_smallest_to_the_largest(of_one):
    """The median is twice the smallest and half of the largest: 50 % below, and 100 % above."""
    measured, twin = ratios_figure(of_one).data[:2]
    place = list(measured.y).index("ITL mean")
    assert (measured.x[place], twin.x[place]) == (100.0, 50.0)
    assert (measured.error_x.arrayminus[place], measured.error_x.array[place]) == (50.0, 100.0)


def test_a_figure_that_is_far_off_ends_at_the_edge(h100, files):
    seen = files(replay_of(replayed_run(h100, SERVER, WORKLOAD, slower=0.1)))
    figure = ratios_figure(compare_with_run(run_of(h100, SERVER, WORKLOAD), "run.json", seen))
    assert max(figure.data[1].x) == 100.0 * DRAWN_UP_TO


def test_of_several_servers_each_has_a_point(of_two):
    [points] = ratios_figure(of_two).data
    assert list(points.y).count("ITL mean") == 2


def test_an_adapter_is_a_point_on_the_diagonal_if_twin_and_measurement_agree(of_two):
    same, other, diagonal = adapters_figure(of_two, "ttft_p50").data
    assert [*same.x, *other.x] == [*same.y, *other.y]
    assert len(same.x) + len(other.x) == 2
    assert list(diagonal.x) == list(diagonal.y)


def test_without_adapters_there_are_tables_only(of_one):
    bare = of_one._replace(servers=tuple(server._replace(adapters=()) for server in of_one.servers))
    assert set(drawn(comparison_report(bare))["figures"]) == {"ratios"}


@pytest.mark.parametrize("name", ["of_one", "of_two"])
def test_the_table_fits_eighty_columns(name, request, capsys):
    from adaptwin.cli.printing import show

    show(comparison_table(request.getfixturevalue(name)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_a_change_has_its_sign():
    assert [signed_percent(share) for share in (0.0141, -0.23, 4.08, -0.0001, float("nan"))] == [
        "+1.4 %",
        "-23 %",
        "+408 %",
        "0.0 %",
        "–",
    ]
