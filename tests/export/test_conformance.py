"""Conformance: what holds for the files of every serving stack."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.hard_plans import everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import documents
from tests.export.readers import READERS
from tests.export.schemas import problems_of_object

from adaptwin import Adapter, Plan, Server, SpecError, Workload
from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.registry import STACKS, stack_of
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

every_stack = pytest.mark.parametrize("stack", STACKS)
every_plan = pytest.mark.parametrize("make", [everyday_plan, hard_plan])

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def running(plan):
    return [server for server in plan.servers if not server.is_standby]


def adapters_on(plan, server):
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    return {name for name in server.adapters if ranks[name] > 0}


def read_again(plan, stack):
    return READERS[stack](export(plan, stack), [server.name for server in running(plan)])


@every_stack
@every_plan
def test_every_adapter_is_loaded_where_the_plan_says(make, stack):
    plan = make()
    if (loaded := read_again(plan, stack).loaded) is not None:
        assert loaded == {server.name: adapters_on(plan, server) for server in running(plan)}


@every_stack
@every_plan
def test_requests_are_divided_as_the_plan_says(make, stack):
    plan = make()
    if (routes := read_again(plan, stack).routes) is not None:
        for adapter in plan.workload.adapters:
            if adapter.rank > 0:
                weights = routes[adapter.name]
                shares = {server: weight / sum(weights.values()) for server, weight in weights.items()}
                planned = {s.name: s.adapters[adapter.name] for s in plan.servers if adapter.name in s.adapters}
                assert shares == pytest.approx(planned, abs=1e-6)


@every_stack
def test_traffic_to_the_base_model_goes_where_the_plan_says(stack):
    """Base traffic of 1/s is on gpu-0, and of 3/s on gpu-3 and gpu-5, half each."""
    plan = hard_plan()
    if (routes := read_again(plan, stack).routes) is not None:
        weights = routes[plan.base]
        shares = {server: weight / sum(weights.values()) for server, weight in weights.items()}
        assert shares == pytest.approx({"gpu-0": 0.25, "gpu-3": 0.375, "gpu-5": 0.375}, abs=1e-6)


@every_stack
@every_plan
def test_every_planned_setting_is_given_to_vllm(make, stack):
    plan = make()
    found = read_again(plan, stack)
    if found.flags is None:
        return
    for placed in running(plan):
        used = placed.server.with_defaults(plan.profile_of(placed))
        numbers = ("gpu_memory_utilization", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "block_size")
        wanted = {name.replace("_", "-"): getattr(used, name) for name in numbers}
        if adapters_on(plan, placed) and not placed.merged:
            loras = ("max_loras", "max_lora_rank", "max_cpu_loras")
            wanted |= {name.replace("_", "-"): getattr(placed.server, name) for name in loras}
        if plan.gpus_of(placed) > 1:
            wanted["tensor-parallel-size"] = plan.gpus_of(placed)
        flags = found.flags[placed.name]
        assert {name: float(flags[name]) for name in wanted} == wanted
        assert "enable-chunked-prefill" in flags
        assert ("enable-lora" in flags) == ("max-loras" in wanted)
    assert found.gpus is None or found.gpus == {placed.name: plan.gpus_of(placed) for placed in running(plan)}


@every_stack
@every_plan
def test_the_same_plan_gives_the_same_files(make, stack):
    assert export(make(), stack) == export(make(), stack)


@every_stack
@every_plan
def test_every_object_of_a_cluster_is_valid_and_has_a_name_of_its_own(make, stack):
    names = set()
    for name, text in export(make(), stack).items():
        if not name.endswith((".yaml", ".yml")):
            continue
        for document in documents(text):
            if "kind" in document:
                assert problems_of_object(document) == []
                key = (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
                assert LABEL.fullmatch(document["metadata"]["name"])
                assert key not in names
                names.add(key)


@every_stack
@every_plan
def test_files_are_text_with_one_line_break_at_the_end(make, stack):
    for name, text in export(make(), stack).items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


@every_stack
def test_what_the_stack_cannot_express_is_said_in_the_files_and_in_the_answer(stack):
    files, said = exported(hard_plan(), stack)
    if not stack_of(stack).weights.startswith("exact"):
        assert any("split" in line or "weight" in line or "rout" in line for line in said) or stack == "vllm"
    assert all(any(line in text for text in files.values()) for line in said) or stack == "csv"


def test_a_name_that_leads_out_of_the_folder_of_adapters_is_refused():
    with pytest.raises(SpecError, match="leads out of the folder of adapters"):
        export(plan_by_hand({"gpu-0": {"../etc": 1.0}}), "kubernetes")


def test_an_adapter_with_the_name_of_the_base_model_is_refused():
    with pytest.raises(SpecError, match="has the name of the base model"):
        export(plan_by_hand({"gpu-0": {everyday_plan().base: 1.0}}), "kubernetes")


def test_secrets_are_named_with_what_they_hold():
    _, said = exported(everyday_plan(), "kubernetes")
    assert said[-1] == (
        "Secrets that the objects refer to: hf-token (key token, may be absent), storage-credentials (environment "
        "variables, may be absent), litellm (key master-key)."
    )


@every_stack
def test_a_standby_is_said(stack):
    files, said = exported(hard_plan(), stack)
    assert "gpu-6" in "\n".join([*files.values(), *said])


NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20)


def is_allowed(name):
    """Whether a name is no pattern of LiteLLM, and no path that leads out of a folder; both are refused."""
    return "*" not in name and not {".", ".."} & {*name.split("/")}


@every_stack
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES.filter(is_allowed), min_size=2, max_size=8, unique=True), st.data())
def test_any_names_and_shares_read_back(stack, names, data):
    """Any names of adapters and servers, and any shares."""
    first, *_ = servers = data.draw(st.lists(NAMES, min_size=1, max_size=3, unique=True), "servers")
    share = data.draw(st.floats(0.01, 0.99), "share") if len(servers) > 1 else 1.0
    settings_of = Server(max_loras=2, max_lora_rank=8, max_cpu_loras=8)
    placed = {server: dict.fromkeys(names[1:], 1.0) if server == first else {} for server in servers}
    placed[first][names[0]] = share
    if len(servers) > 1:
        placed[servers[1]][names[0]] = 1.0 - share
    template = everyday_plan()
    plan = Plan(
        PlanOptions(strategy="by hand", spare=max(0, len(servers) - 2)),
        7,
        lower_bound=1,
        servers=[PlacedServer(name, template.profiles[0].name, settings_of, each) for name, each in placed.items()],
        profiles=template.profiles,
        workload=Workload([Adapter(name, 8, 1.0) for name in names], duration=300.0),
    )
    again = read_again(plan, stack)
    if again.loaded is not None:
        assert again.loaded == {server.name: set(server.adapters) for server in running(plan)}
    if again.routes is not None:
        weights = again.routes[names[0]]
        planned = {server.name: server.adapters[names[0]] for server in running(plan) if names[0] in server.adapters}
        shares = {server: weight / sum(weights.values()) for server, weight in weights.items()}
        assert shares == pytest.approx(planned, abs=2e-6)
