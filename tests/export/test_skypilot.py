"""SkyPilot: services with what they copy, and nothing in a place that SkyPilot would give to a shell."""

import re
import subprocess

import pytest
from tests.export.hard_plans import LLAMA, LONG, SETTINGS, everyday_plan, hard_plan
from tests.export.read_back import documents, modules_in
from tests.export.read_skypilot import tasks_of, words_of
from tests.export.schemas import problems_of

from adaptwin import Adapter, Plan, Workload
from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey
from adaptwin.export.skypilot import accelerator_of
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

SERVICE_NAME = re.compile(r"[a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?")  # sky/skylet/constants.py
TASK_NAME = re.compile(r"[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*")  # sky/task.py
every_plan = pytest.mark.parametrize("make", [everyday_plan, hard_plan])


def plan_of(adapters, server="gpu-0"):
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=[PlacedServer(server, LLAMA.name, SETTINGS, {adapter.name: 1.0 for adapter in adapters})],
        profiles=[LLAMA],
        workload=Workload(adapters, duration=300.0),
    )


def task_of(plan, options=None):
    (task,) = tasks_of(export(plan, "skypilot", options)).values()
    return task


@every_plan
def test_every_task_is_valid(make):
    for task in tasks_of(export(make(), "skypilot")).values():
        assert problems_of(task, "skypilot/task") == []
        assert problems_of(task["service"], "skypilot/service") == []
        assert problems_of(task["resources"], "skypilot/resources") == []


@every_plan
def test_the_files_are_what_skypilot_itself_reads(make):
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed: its own parser is not asked")
    for text in (text for name, text in export(make(), "skypilot").items() if name.endswith(".sky.yaml")):
        (config,) = documents(text)
        task = sky.Task.from_yaml_config(config)
        task.validate_name()
        assert task.service.readiness_path == "/health"
        assert task.run == documents(text)[0]["run"]


@pytest.mark.parametrize("name", [LONG, "Rack 1/GPU 1", "1", "日本語", "gpu-0"])
def test_names_of_services_are_short_and_legal(name):
    (label,) = tasks_of(export(plan_of([Adapter("a", 8, 1.0)], name), "skypilot"))
    assert len(label) <= 30
    assert SERVICE_NAME.fullmatch(label)
    assert TASK_NAME.fullmatch(label)


@every_plan
def test_nothing_that_is_copied_has_a_sign_of_the_shell(make):
    for task in tasks_of(export(make(), "skypilot")).values():
        for target, source in task.get("file_mounts", {}).items():
            assert re.fullmatch(r"/[A-Za-z0-9_./-]+", target)
            assert re.fullmatch(r"[A-Za-z0-9_.~/@+=,:-]+", source)
            assert not source.endswith("/")  # which SkyPilot refuses


def test_an_adapter_is_copied_to_where_vllm_looks():
    places = [
        None,
        "s3://bucket/b/",
        "gs://bucket/c",
        "/weights/d",
        "~/e",
        "hf://org/f",
        "s3://bucket/two words",
        "ftp://x",
    ]
    adapters = [Adapter(f"a {i}", 8, 1.0, artifact=place) for i, place in enumerate(places)]
    plan = plan_of(adapters)
    task = task_of(plan)
    paths = modules_in(words_of(task))
    mounts = [task["file_mounts"].get(paths[adapter.name]) for adapter in adapters]
    own = paths["a 0"].rpartition("/")[2]
    assert re.fullmatch(r"a-0-[0-9a-f]{8}", own)
    assert mounts == [f"./adapters/{own}", "s3://bucket/b", "gs://bucket/c", "/weights/d", "~/e", None, None, None]
    assert paths["a 5"] == "org/f"
    said = "\n".join(exported(plan, "skypilot").said)
    assert f"put the weights of each in ./adapters/NAME beside the service files, ./adapters/{own} for a 0." in said
    assert (
        f"cannot copy the artifacts of 2 adapters, such as s3://bucket/two words: copy that one to {paths['a 6']}"
        in said
    )


def test_everyday_names_of_folders_stay():
    task = task_of(plan_of([Adapter("Tenant_1.b", 8, 1.0)]))
    assert task["file_mounts"] == {"/adapters/Tenant_1.b": "./adapters/Tenant_1.b"}


def test_a_shell_gives_vllm_the_words_of_the_command(tmp_path):
    program = tmp_path / "vllm"
    program.write_text("#!/bin/sh\nprintf '%s\\037' \"$@\"\n", encoding="utf-8")
    program.chmod(0o755)
    for task in tasks_of(export(hard_plan(), "skypilot")).values():
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": "/home/user"}
        done = subprocess.run(["bash", "-c", task["run"]], env=environment, capture_output=True, check=True, text=True)
        assert done.stdout.split("\037")[:-1] == ["serve", *words_of(task)]


def test_a_merged_model_is_copied_and_served_under_the_adapters_name():
    (task,) = (
        each
        for each in tasks_of(export(hard_plan(), "skypilot")).values()
        if each["envs"]["ADAPTWIN_SERVER"] == "gpu-4"
    )
    model, *words = words_of(task)
    assert task["file_mounts"] == {model: f"./merged/{model.rpartition('/')[2]}"}
    assert "--served-model-name=merged one" in words


@pytest.mark.parametrize(
    ("hardware", "name"),
    [
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA RTX A6000", "RTXA6000"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTXPRO6000"),
        ("My card: v2", "Mycardv2"),
        ("日本", "GPU"),
    ],
)
def test_gpus_have_the_names_of_skypilot(hardware, name):
    assert accelerator_of(hardware) == name


def test_addresses_are_those_given_or_said_to_be_assumed():
    plan = everyday_plan()
    given = ExportOptions(urls={"gpu-0": "http://1.2.3.4:30001", "gpu-1": "http://1.2.3.4:30002"})
    files, said = exported(plan, "skypilot", given)
    (config,) = documents(files["litellm.yaml"])
    assert problems_of(config, "litellm/config") == []
    bases = {entry["litellm_params"]["api_base"] for entry in config["model_list"]}
    assert bases == {"http://1.2.3.4:30001/v1", "http://1.2.3.4:30002/v1"}
    assert not any("assumed" in line for line in said)
    assert any("assumed ones for 2 services. Read them with `sky serve status --endpoint gpu-0`" in line
               for line in exported(plan, "skypilot").said)  # fmt: skip


def test_an_api_key_is_a_secret_without_a_value():
    task = task_of(plan_of([Adapter("a", 8, 1.0)]), ExportOptions(api_key=SecretKey(name="vllm", key="key")))
    assert task["secrets"] == {"HF_TOKEN": "", "VLLM_API_KEY": None}
