"""Ray Serve on KubeRay: LLMConfigs, the nodes that they run on, and what must be copied where."""

import json
import shlex

import pytest
from tests.export.hard_plans import LLAMA, LONG, SETTINGS, everyday_plan, hard_plan
from tests.export.read_ray_serve import copies_of, llm_configs, serve_config_of, service_of
from tests.export.schemas import problems_of

from adaptwin import Adapter, Plan, Workload
from adaptwin.errors import SpecError
from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey
from adaptwin.export.ray_serve import engine_arguments
from adaptwin.export.vllm_flags import Flag
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

every_plan = pytest.mark.parametrize("make", [everyday_plan, hard_plan])


def mixed_plan():
    """Make a plan with two types of GPUs, whose profiles have long names, and one without adapters' weights."""
    other = LLAMA.model_copy(update={"name": LONG, "hardware": "NVIDIA L40S", "vllm_version": "0.22.0"})
    servers = [
        PlacedServer("gpu-0", LLAMA.name, SETTINGS, {"a": 1.0}),
        PlacedServer("gpu-1", other.name, SETTINGS, {"b": 1.0}),
    ]
    workload = Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 1.0)], duration=300.0)
    return Plan(PlanOptions(), 0, lower_bound=1, servers=servers, profiles=[LLAMA, other], workload=workload)


@every_plan
def test_the_configuration_of_ray_serve_is_valid(make):
    assert problems_of(serve_config_of(export(make(), "ray-serve")), "ray-serve/LLMConfig") == []


@every_plan
def test_ray_itself_takes_every_llm_config_and_looks_where_copies_are(make):
    """Ray's own class, without vLLM: ``pip install ray[serve] pyarrow transformers``."""
    pytest.importorskip("transformers", reason="the packages that Ray's own class needs are not installed")
    own = pytest.importorskip(
        "ray.llm._internal.serve.core.configs.llm_config", reason="Ray is not installed: its own class is not asked"
    )
    utils = pytest.importorskip("ray.llm._internal.common.utils.lora_utils")
    files = export(make(), "ray-serve")
    configs = {name: own.LLMConfig.model_validate(config) for name, config in llm_configs(files).items()}
    assert len({config.model_id for config in configs.values()}) == len(configs)
    for row in copies_of(files):
        config = configs[row["server"]]
        assert utils.get_base_model_id(row["model"]) == config.model_id
        assert row["to"] == f"{config.lora_config.dynamic_lora_loading_path}/{utils.get_lora_id(row['model'])}"
        assert config.multiplex_config().max_num_models_per_replica == config.engine_kwargs["max_loras"]


def test_flags_become_arguments_of_the_engine_with_their_types():
    flags = [
        Flag("max-loras", ("4",)),
        Flag("gpu-memory-utilization", ("0.9",)),
        Flag("enable-lora"),
        Flag("no-async-scheduling"),
        Flag("kv-cache-dtype", ("fp8",)),
        Flag("lora-target-modules", ("q_proj",)),
        Flag("watermark", ("0",)),
    ]
    assert engine_arguments(flags) == {
        "max_loras": 4,
        "gpu_memory_utilization": 0.9,
        "enable_lora": True,
        "async_scheduling": False,
        "kv_cache_dtype": "fp8",
        "lora_target_modules": ["q_proj"],
        "watermark": 0,
    }


@every_plan
def test_ray_holds_as_many_adapters_as_there_are_slots(make):
    for config in llm_configs(export(make(), "ray-serve")).values():
        lora, arguments = config.get("lora_config"), config["engine_kwargs"]
        assert (lora is not None) == arguments.get("enable_lora", False)
        assert lora is None or lora["max_num_adapters_per_replica"] == arguments["max_loras"]


def resources_of(group):
    """Return the resources of a node as ``ray start`` gets them, after the shell."""
    (text,) = shlex.split(group["rayStartParams"]["resources"])
    return json.loads(text)


@pytest.mark.parametrize("make", [everyday_plan, hard_plan, mixed_plan])
def test_every_server_fits_on_the_nodes_of_its_profile_and_on_no_others(make):
    files = export(make(), "ray-serve")
    groups = service_of(files)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert len({group["groupName"] for group in groups}) == len(groups)
    free = {}
    for group in groups:
        ((resource, each),) = resources_of(group).items()
        (container,) = group["template"]["spec"]["containers"]
        assert (
            each == int(group["rayStartParams"]["num-gpus"]) == int(container["resources"]["limits"]["nvidia.com/gpu"])
        )
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
        free[resource] = [each] * group["replicas"]
    for config in llm_configs(files).values():
        placement = config["placement_group_config"]
        assert placement["strategy"] == "STRICT_PACK"  # all GPUs of a server are on one node
        ((gpu, one), (resource, each)) = placement["bundles"][0].items()
        assert (gpu, one, each) == ("GPU", 1, 1)
        assert placement["bundles"] == [{"GPU": 1, resource: 1}] * config["engine_kwargs"].get(
            "tensor_parallel_size", 1
        )
        free[resource].remove(len(placement["bundles"]))
    assert not any(free.values())


def test_types_of_gpus_are_told_apart_by_a_label_of_the_node():
    files, said = exported(mixed_plan(), "ray-serve")
    groups = service_of(files)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    labels = [group["template"]["spec"]["nodeSelector"]["adaptwin/profile"] for group in groups]
    assert len(set(labels)) == 2
    assert all(any(f"adaptwin/profile={label}" in line for line in said) for label in labels)
    assert all(len(group["groupName"]) <= 40 for group in groups)


def test_the_weights_of_a_split_adapter_are_copied_to_each_of_its_servers():
    options = ExportOptions(lora_bucket="gs://bucket/loras/")
    rows = copies_of(export(everyday_plan(), "ray-serve", options))
    assert [(row["adapter"], row["from"], row["to"]) for row in rows] == [
        ("tenant-a", "/adapters/tenant-a", "gs://bucket/loras/gpu-0/tenant-a"),
        ("tenant-c", "hf://org/tenant-c", "gs://bucket/loras/gpu-0/tenant-c"),
        ("hot", "/adapters/hot", "gs://bucket/loras/gpu-0/hot"),
        ("tenant-b", "s3://bucket/tenant-b", "gs://bucket/loras/gpu-1/tenant-b"),
        ("hot", "/adapters/hot", "gs://bucket/loras/gpu-1/hot"),
    ]


def test_artifacts_are_copied_from_where_they_are():
    rows = {row["adapter"]: row["from"] for row in copies_of(export(hard_plan(), "ray-serve"))}
    assert rows["two words"] == "/adapters/two words"
    assert rows["it's"] == rows['say "hi"'] == "hf://org/repository"
    assert rows["$HOME"] == "s3://bucket/some key"
    assert rows["$(HOME)"] == "/weights/x y"


def test_a_place_that_ray_cannot_read_is_refused():
    with pytest.raises(SpecError, match="lora_bucket: '/weights' must begin with one of s3://, gs://"):
        ExportOptions.parse({"lora_bucket": "/weights"}, file=None)


def test_a_merged_model_is_mounted_on_the_nodes_of_its_profile():
    files, said = exported(hard_plan(), "ray-serve")
    config = llm_configs(files)["gpu-4"]
    assert config["model_loading_config"] == {"model_id": "gpu-4", "model_source": "/merged/merged one"}
    pair, single = (
        group["template"]["spec"] for group in service_of(files)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    )
    assert "volumes" not in pair
    assert single["volumes"][0]["persistentVolumeClaim"] == {"claimName": "merged", "readOnly": True}
    assert single["containers"][0]["volumeMounts"][0]["mountPath"] == "/merged"
    assert any("volume claim merged" in line for line in said)


def test_the_version_of_vllm_in_rays_image_is_said_unless_it_is_the_plans():
    said = "\n".join(exported(everyday_plan(), "ray-serve").said)
    assert "has vLLM 0.22.0, and the plan is for 0.8.5" in said
    given = ExportOptions(image="registry/ray:mine")
    files, other = exported(everyday_plan(), "ray-serve", given)
    assert "0.22.0" not in "\n".join(other)
    cluster = service_of(files)["spec"]["rayClusterConfig"]
    assert "rayVersion" not in cluster
    assert cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] == "registry/ray:mine"


def test_secrets_are_named_and_an_api_key_is_said_to_guard_nothing():
    options = ExportOptions(api_key=SecretKey(name="vllm", key="key"))
    files, said = exported(everyday_plan(), "ray-serve", options)
    assert any("asks for no API key" in line for line in said)
    head = service_of(files)["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["envFrom"] == [{"secretRef": {"name": "storage-credentials", "optional": True}}]
    assert all(
        "value" not in variable for variable in head["env"] if variable["name"] != "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    )


def test_the_service_has_a_name_that_kuberay_can_lengthen():
    metadata = service_of(export(hard_plan(), "ray-serve"))["metadata"]
    assert len(metadata["name"]) <= 47
    for key, name in metadata["annotations"].items():
        assert key.startswith("adaptwin.server/")
        assert len(key.partition("/")[2]) <= 63
        assert name
