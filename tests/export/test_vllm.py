"""vllm: a shell script with one exact ``vllm serve`` command per server."""

import json
import os
import shlex
import subprocess

import pytest

from adaptwin import Adapter, Plan, Server, Workload, load_profile, make_plan
from adaptwin.export import export
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.plan.failover import Failover
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.profile.derive import derive_profile

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
START = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve"
H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
AWKWARD = [
    "two words",
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "a;b",
    "back\\slash",
    "ünïcode",
    "-x",
    "*",
    "tenant/chat",
    "#1",
]

FAKE_VLLM = """\
#!/bin/sh
{
  printf '%s' "$VLLM_ALLOW_RUNTIME_LORA_UPDATING"
  for word in "$@"; do printf '\\037%s' "$word"; done
} > "$CALLS/$4"  # the word after --port
"""


def script_of(plan):
    return export(plan, "vllm")["serve.sh"]


def plan_of(adapters, *servers):
    """Make a plan by hand; a server is given as its settings and a mapping of names to shares."""
    placed = [PlacedServer(f"gpu-{i}", H100.name, *server) for i, server in enumerate(servers)]
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=placed,
        profiles=[H100],
        workload=Workload(adapters, duration=300.0),
    )


def commands(script):
    """Return the words of every command in a script, as the shell splits them; each must end with ``&``."""
    joined = script.replace("\\\n", " ").splitlines()
    lines = [line for line in joined if " vllm serve " in line]
    assert all(line.endswith(" &") for line in lines)
    return [shlex.split(line.removesuffix(" &")) for line in lines]


def modules_of(words):
    """Return the names and paths that vLLM reads in the words of ``--lora-modules``, which come last."""
    values = words[words.index("--lora-modules") + 1 :]
    assert not [value for value in values if value.startswith("-")]  # argparse would read an option
    return [tuple(value.split("=")) if "," not in value else tuple(json.loads(value).values()) for value in values]


@pytest.fixture
def run_script(tmp_path):
    """Return a function that runs a script with a fake vllm and returns environment setting and words by port."""
    program, calls = tmp_path / "bin" / "vllm", tmp_path / "calls"
    program.parent.mkdir()
    calls.mkdir()
    program.write_text(FAKE_VLLM, encoding="utf-8")
    program.chmod(0o755)

    def run(script, **variables):
        (tmp_path / "serve.sh").write_text(script, encoding="utf-8")
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "CALLS": str(calls), "HOME": "/home/user", **variables}
        done = subprocess.run(
            ["sh", tmp_path / "serve.sh"], env=environment, cwd=tmp_path, capture_output=True, check=True
        )
        assert done.stderr == b""
        return [call.read_text(encoding="utf-8").split("\037") for call in sorted(calls.iterdir())]

    return run


@pytest.fixture(scope="module")
def planned():
    """Make a plan of several servers with a hot adapter, mixed ranks, base-model traffic and awkward names."""
    names = [Adapter(name, (8, 16)[i % 2], 0.4) for i, name in enumerate(AWKWARD)]
    hot, base = Adapter("hot", 8, 45.0, artifact="/models/hot one"), Adapter("base", 0, 1.0)
    return make_plan(H100, Workload([*names, hot, base], duration=300.0))


def test_the_command_is_exact_word_for_word():
    adapters = [Adapter("a0", 8, 1.0), Adapter("a1", 16, 1.0, artifact="s3://bucket/a1"), Adapter("base", 0, 1.0)]
    first = Server(max_loras=1, max_lora_rank=8, max_cpu_loras=1)
    second = Server(
        max_loras=1, max_lora_rank=16, max_cpu_loras=5, max_num_seqs=128, max_num_batched_tokens=4096,
        max_model_len=8192, gpu_memory_utilization=0.85, block_size=32,
    )  # fmt: skip
    script = script_of(plan_of(adapters, (first, {"a0": 1.0}), (second, {"a1": 1.0, "base": 1.0})))
    assert commands(script) == [
        shlex.split(
            f"CUDA_VISIBLE_DEVICES=0 {START} {MODEL} --port 8000 --gpu-memory-utilization 0.9 --max-model-len 131072"
            " --max-num-seqs 256 --max-num-batched-tokens 2048 --block-size 16 --enable-chunked-prefill"
            " --enable-prefix-caching"
            " --enable-lora --max-loras 1 --max-lora-rank 8 --max-cpu-loras 1 --lora-modules a0=$ADAPTERS/a0"
        ),
        shlex.split(
            f"CUDA_VISIBLE_DEVICES=1 {START} {MODEL} --port 8001 --gpu-memory-utilization 0.85"
            " --max-model-len 8192 --max-num-seqs 128 --max-num-batched-tokens 4096 --block-size 32"
            " --enable-chunked-prefill --enable-prefix-caching"
            " --enable-lora --max-loras 1 --max-lora-rank 16 --max-cpu-loras 5 --lora-modules a1=s3://bucket/a1"
        ),
    ]


def test_a_server_of_the_base_model_only_has_no_lora_flags():
    plan = plan_of([Adapter("base", 0, 1.0)], (Server(max_loras=0, max_cpu_loras=0), {"base": 1.0}))
    script = script_of(plan)
    expected = (
        f"CUDA_VISIBLE_DEVICES=0 {START} {MODEL} --port 8000 --gpu-memory-utilization 0.9 --max-model-len 131072"
        " --max-num-seqs 256 --max-num-batched-tokens 2048 --block-size 16 --enable-chunked-prefill"
        " --enable-prefix-caching"
    )
    assert commands(script) == [shlex.split(expected)]
    assert "lora" not in script.replace("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "")
    assert "ADAPTERS" not in script


def merged_plan(name="hot", artifact=None):
    """Make a plan of a server with merged weights, and one that serves the rest of the adapter and another one."""
    adapters = [Adapter(name, 8, 45.0, artifact=artifact), Adapter("a", 8, 1.0)]
    merged = Server(max_num_seqs=1024).with_merged_weights()
    lora = Server(max_loras=2, max_lora_rank=8, max_cpu_loras=2)
    return plan_of(adapters, (merged, {name: 0.75}), (lora, {name: 0.25, "a": 1.0}))


def test_a_server_with_merged_weights_starts_with_the_merged_model_under_the_name_of_the_adapter():
    script = script_of(merged_plan())
    merged, lora = commands(script)
    assert merged == shlex.split(
        "CUDA_VISIBLE_DEVICES=0 vllm serve $MERGED/hot --port 8000 --gpu-memory-utilization 0.9"
        " --max-model-len 131072 --max-num-seqs 1024 --max-num-batched-tokens 2048 --block-size 16"
        " --enable-chunked-prefill --enable-prefix-caching --served-model-name hot"
    )
    assert "--enable-lora" in lora
    assert lora[1] == "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
    assert 'MERGED="${MERGED:-merged}"  # folder of the models with merged weights' in script
    assert "# gpu-0: 1 adapter, profile" in script
    assert "# has the weights of hot merged into those of the model: no requests for" in script
    assert "# serves only a part of the traffic of: hot (75%)" in script
    assert "merge_and_unload()" in script


def test_without_merged_weights_nothing_is_said_of_them():
    script = script_of(plan_of([Adapter("a", 8, 1.0)], (Server(max_lora_rank=8), {"a": 1.0})))
    assert "erged" not in script.replace("MERGED", "merged")


@pytest.mark.parametrize("name", AWKWARD)
def test_the_name_of_an_adapter_with_merged_weights_reaches_vllm_as_it_is(run_script, name):
    (allowed, *words), _ = run_script(script_of(merged_plan(name, artifact="/weights/hot")), MERGED="/m m")
    assert allowed == ""
    assert words[:2] == ["serve", f"/m m/{name}"]
    assert "=".join(words).endswith(f"--enable-prefix-caching=--served-model-name={name}")


def test_the_script_says_what_the_plan_assumes():
    script = script_of(plan_of([Adapter("a", 8, 1.0)], (Server(max_lora_rank=8), {"a": 1.0})))
    assert f"# The plan assumes: {MODEL} on NVIDIA H100 64 GB (MareNostrum 5), vLLM 0.8.5 (measured), with" in script
    assert "# The plan assumes: lengths ShareGPT (assumed; 222 in, 196 out)." in script
    assert "# The plan assumes: no prompts that begin alike." in script


def test_settings_that_this_version_of_vllm_does_not_know_are_named_in_a_comment():
    server = Server(max_lora_rank=8, watermark=0.05, async_scheduling=True)
    script = script_of(plan_of([Adapter("a", 8, 1.0)], (server, {"a": 1.0})))
    assert "# simulated with async_scheduling true, watermark 0.05, for which vLLM 0.8.5 has no flag" in script
    assert "--watermark" not in script


def test_a_standby_is_described_but_not_started():
    plan = plan_of([Adapter("a", 8, 1.0)], (Server(max_loras=1, max_lora_rank=8), {"a": 1.0}))
    script = script_of(with_standbys(plan.model_copy(update={"options": PlanOptions(spare=1)})))
    assert len(commands(script)) == 1
    assert f"# gpu-1: a standby, profile {H100.name}. When another server fails, run its command here," in script
    assert "with CUDA_VISIBLE_DEVICES=1 and --port 8001." in script


def test_a_base_model_server_that_takes_over_adapters_has_slots_for_them():
    settings = Server(max_loras=2, max_lora_rank=16, max_cpu_loras=4)
    plan = plan_of([Adapter("base", 0, 1.0), Adapter("a", 8, 1.0)], (settings, {"base": 1.0}), (settings, {"a": 1.0}))
    failover = Failover(("gpu-1",), {"a": {"gpu-0": 1.0}})
    script = script_of(plan.model_copy(update={"failover": (failover,)}))
    base, _ = commands(script)
    assert "--enable-lora" in base
    assert base[base.index("--max-loras") + 1] == "2"
    assert "--lora-modules" not in base
    assert "load its adapters on other servers" in script


def test_where_every_adapter_names_its_weights_no_folder_is_needed():
    plan = plan_of([Adapter("a", 8, 1.0, artifact="org/a")], (Server(max_lora_rank=8), {"a": 1.0}))
    assert "ADAPTERS" not in script_of(plan)


def test_the_share_of_an_adapters_traffic_is_shown():
    server = Server(max_lora_rank=8)
    script = script_of(plan_of([Adapter("hot", 8, 1.0)], (server, {"hot": 0.25}), (server, {"hot": 0.75})))
    assert "# serves only a part of the traffic of: hot (25%)" in script
    assert "# serves only a part of the traffic of: hot (75%)" in script


def test_a_real_plan_gives_valid_shell(planned, tmp_path):
    (tmp_path / "serve.sh").write_text(script_of(planned), encoding="utf-8")
    done = subprocess.run(["sh", "-n", tmp_path / "serve.sh"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_vllm_gets_every_adapter_on_the_right_server(planned, run_script):
    calls = run_script(script_of(planned), ADAPTERS="/weights of mine")
    assert planned.gpus > 1
    assert len(calls) == planned.gpus
    artifacts = {adapter.name: adapter.artifact for adapter in planned.workload.adapters}
    for server, (allowed, *words) in zip(planned.servers, calls, strict=True):
        assert allowed == "True"
        loras = [name for name in server.adapters if name != "base"]
        assert modules_of(words) == [(name, artifacts[name] or f"/weights of mine/{name}") for name in loras]


def test_vllm_gets_the_settings_of_the_plan(planned, run_script):
    for number, (server, (_, *words)) in enumerate(zip(planned.servers, run_script(script_of(planned)), strict=True)):
        assert words[:2] == ["serve", MODEL]
        pairs = [
            word
            for word in words[2:]
            if word not in ("--enable-lora", "--enable-chunked-prefill", "--enable-prefix-caching")
        ]
        flags = dict(zip(pairs[::2], pairs[1::2], strict=False))
        assert flags["--port"] == str(8000 + number)
        tokens, seqs = server.server.budgets(H100)
        assert (flags["--max-num-seqs"], flags["--max-num-batched-tokens"]) == (str(seqs), str(tokens))
        assert flags["--max-loras"] == str(server.server.max_loras)
        assert flags["--max-lora-rank"] == str(server.server.max_lora_rank)
        assert flags["--max-cpu-loras"] == str(server.server.max_cpu_loras)


def test_weights_are_looked_for_in_a_folder_beside_the_script_by_default(run_script):
    plan = plan_of([Adapter("a", 8, 1.0)], (Server(max_lora_rank=8), {"a": 1.0}))
    (_, *words), *_ = run_script(script_of(plan))
    assert words[-1] == "a=adapters/a"


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_reaches_vllm_as_it_is(run_script, name):
    plan = plan_of(
        [Adapter(name, 8, 1.0), Adapter("b", 8, 1.0, artifact=name)],
        (Server(max_lora_rank=8), {name: 0.5, "b": 1.0}),
        (Server(max_lora_rank=8), {name: 0.5}),
    )
    first, second = run_script(script_of(plan), ADAPTERS="/w")
    assert modules_of(first) == [(name, f"/w/{name}"), ("b", name)]
    assert modules_of(second) == [(name, f"/w/{name}")]


def test_the_folder_of_weights_may_have_signs_of_json(run_script):
    plan = plan_of([Adapter("two words", 8, 1.0)], (Server(max_lora_rank=8), {"two words": 1.0}))
    ((_, *words),) = run_script(script_of(plan), ADAPTERS='/w"\\d"')
    assert modules_of(words) == [("two words", '/w"\\d"/two words')]


def test_an_empty_artifact_counts_as_none(run_script):
    plan = plan_of([Adapter("a", 8, 1.0, artifact="")], (Server(max_lora_rank=8), {"a": 1.0}))
    ((_, *words),) = run_script(script_of(plan))
    assert modules_of(words) == [("a", "adapters/a")]


@pytest.mark.parametrize("artifact", ["s3://models/step=900", "/weights/a,b"])
def test_weights_with_a_sign_of_vllms_own_are_given_as_json(run_script, artifact):
    plan = plan_of([Adapter("a", 8, 1.0, artifact=artifact)], (Server(max_lora_rank=8), {"a": 1.0}))
    ((_, *words),) = run_script(script_of(plan))
    assert json.loads(words[-1]) == {"name": "a", "path": artifact}


def test_a_script_says_which_files_must_be_quantised_and_asks_vllm_for_the_others():
    workload = Workload([Adapter("a", 8, 0.5)], duration=300.0)
    scripts = {
        method: script_of(
            make_plan(
                derive_profile(gpu="h100-sxm", model="Llama-3.1-8B-Instruct", quantization=method),
                workload,
                server=Server(max_model_len=8192),
            )
        )
        for method in ("awq", "fp8")
    }
    said = "must be quantised: the plan counts on weights 4.16 bits"
    assert said in " ".join(scripts["awq"].replace("#", " ").split())
    assert "must be quantised" not in scripts["fp8"]
    assert "--quantization fp8" in scripts["fp8"]
    assert "--quantization" not in scripts["awq"]
