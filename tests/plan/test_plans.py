"""Plans of several base models together: their totals, their file, and what must not be in two of them."""

import pytest
import yaml

from adaptwin import Adapter, Plan, Plans, Server, SpecError, Workload, load_profile
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.plan.server_names import server_names

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct").model_copy(update={"price_per_hour": 2.5})
QWEN = load_profile("h100-64gb-qwen-2.5-7b-instruct").model_copy(update={"price_per_hour": 2.0})
SETTINGS = Server(max_loras=1, max_lora_rank=8)


def plan_of(profile, servers, **fields):
    """Return a plan by hand; `servers` has the name of the only adapter of each."""
    return Plan(
        options=PlanOptions(strategy="by hand"),
        seed=0,
        servers=tuple(PlacedServer(name, profile.name, SETTINGS, {only: 1.0}) for name, only in servers.items()),
        profiles=(profile,),
        workload=Workload([Adapter(only, 8, 1.5, base=profile.model.name) for only in servers.values()]),
        **{"lower_bound": 1, "cost_bound": 2.0, **fields},
    )


@pytest.fixture
def plans():
    return Plans(
        plans=(
            plan_of(LLAMA, {"gpu-0": "a", "gpu-1": "b"}, verified=True),
            plan_of(QWEN, {"gpu-2": "c"}, verified=True),
        )
    )


def test_totals_are_sums_over_the_base_models(plans):
    assert [plan.base for plan in plans.plans] == ["meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"]
    assert (plans.gpus, plans.lower_bound) == (3, 2)
    assert (plans.cost_per_hour, plans.cost_bound) == (7.0, 4.0)
    assert [adapter.name for adapter in plans.workload.adapters] == ["a", "b", "c"]
    assert plans.workload.rate == 4.5


def test_a_price_that_is_not_known_for_one_base_model_is_not_known_for_all(plans):
    free = QWEN.model_copy(update={"price_per_hour": None})
    mixed = Plans(plans=(plans.plans[0], plan_of(free, {"gpu-2": "c"}, cost_bound=None)))
    assert (mixed.cost_per_hour, mixed.cost_bound) == (None, None)


def test_plans_are_verified_if_all_of_them_are(plans):
    assert plans.verified
    assert not plans.breaks_promise
    for promises in (True, False):
        failed = plan_of(QWEN, {"gpu-2": "c"}, verified=False, promises=promises)
        both = Plans(plans=(plans.plans[0], failed))
        assert not both.verified
        assert both.breaks_promise is promises


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_plans_read_back_as_written(plans, tmp_path, suffix):
    plans.write(tmp_path / f"plans.{suffix}")
    assert Plans.read(tmp_path / f"plans.{suffix}") == plans


def test_the_file_of_a_single_plan_is_that_of_the_plan(plans, tmp_path):
    alone = plans.plans[0]
    Plans(plans=(alone,)).write(tmp_path / "one.yaml")
    alone.write(tmp_path / "alone.yaml")
    assert (tmp_path / "one.yaml").read_text() == (tmp_path / "alone.yaml").read_text()
    assert Plans.read(tmp_path / "one.yaml").plans == (Plan.read(tmp_path / "one.yaml"),)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (plan_of(LLAMA, {"gpu-2": "c"}), "the base model 'meta-llama/Llama-3.1-8B-Instruct'"),
        (plan_of(QWEN, {"gpu-1": "c"}), "the server 'gpu-1'"),
        (plan_of(QWEN, {"gpu-2": "b"}), "the adapter 'b'"),
    ],
)
def test_no_base_model_server_or_adapter_is_in_two_plans(plans, tmp_path, other, what):
    with pytest.raises(SpecError, match=f"two plans have {what}"):
        Plans(plans=(plans.plans[0], other))
    (tmp_path / "plans.yaml").write_text(yaml.dump({"plans": [plans.plans[0].file_form(), other.file_form()]}))
    with pytest.raises(SpecError, match=f"plans.yaml: plans: two plans have {what}"):
        Plans.read(tmp_path / "plans.yaml")


def test_a_mistake_in_the_file_is_named_with_its_place(plans, tmp_path):
    form = plans.file_form()
    form["plans"][1]["servers"][0]["profile"] = "l40s"
    (tmp_path / "plans.yaml").write_text(yaml.dump(form))
    with pytest.raises(SpecError, match=r"^.*plans.yaml: plans\[1\]: servers\[0\].profile: 'l40s' is not among"):
        Plans.read(tmp_path / "plans.yaml")


def test_a_plan_for_several_base_models_is_no_plan_for_one(plans, tmp_path):
    plans.write(tmp_path / "plans.yaml")
    with pytest.raises(SpecError, match="this is a plan for several base models, not a plan"):
        Plan.read(tmp_path / "plans.yaml")


def test_names_of_servers_go_on_after_those_of_other_plans():
    assert server_names([["a"], ["b"]], {}, ["gpu-0", "gpu-1"]) == ["gpu-2", "gpu-3"]
    assert server_names([["a"], ["b"]], {"b": "gpu-0"}, ["gpu-1"]) == ["gpu-2", "gpu-0"]
    assert server_names([["a"]], {}, [f"gpu-{i:02}" for i in range(12)]) == ["gpu-12"]
    assert server_names([[f"a{i}"] for i in range(11)], {}, ["gpu-0"])[-1] == "gpu-11"
    assert server_names([["a"]], {}, ["edge"]) == ["gpu-0"]
