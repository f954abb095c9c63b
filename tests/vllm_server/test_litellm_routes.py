"""LiteLLM's proxy with an exported configuration, in front of two real vLLM servers."""

import json
import os
import re
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from adaptwin import Adapter, Plan, Server, Workload, load_profile
from adaptwin.export import export
from adaptwin.export.options import ExportOptions
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

LITELLM = Path(__file__).resolve().parents[2] / ".venv-litellm" / "bin" / "litellm"
SPLIT_REQUESTS, OTHER_REQUESTS = 400, 10
CHI_SQUARE = 15.1  # of one degree of freedom: exceeded once in ten thousand times
KEY = f"sk-{secrets.token_hex(32)}"
STARTS_WITHIN = 180.0  # seconds

pytestmark = pytest.mark.skipif(not LITELLM.is_file(), reason="make test-live installs LiteLLM")


def plan_of_two():
    """Make a plan in which a00 is split 25 to 75, the others are on one server each, and base traffic on the first."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    settings = Server(max_loras=4, max_lora_rank=16, max_cpu_loras=64)
    adapters = [*(Adapter(name, 8, 1.0) for name in ("a00", "a01", "a03", "a04")), Adapter("tenant of base", 0, 1.0)]
    model = profile.model.model_copy(update={"name": "tiny"})
    profile = profile.model_copy(update={"model": model})
    return Plan(
        PlanOptions(strategy="by hand"),
        0,
        lower_bound=1,
        servers=(
            PlacedServer("gpu-0", profile.name, settings, {"a00": 0.25, "a01": 1.0, "tenant of base": 1.0}),
            PlacedServer("gpu-1", profile.name, settings, {"a00": 0.75, "a03": 1.0, "a04": 1.0}),
        ),
        profiles=[profile],
        workload=Workload(adapters, duration=300.0),
    )


@contextmanager
def proxy(folder, config):
    """Start LiteLLM's proxy with a configuration, and stop it at the end."""
    (folder / "litellm.yaml").write_text(config, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [LITELLM, "--config", folder / "litellm.yaml", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {
        **os.environ,
        "LITELLM_MASTER_KEY": KEY,
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    with (folder / "litellm.log").open("wb") as log:
        running = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=quiet, start_new_session=True)
        try:
            url, until = f"http://127.0.0.1:{port}", time.monotonic() + STARTS_WITHIN
            while not answers(f"{url}/health/readiness"):
                assert running.poll() is None, (folder / "litellm.log").read_text()[-2000:]
                assert time.monotonic() < until, (folder / "litellm.log").read_text()[-2000:]
                time.sleep(0.5)
            yield url
        finally:
            running.terminate()
            running.wait(30)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def asked(url, model):
    """Ask for one token of a model; return the deployment that LiteLLM chose."""
    fields = {"model": model, "prompt": "w1 w2", "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    request.add_header("Authorization", f"Bearer {KEY}")
    with urllib.request.urlopen(request, timeout=60) as response:
        json.load(response)
        return response.headers["x-litellm-model-id"]


def answered_by(server):
    """Return how many requests a vLLM server has answered."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as response:
        page = response.read().decode()
    return sum(float(value) for value in re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", page, re.MULTILINE))


def test_requests_reach_the_planned_server_and_split_adapters_by_weight(tiny, on_cpu, tmp_path):
    plan = plan_of_two()
    first, second = (on_cpu.Settings(core=str(core)) for core in (0, 1))
    with (
        on_cpu.vllm_server(tiny, first, ["a00", "a01"]) as one,
        on_cpu.vllm_server(tiny, second, ["a00", "a03", "a04"]) as other,
    ):
        options = ExportOptions(urls={"gpu-0": one.url, "gpu-1": other.url})
        with proxy(tmp_path, export(plan, "litellm", options)["litellm.yaml"]) as url:
            for name, server in (("a01", "gpu-0"), ("a03", "gpu-1"), ("a04", "gpu-1"), ("tiny", "gpu-0")):
                assert {asked(url, name) for _ in range(OTHER_REQUESTS)} == {f"{name}@{server}"}
            assert {asked(url, "tenant of base") for _ in range(OTHER_REQUESTS)} == {"tenant of base@gpu-0"}
            before = [answered_by(server) for server in (one, other)]
            chosen = Counter(asked(url, "a00") for _ in range(SPLIT_REQUESTS))
            counted = [answered_by(server) - earlier for server, earlier in zip((one, other), before, strict=True)]
            with pytest.raises(urllib.error.HTTPError):
                asked(url, "not-planned")
    assert before == [3 * OTHER_REQUESTS, 2 * OTHER_REQUESTS]
    assert counted == [chosen["a00@gpu-0"], chosen["a00@gpu-1"]]
    expected = [0.25 * SPLIT_REQUESTS, 0.75 * SPLIT_REQUESTS]
    chi_square = sum((seen - share) ** 2 / share for seen, share in zip(counted, expected, strict=True))
    print(f"a00: {counted} of {SPLIT_REQUESTS} requests, planned {expected}, chi-square {chi_square:.2f}")
    assert chi_square < CHI_SQUARE
