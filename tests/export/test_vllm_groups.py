"""Export of servers with several GPUs: each has devices of its own, and vLLM is told how many."""

import re

from adaptwin import Plan, Server
from adaptwin.export import export
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.plan.plans import Plans


def script_of(group_of, fleet, sizes, standbys=()):
    """Export a plan by hand with a server for each size, in this order, of which some are standbys."""
    names = {size: group_of(size).name for size in sizes}
    servers = [
        PlacedServer(f"gpu-{i}", names[size], Server(max_loras=1), {} if i in standbys else {f"a{i}": 1.0})
        for i, size in enumerate(sizes)
    ]
    serving = [i for i in range(len(sizes)) if i not in standbys]
    plan = Plan(
        PlanOptions(),
        0,
        lower_bound=1,
        servers=servers,
        profiles=[group_of(size) for size in names],
        workload=fleet(*((f"a{i}", 8, 1.0) for i in serving)),
    )
    return export(plan)["serve.sh"]


def devices(script):
    """Return the devices of each server of a script, standbys included, in order."""
    return re.findall(r"CUDA_VISIBLE_DEVICES=([\d,]+)", script)


def test_groups_have_consecutive_devices_and_ports_of_their_own(group_of, fleet):
    script = script_of(group_of, fleet, [2, 2, 2])
    assert devices(script) == ["0,1", "2,3", "4,5"]
    assert re.findall(r"--port (\d+)", script) == ["8000", "8001", "8002"]
    assert script.count("--tensor-parallel-size 2 ") == 3
    assert "# 3 vLLM servers on 6 GPUs, planned" in script
    assert "for one machine, with all 6 GPUs" in script


def test_sizes_may_be_mixed(group_of, fleet):
    script = script_of(group_of, fleet, [1, 4, 2])
    assert devices(script) == ["0", "1,2,3,4", "5,6"]
    assert re.findall(r"--tensor-parallel-size (\d)", script) == ["4", "2"]


def test_a_standby_is_told_its_devices(group_of, fleet):
    script = script_of(group_of, fleet, [2, 2], standbys=[1])
    assert devices(script) == ["0,1", "2,3"]
    assert "# with CUDA_VISIBLE_DEVICES=2,3 and --port 8001." in script


def test_servers_of_one_gpu_are_exported_as_ever(group_of, fleet):
    script = script_of(group_of, fleet, [1, 1])
    assert devices(script) == ["0", "1"]
    assert "--tensor-parallel-size" not in script
    assert "# 2 vLLM servers, planned" in script
    assert "with a GPU each" in script


def test_the_servers_of_several_plans_have_devices_of_their_own(group_of, fleet):
    plans = []
    for name, size in (("a", 2), ("b", 4)):
        model = group_of(size).model.model_copy(update={"name": f"org/{name}"})
        profile = group_of(size).model_copy(update={"model": model})
        server = PlacedServer(f"gpu-{name}", profile.name, Server(max_loras=1), {name: 1.0})
        workload = fleet((name, 8, 1.0))
        plans.append(Plan(PlanOptions(), 0, lower_bound=1, servers=[server], profiles=[profile], workload=workload))
    script = export(Plans(plans=plans))["serve.sh"]
    assert devices(script) == ["0,1", "2,3,4,5"]
    assert "# 2 vLLM servers on 6 GPUs of 2 base models, planned" in script
