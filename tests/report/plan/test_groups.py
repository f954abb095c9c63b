"""Reports on plans whose servers have several GPUs: GPUs are counted, servers are called servers."""

import pytest
from tests.report.reading import rendered

from adaptwin import Plan, Server, verify
from adaptwin.explanation.explanation import Advice
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.report.plan.check import check_table
from adaptwin.report.plan.explanation import advice_sentence
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.sentences import bound_sentence, failover_sentence, left_over_sentence, used_gpus
from adaptwin.report.plan.settings import server_settings
from adaptwin.report.plan.table import plan_table


@pytest.fixture
def grouped(group_of, fleet):
    """Return a function that makes a plan by hand: a server for each size given, with one adapter, and its options."""

    def make(*sizes, **options):
        profiles = [group_of(size) for size in dict.fromkeys(sizes)]
        names = {profile.tensor_parallel_size: profile.name for profile in profiles}
        servers = [
            PlacedServer(f"gpu-{i}", names[size], Server(max_loras=2), {f"a{i}": 1.0}) for i, size in enumerate(sizes)
        ]
        workload = fleet(*((f"a{i}", 8, 1.0) for i in range(len(sizes))))
        return Plan(PlanOptions(**options), 0, lower_bound=2, servers=servers, profiles=profiles, workload=workload)

    return make


def words(text):
    return " ".join(text.split())


def test_the_headline_has_gpus_and_servers(grouped):
    said = words(rendered(plan_table(grouped(2, 2, 2))))
    assert said.startswith("6 GPUs in 3 servers for 3 adapters")
    assert "Server GPUs Adapters" in said
    assert "gpu-1 2 1 8×1" in said


def test_a_table_of_several_profiles_and_sizes_is_80_columns_wide(grouped):
    text = rendered(plan_table(grouped(1, 2)))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "tensor" not in text


def test_plans_of_single_gpus_read_as_ever(grouped):
    said = words(rendered(plan_table(grouped(1, 1))))
    assert said.startswith("2 GPUs for 2 adapters")
    assert "GPU Adapters" in said
    assert "Headroom: extra traffic with which a GPU is ok" in said
    assert "in 2 servers" not in said


def test_profiles_are_listed_with_their_servers_and_sizes(grouped, group_of):
    one, two = group_of(1).name, group_of(2).name
    assert used_gpus(grouped(2, 1, 2)) == f"2 × {two} (2 GPUs each), 1 × {one}"
    assert used_gpus(grouped(1, 1)) == f"2 × {one}"


def test_spare_gpus_of_the_bound_are_whole_groups(grouped):
    assert "fewer than 2 GPUs, 2 of them spare." in bound_sentence(grouped(2, 2, spare=1))
    assert "on one of these profiles can use fewer than 2 GPUs, spare ones included." in bound_sentence(
        grouped(2, 1, spare=1)
    )


def test_a_gpu_that_fails_stops_its_server(grouped):
    assert failover_sentence(grouped(2, 2, spare=1)).startswith("Any 1 GPU may fail and stop its server: ")
    assert failover_sentence(grouped(2, 2, 2, spare=2)).startswith("Any 2 GPUs may fail and stop up to 2 servers: ")
    assert failover_sentence(grouped(1, 1, spare=1)).startswith("Any 1 GPU may fail: ")


def test_gpus_that_make_no_server_are_told(grouped):
    assert left_over_sentence(grouped(2, 2, gpus=5)) == "1 GPU of 5 is left over: each server has 2."
    assert left_over_sentence(grouped(4, gpus=7)) == "3 GPUs of 7 are left over: each server has 4."
    assert left_over_sentence(grouped(2, 2, gpus=4)) == ""
    assert left_over_sentence(grouped(1, 1, gpus=2)) == ""
    assert left_over_sentence(grouped(2, 2)) == ""


def test_the_page_has_gpus_servers_and_the_size_of_groups(grouped, h100):
    page = words(plan_report(grouped(2, 2)))
    assert "<h1>4 GPUs in 2 servers for 2 adapters</h1>" in page
    assert "One bar per server" in page
    assert f"<td>2 × {h100.hardware}</td>" in page
    assert '<th scope="col" class="n">GPUs</th>' not in page
    assert 'data-label="GPUs" class="n">2</td>' in plan_report(grouped(2, 1))
    assert "server" not in words(plan_report(grouped(1, 1))).split("<h2>Placement</h2>")[1].split("<h2>")[0]


def test_the_settings_of_a_group_begin_with_its_size(grouped):
    plan = grouped(2, 1)
    assert server_settings(plan, plan.servers[0])[0] == ("tensor_parallel_size", "2", "")
    assert server_settings(plan, plan.servers[1])[0].name == "max_loras"


def test_a_check_counts_gpus_and_servers(grouped):
    check = verify(grouped(2, 2))
    assert check.gpus == 4
    assert words(rendered(check_table(check))).startswith("The plan holds on 4 GPUs in 2 servers with seed 1")
    assert words(rendered(check_table(verify(grouped(1, 1))))).startswith("The plan holds on 2 GPUs with seed 1")


def test_a_new_server_is_told_with_its_gpus():
    said = advice_sentence(Advice(action="new GPU", gpus=2, max_lora_rank=8))
    assert said.startswith("It needs a new server of 2 GPUs: ")
    assert advice_sentence(Advice(action="new GPU", gpus=1)).startswith("It needs a new GPU: ")
