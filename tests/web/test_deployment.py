"""The files for containers: valid, without a secret, and never as root."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT.parent / "shared" / "schemas" / "compose" / "compose-spec.json"
COMPOSE, DOCKERFILE = ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "Dockerfile"


def services():
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


@pytest.mark.skipif(not SCHEMA.exists(), reason="the schema of Compose is not here")
def test_the_compose_file_is_valid():
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(
        yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    )


def test_the_page_runs_read_only_without_rights_and_only_this_machine_reaches_it():
    for name in ("adaptwin", "watch", "dashboard"):
        page = services()[name]
        assert page["read_only"]
        assert page["cap_drop"] == ["ALL"]
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert not service.get("privileged")


def test_grafana_finds_the_dashboard_and_its_source(tmp_path):
    file = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    source = yaml.safe_load(file["configs"]["datasource"]["content"])["datasources"][0]["uid"]
    (command,) = file["services"]["dashboard"]["command"]
    written = tmp_path / "watch.json"
    script = command.replace("$$", "$").replace("/tmp/watch.json", str(tmp_path / "made.json"))
    script = script.replace("/dashboards/watch.json", str(written)).replace(
        "adaptwin ", f"{sys.executable} -m adaptwin "
    )
    subprocess.run(["sh", "-c", script], check=True)
    text = written.read_text(encoding="utf-8")
    assert "DS_PROMETHEUS}" not in text
    uids = re.findall(r'"uid": "([^"]+)"', text)
    assert source in uids


def test_prometheus_asks_the_services_where_they_listen():
    file = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    jobs = yaml.safe_load(file["configs"]["prometheus"]["content"])["scrape_configs"]
    for job in jobs:
        (target,) = job["static_configs"][0]["targets"]
        name, port = target.split(":")
        command = file["services"][name].get("command") or DOCKERFILE.read_text(encoding="utf-8")
        assert port in str(command)


def test_no_file_holds_a_secret():
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            assert re.fullmatch(rf"\$\{{{name}:\?[^}}]+\}}|\$\{{GRAFANA_PASSWORD:\?[^}}]+\}}", value)
    assert not re.search(r"(?i)(password|token|key)\s*=\s*\S+", DOCKERFILE.read_text(encoding="utf-8"))


def test_the_builder_gets_only_what_the_package_is_built_from():
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    taken = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    assert taken == {"LICENSE", "README.md", "constraints.txt", "pyproject.toml", "src"}
    assert all((ROOT / name).exists() for name in taken)


def test_the_image_runs_as_nobody_in_particular_and_needs_a_token_beyond_itself():
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001:10001"]
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    assert command[:3] == ["serve", "--host", "0.0.0.0"]
    assert "--without-token" not in command
