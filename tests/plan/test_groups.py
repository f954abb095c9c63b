"""A plan whose servers are groups of GPUs counts GPUs, not servers: in numbers, prices, contradictions and files."""

import pytest

from adaptwin import Plan, Server, SpecError
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


@pytest.fixture
def grouped(group_of, fleet):
    """Return a function that makes a plan by hand: a server for each size given, with one adapter, and its options."""

    def make(*sizes, price=None, lower_bound=1, verified=False, **options):
        profiles = [group_of(size, price) for size in dict.fromkeys(sizes)]
        names = {profile.tensor_parallel_size: profile.name for profile in profiles}
        servers = [
            PlacedServer(f"gpu-{i}", names[size], Server(max_loras=2, max_lora_rank=16), {f"a{i}": 1.0})
            for i, size in enumerate(sizes)
        ]
        return Plan(
            PlanOptions(**options),
            0,
            lower_bound=lower_bound,
            verified=verified,
            servers=servers,
            profiles=profiles,
            workload=fleet(*((f"a{i}", 8, 1.0) for i in range(len(sizes)))),
        )

    return make


def test_three_servers_of_two_gpus_are_six_gpus_at_six_times_the_price(grouped):
    plan = grouped(2, 2, 2, price=2.5)
    assert (plan.gpus, len(plan.servers), plan.cost_per_hour) == (6, 3, 15.0)
    assert plan.has_groups


def test_servers_of_several_sizes_add_up(grouped):
    plan = grouped(1, 2, 4, 1, price=2.0)
    assert [plan.gpus_of(server) for server in plan.servers] == [1, 2, 4, 1]
    assert (plan.gpus, plan.cost_per_hour) == (8, 16.0)


def test_a_server_is_a_gpu_where_each_has_one(grouped):
    plan = grouped(1, 1, price=2.0)
    assert (plan.gpus, plan.cost_per_hour, plan.has_groups) == (2, 4.0, False)


def test_a_standby_is_a_whole_group(grouped):
    plan = grouped(2, 2)
    standby = plan.servers[0].model_copy(update={"name": "gpu-9", "adapters": {}})
    assert plan.model_copy(update={"servers": (*plan.servers, standby)}).gpus == 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"gpus": 5, "objective": "min-latency"}, "options.gpus: 5, but the plan has 6 GPUs"),
        ({"lower_bound": 7, "verified": True}, "lower_bound: 7, but the plan is verified with 6 GPUs"),
        ({"spare": 3, "verified": True}, "options.spare: 3, but the plan has 3 servers"),
    ],
)
def test_what_contradicts_is_counted_in_gpus(grouped, fields, said):
    with pytest.raises(SpecError, match=said):
        grouped(2, 2, 2, **fields)


def test_numbers_that_agree_are_no_contradiction(grouped):
    assert grouped(2, 2, 2, gpus=7, objective="min-latency").options.gpus == 7
    assert grouped(2, 2, 2, lower_bound=6, verified=True).lower_bound == 6


@pytest.mark.parametrize("file", ["plan.yaml", "plan.json"])
def test_a_plan_of_groups_reads_back_as_it_was_written(grouped, tmp_path, file):
    plan = grouped(1, 2, price=2.0)
    plan.write(tmp_path / file)
    assert Plan.read(tmp_path / file) == plan


def test_a_plan_from_before_groups_has_one_gpu_for_each_server(grouped, tmp_path):
    plan = grouped(1, 1)
    plan.write(tmp_path / "plan.yaml")
    text = (tmp_path / "plan.yaml").read_text()
    old = "".join(line for line in text.splitlines(keepends=True) if "tensor_parallel_size" not in line)
    (tmp_path / "plan.yaml").write_text(old)
    assert Plan.read(tmp_path / "plan.yaml").gpus == 2


def test_the_hardware_of_a_server_is_said_with_the_number_of_gpus(group_of, h100):
    assert group_of(1).server_hardware == h100.hardware
    assert group_of(4).server_hardware == f"4 × {h100.hardware}"


def test_a_server_costs_the_price_of_each_of_its_gpus(group_of):
    assert group_of(4, 2.5).server_price == 10.0
    assert group_of(4).server_price is None


def test_a_group_is_another_profile_than_a_single_gpu(group_of):
    assert group_of(1).fingerprint != group_of(2).fingerprint != group_of(4).fingerprint
