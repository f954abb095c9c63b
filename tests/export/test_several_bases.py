"""Export of plans of several base models: one script, in which every adapter is on a server of its base."""

import shlex

import pytest

from adaptwin import Adapter, Workload, load_profile, make_plans
from adaptwin.export import export
from adaptwin.export.registry import STACKS

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen2.5-7B-Instruct"
PROFILES = [load_profile("h100-64gb-llama-3.1-8b-instruct"), load_profile("h100-64gb-qwen-2.5-7b-instruct")]


@pytest.fixture(scope="module")
def plans():
    """Return plans for adapters whose traffic needs several GPUs for Llama, one of Qwen, and traffic to the bases."""
    adapters = [Adapter(f"a{i:02}", 8, 4.0 if i % 3 else 0.2, base=LLAMA if i % 3 else QWEN) for i in range(24)]
    bases = [Adapter("llama", 0, 0.5, base=LLAMA), Adapter("qwen", 0, 0.5, base=QWEN)]
    return make_plans(PROFILES, Workload([*adapters, *bases], duration=300.0))


@pytest.fixture(scope="module")
def commands(plans):
    """Return the words of every command of the script."""
    lines = export(plans)["serve.sh"].replace("\\\n", " ").splitlines()
    return [shlex.split(line.removesuffix(" &")) for line in lines if " vllm serve " in line]


def after(words, flag):
    return words[words.index(flag) + 1]


def test_every_adapter_is_once_on_a_server_of_its_base(plans, commands):
    served = [
        (value.partition("=")[0], after(words, "serve"))
        for words in commands
        for value in words[words.index("--lora-modules") + 1 :]
    ]
    wanted = [(adapter.name, adapter.base) for adapter in plans.workload.adapters if adapter.rank]
    assert sorted(served) == sorted(wanted)


def test_devices_and_ports_go_on_through_all_base_models(plans, commands):
    assert len(commands) == plans.gpus > 2
    assert [words[0] for words in commands] == [f"CUDA_VISIBLE_DEVICES={i}" for i in range(plans.gpus)]
    assert [after(words, "--port") for words in commands] == [str(8000 + i) for i in range(plans.gpus)]


def test_what_is_assumed_is_said_once_for_each_base_model(plans):
    script = export(plans)["serve.sh"]
    assert "of 2 base models, planned by adaptwin" in script
    assert script.count("# The plan assumes: meta-llama/") == script.count("# The plan assumes: Qwen/") == 1
    assert script.count("# The plan assumes: lengths ") == 1


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_takes_several_plans(plans, stack):
    text = "\n".join(export(plans, stack).values())
    assert all(server.name in text for plan in plans.plans for server in plan.servers)
