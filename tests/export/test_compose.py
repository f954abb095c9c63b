"""Docker Compose: services with devices of their own, folders that are mounted, and names that stay literal."""

import pytest
from tests.export.hard_plans import LLAMA, SETTINGS, everyday_plan, hard_plan
from tests.export.read_back import documents, modules_in
from tests.export.read_compose import compose_of, servers_of
from tests.export.schemas import problems_of

from adaptwin import Adapter, Plan, Workload
from adaptwin.errors import SpecError
from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

KEY = ExportOptions(api_key=SecretKey(name="vllm", key="api-key"))


def plan_of(*artifacts, servers=("gpu-0",)):
    """Make a plan with an adapter for each artifact, named a0, a1, ...; all are on every server."""
    adapters = [Adapter(f"a{i}", 8, 1.0, artifact=artifact) for i, artifact in enumerate(artifacts)]
    shares = {adapter.name: 1 / len(servers) for adapter in adapters}
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=[PlacedServer(name, LLAMA.name, SETTINGS, shares) for name in servers],
        profiles=[LLAMA],
        workload=Workload(adapters, duration=300.0),
    )


@pytest.mark.parametrize("make", [everyday_plan, hard_plan])
@pytest.mark.parametrize("options", [ExportOptions(), KEY], ids=["open", "with a key"])
def test_both_files_are_valid(make, options):
    files = export(make(), "compose", options)
    assert list(files) == ["compose.yaml", "litellm.yaml"]
    (compose,) = documents(files["compose.yaml"])
    (config,) = documents(files["litellm.yaml"])
    assert problems_of(compose, "compose/compose-spec") == []
    assert problems_of(config, "litellm/config") == []


def test_every_server_has_devices_and_a_port_of_its_own_and_those_of_a_standby_stay_free():
    files, said = exported(hard_plan(), "compose")
    devices, ports = [], []
    for service in servers_of(compose_of(files)).values():
        (reserved,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert reserved["capabilities"] == ["gpu"]
        assert "count" not in reserved  # which Compose refuses beside device_ids
        devices.append(reserved["device_ids"])
        ports += service["ports"]
    assert devices == [["0", "1"], ["2"], ["3"], ["4"], ["5"], ["6"]]
    assert ports == [f"127.0.0.1:{8000 + i}:8000" for i in range(6)]
    assert any(
        line.startswith("Standby gpu-6: keep 1 GPU free. Give a failed server the device_ids 7") for line in said
    )


def test_names_are_no_variables_whatever_the_environment_has():
    files = export(hard_plan(), "compose")
    quiet, loud = (modules_of(files, **variables) for variables in ({}, {"HOME": "/root", "ADAPTERS": "/w"}))
    assert quiet == loud
    assert {"$HOME", "${HOME}", "$(HOME)"} <= set(quiet)


def modules_of(files, **environment):
    services = servers_of(compose_of(files, **environment)).values()
    return {name: path for service in services for name, path in modules_in(service["command"]).items()}


def mounts_of(files, server="gpu-0", **environment):
    """Return sources of a server's volumes by path in its container."""
    service = servers_of(compose_of(files, **environment))[server]
    return {each["target"]: each["source"] for each in service["volumes"]}


def test_a_folder_is_mounted_where_vllm_is_told_to_look():
    files = export(plan_of(None, "/weights/b $x", "./c", "/adapters/d"), "compose")
    mounts, modules = mounts_of(files), modules_of(files)
    assert modules["a0"] == "/adapters/a0"
    assert modules["a3"] == "/adapters/d"
    assert mounts["/adapters"] == "./adapters"
    assert mounts[modules["a1"]] == "/weights/b $x"
    assert mounts[modules["a2"]] == "./c"
    assert modules["a2"].startswith("/artifacts/c-")
    assert mounts_of(files, ADAPTERS="/mnt/loras")["/adapters"] == "/mnt/loras"


def test_only_what_a_server_reads_is_mounted():
    mounts = mounts_of(export(plan_of("org/name", "/weights/b"), "compose"))
    assert set(mounts) == {"/root/.cache/huggingface", "/weights/b"}
    assert mounts_of(export(hard_plan(), "compose"), "gpu-4", MERGED="/m")["/merged"] == "/m"


def test_what_vllm_cannot_load_is_copied_once_before_the_servers_that_need_it_start():
    plan = plan_of("s3://bucket/k", "s3://bucket/two words", "gs://bucket/k", servers=("gpu-0", "gpu-1"))
    compose = compose_of(export(plan, "compose"))
    copying = {name: each["command"] for name, each in compose["services"].items() if name.startswith("download")}
    assert copying == {
        "download--s3": [
            "s3://bucket/k", "/downloads/s3/bucket/k", "s3://bucket/two words", "/downloads/s3/bucket/two words",
        ],
        "download--gs": ["gs://bucket/k", "/downloads/gs/bucket/k"],
    }  # fmt: skip
    assert '"$1" "$2"' in compose["services"]["download--s3"]["entrypoint"][2]
    for service in servers_of(compose).values():
        assert service["depends_on"] == {name: {"condition": "service_completed_successfully"} for name in copying}
    assert compose["services"]["litellm"].get("depends_on") is None


def test_an_api_key_is_asked_for_and_never_written():
    files = export(everyday_plan(), "compose", KEY)
    with pytest.raises(ValueError, match="set the API key of the servers"):
        compose_of(files)
    with pytest.raises(ValueError, match="set the key that the proxy asks for"):
        compose_of(files, VLLM_API_KEY="secret", LITELLM_MASTER_KEY="")
    services = compose_of(files, VLLM_API_KEY="secret")["services"]
    assert services["litellm"]["environment"]["LITELLM_MASTER_KEY"] == "sk-1"
    assert {name: each["environment"]["VLLM_API_KEY"] for name, each in services.items() if "env_file" not in each} == {
        "gpu-0": "secret",
        "gpu-1": "secret",
        "litellm": "secret",
    }
    assert "os.environ/VLLM_API_KEY" in files["litellm.yaml"]
    assert "VLLM_API_KEY" not in "".join(export(everyday_plan(), "compose").values())


def test_a_token_of_hugging_face_is_passed_on_only_if_it_is_set():
    services = servers_of(compose_of(export(everyday_plan(), "compose")))
    assert all(each["environment"]["HF_TOKEN"] is None for each in services.values())


def test_a_server_may_be_called_like_the_proxy():
    files = export(plan_of(None, servers=("litellm", "gpu-1")), "compose")
    compose = compose_of(files)
    assert set(servers_of(compose)) == {"litellm", "gpu-1"}
    assert compose["services"]["litellm"]["image"].startswith("ghcr.io/berriai/litellm")
    (config,) = documents(files["litellm.yaml"])
    hosts = {entry["litellm_params"]["api_base"] for entry in config["model_list"]}
    assert hosts == {f"http://{name}:8000/v1" for name in set(compose["services"]) - {"litellm"}}


def test_a_port_that_the_proxy_needs_is_refused():
    with pytest.raises(SpecError, match="4000 is the port of LiteLLM's proxy"):
        export(everyday_plan(), "compose", ExportOptions(port=3999))
    compose = compose_of(export(everyday_plan(), "compose", ExportOptions(port=4001)))
    assert compose["services"]["gpu-0"]["ports"] == ["127.0.0.1:4001:4001"]
    assert compose["services"]["gpu-1"]["ports"] == ["127.0.0.1:4002:4001"]
