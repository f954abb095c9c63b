"""A plan that was changed by hand is checked for what verify, replan and export rely on; each error names the field."""

import pytest

from adaptwin import Plan, Server, SpecError
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.migration import Step
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer


@pytest.fixture
def written(h100, fleet, tmp_path):
    """Return a function that writes a plan of two servers with changes to its text, and returns the file."""
    servers = [
        PlacedServer(f"gpu-{i}", h100.name, Server(max_loras=2, max_lora_rank=16), {name: 1.0})
        for i, name in enumerate(("a", "b"))
    ]
    plan = Plan(
        PlanOptions(headroom=0.2, constraints=Constraints(pinned={"a": "gpu-0"})),
        0,
        lower_bound=1,
        verified=True,
        servers=servers,
        profiles=[h100],
        workload=fleet(("a", 8, 1.0), ("b", 16, 1.0)),
    )

    def write(*changes):
        path = tmp_path / "plan.yaml"
        plan.write(path)
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_plan_that_the_errors_are_made_from_reads_back(written):
    assert Plan.read(written()).gpus == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: gpu-1", "name: gpu-0", "servers[1].name: 'gpu-0' is also the name of servers[0]"),
        ("name: gpu-1", "name: ''", "servers[1].name: '' is not valid"),
        (
            "adapters: {b: 1.0}",
            "adapters: {b: 1.0, a: 1.0}",
            "servers: the shares of 'a' sum to 2, not to 1 (on gpu-0,",
        ),
        ("adapters: {b: 1.0}", "adapters: {b: 0.5}", "servers: the shares of 'b' sum to 0.5, not to 1 (on gpu-1)"),
        ("adapters: {b: 1.0}", "adapters: {b: 0}", "servers[1].adapters.b: 0 must be above 0"),
        ("adapters: {b: 1.0}", "adapters: {c: 1.0}", "servers[1].adapters: 'c' is not in the plan's workload"),
        ("headroom: 0.2", "headroom: -0.99", "options.headroom: -0.99 must be from 0 to 10"),
        ("headroom: 0.2", "headroom: 20", "options.headroom: '20' is 2000%: write 20% or 0.2"),
        ("margin: 0.0\ngoal", "margin: -0.5\ngoal", "margin: -0.5 must be at least 0"),
        ("pinned: {a: gpu-0}", "pinned: {a: ''}", "options.constraints.pinned.a: '' is not valid"),
        ("pinned: {a: gpu-0}", "pinned: {a: gpu-1}", "servers: 'a' is pinned to gpu-1, but is on gpu-0"),
        ("profile: h100", "profile: h200", "servers[0].profile: 'h200-64gb-llama-3.1-8b-instruct' is not among the"),
        ("max_lora_rank: 16", "max_lora_rank: 1", "servers[0].server: max_loras 2, max_lora_rank 1 cannot load 'a'"),
        ("max_loras: 2", "max_loras: 0", "servers[0].server: max_loras 0, max_lora_rank 16 cannot load 'a' of rank 8"),
        ("lower_bound: 1", "lower_bound: 3", "lower_bound: 3, but the plan is verified with 2 GPUs"),
        ("lower_bound: 1", "lower_bound: -1", "lower_bound: -1 must be at least 0"),
        ("headroom: 0.2", "gpus: 1", "options.gpus: 1, but the plan has 2 GPUs"),
        ("spare: 0", "spare: 2", "options.spare: 2, but the plan has 2 servers"),
        ("seed: 0", "seed: -1", "seed: -1 must be at least 0"),
    ],
)
def test_a_contradiction_is_named(written, old, new, said):
    path = written((old, new))
    with pytest.raises(SpecError) as error:
        Plan.read(path)
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_pin_to_no_name_is_refused_before_a_plan_is_made():
    with pytest.raises(SpecError, match=r"pinned\.a: '' is not valid"):
        Constraints(pinned={"a": ""})


def test_a_step_has_what_its_action_needs():
    with pytest.raises(SpecError, match=r"adapter: missing \(needed to load: server, adapter\)"):
        Step(action="load", server="gpu-0")
    assert Step(action="stop", server="gpu-0").adapter is None
    merged = Server().with_merged_weights()
    with pytest.raises(SpecError, match=r"adapter: missing \(settings\.merged needs the adapter"):
        Step(action="start", server="gpu-0", profile="h100", settings=merged)
