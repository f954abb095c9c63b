"""JSON: every command and sub-command knows ``--json``, and prints nothing else on stdout then."""

import json
import shutil
from pathlib import Path

import pytest

from adaptwin.cli.commands import COMMANDS, load_command

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GROUPS = {name: load_command(name) for name in COMMANDS}
ALL = {
    **{name: command for name, command in GROUPS.items() if not hasattr(command, "commands")},
    **{
        f"{name} {sub}": command
        for name, group in GROUPS.items()
        for sub, command in getattr(group, "commands", {}).items()
    },
}
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
CALLS = [  # those of commands that need servers, hours of runs or logs have tests of their own
    "plan fleet.yaml --report plan.html",
    "simulate fleet.yaml --max-loras 2 --repeats 2 --out run.json",
    "verify plan.yaml",
    "explain plan.yaml",
    "replan plan.yaml fleet.yaml --out new-plan.yaml",
    "export plan.yaml --to vllm --out serve.sh",
    "export plan.yaml --to kserve --out manifests",
    f"workload from-log examples/access-log.jsonl --rank 16 --base-model llama-3.1-8b --profile {PROFILE} --out a.yaml",
    f"workload synth --adapters 5 --rate 4 --ranks 8 --profile {PROFILE} --out b.yaml",
    "profiles",
    "derive --gpu l40s --model Qwen/Qwen2.5-7B-Instruct --out derived.yaml",
    "fit examples/server/vllm.log examples/server/idle.json --gpu l40s --out fitted.yaml",
    "doctor --skip-self-test",
]


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_sub_command_knows_json(name):
    option = next((param for param in ALL[name].params if "--json" in param.opts), None)
    assert option is not None
    assert option.is_flag


@pytest.mark.parametrize("call", CALLS)
def test_json_is_alone_on_stdout(call, adaptwin, planned):
    shutil.copytree(EXAMPLES, planned / "examples")
    done = adaptwin(*call.split(), "--json")
    assert done.code == 0
    assert json.loads(done.out)


def test_nothing_is_on_stdout_where_there_is_no_result(adaptwin):
    done = adaptwin("plan", "fleet.yaml", "--objective", "slo", "--ttft-p99", "1ms", "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("adaptwin: ")
