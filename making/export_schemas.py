"""Make the reduced copies of the serving stacks' own schemas in tests/schemas, from a folder of schemas as published.

    python making/export_schemas.py FOLDER

A copy has no descriptions, refuses unknown fields as a cluster's strict validation does, does not require fields that
have a default, and lacks the parts of pods that no exported file has. What is left is unchanged. Of a chart's values
there is a list of keys too, as a chart says nothing of a key that it does not know.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

OUT = Path(__file__).parents[1] / "tests" / "schemas"

# Copy: file as published, and the version of the custom resource if the file has several.
COPIES = {
    "kubernetes/Deployment.apps.v1": ("kubernetes/deployment-apps-v1.schema.json", None),
    "kubernetes/Service.v1": ("kubernetes/service-v1.schema.json", None),
    "kubernetes/ConfigMap.v1": ("kubernetes/configmap-v1.schema.json", None),
    "kubernetes/ServiceAccount.v1": ("kubernetes/serviceaccount-v1.schema.json", None),
    "kubernetes/Role.rbac.authorization.k8s.io.v1": ("kubernetes/role-rbac-v1.schema.json", None),
    "kubernetes/RoleBinding.rbac.authorization.k8s.io.v1": ("kubernetes/rolebinding-rbac-v1.schema.json", None),
    "compose/compose-spec": ("compose/compose-spec.json", None),
    "litellm/config": ("litellm/config.own.schema.json", None),
    "production-stack/LoraAdapter.production-stack.vllm.ai.v1alpha1": (
        "production-stack/production-stack.vllm.ai_loraadapters.yaml",
        "v1alpha1",
    ),
    "production-stack/values": ("production-stack/values.schema.json", None),
    "aibrix/ModelAdapter.model.aibrix.ai.v1alpha1": ("aibrix/model.aibrix.ai_modeladapters.yaml", "v1alpha1"),
    "dynamo/DynamoModel.nvidia.com.v1alpha1": ("dynamo/nvidia.com_dynamomodels.yaml", "v1alpha1"),
    "dynamo/DynamoGraphDeployment.nvidia.com.v1beta1": (
        "dynamo/DynamoGraphDeployment.v1beta1.reduced.yaml",
        "v1beta1",
    ),
    "llm-d/InferencePool.inference.networking.k8s.io.v1": (
        "llm-d-gie/inference.networking.k8s.io_inferencepools.yaml",
        "v1",
    ),
    "llm-d/HTTPRoute.gateway.networking.k8s.io.v1": ("llm-d-gie/gateway.networking.k8s.io_httproutes.yaml", "v1"),
    "llm-d/InferenceModelRewrite.llm-d.ai.v1alpha2": ("llm-d-gie/llm-d.ai_inferencemodelrewrites.yaml", "v1alpha2"),
    "llm-d/lora-syncer-config": ("llm-d-gie/lora-syncer-config.own.schema.json", None),
    "kserve/LLMInferenceService.serving.kserve.io.v1alpha2": ("kserve/LLMInferenceService.v1alpha2.openapi.json", None),
    "kubeai/Model.kubeai.org.v1": ("kubeai/kubeai.org_models.yaml", "v1"),
    "ray-serve/RayService.ray.io.v1": ("kuberay-ray-serve/RayService.v1.openapi.json", None),
    "ray-serve/LLMConfig": ("kuberay-ray-serve/LLMConfig.own.schema.json", None),
    "envoy-ai-gateway/AIGatewayRoute.aigateway.envoyproxy.io.v1beta1": (
        "envoy-ai-gateway/aigateway.envoyproxy.io_aigatewayroutes.yaml",
        "v1beta1",
    ),
    "envoy-ai-gateway/AIServiceBackend.aigateway.envoyproxy.io.v1beta1": (
        "envoy-ai-gateway/aigateway.envoyproxy.io_aiservicebackends.yaml",
        "v1beta1",
    ),
    "envoy-ai-gateway/BackendSecurityPolicy.aigateway.envoyproxy.io.v1beta1": (
        "envoy-ai-gateway/aigateway.envoyproxy.io_backendsecuritypolicies.yaml",
        "v1beta1",
    ),
    "envoy-ai-gateway/Backend.gateway.envoyproxy.io.v1alpha1": (
        "envoy-ai-gateway/gateway.envoyproxy.io_backends.reduced.yaml",
        "v1alpha1",
    ),
    "skypilot/task": ("skypilot/task.schema.json", None),
    "skypilot/service": ("skypilot/service.schema.json", None),
    "skypilot/resources": ("skypilot/resources.schema.json", None),
}
KEYS = {"production-stack/values-keys": "production-stack/values.yaml"}  # list of keys: values of a chart
_NOT_OURS = {  # published schemas that allow unknown fields where the stack itself ignores them without a word
    "litellm/config",
    "llm-d/lora-syncer-config",
    "compose/compose-spec",
    "ray-serve/LLMConfig",
    "skypilot/task",
    "skypilot/service",
    "skypilot/resources",
}
_WORDS = ("description", "title", "example", "examples", "x-kubernetes-validations", "format", "markdownDescription")
_LEFT_OUT = {  # parts of pods, volumes and services that no exported file has
    "affinity", "appProtocol", "awsElasticBlockStore", "azureDisk", "azureFile", "baseRefs", "cephfs", "cinder", "csi",
    "dnsConfig", "downwardAPI", "ephemeral", "ephemeralContainers", "fc", "flexVolume", "flocker", "gcePersistentDisk",
    "gitRepo", "glusterfs", "hostAliases", "iscsi", "kvCacheOffloading", "lifecycle", "nfs", "photonPersistentDisk",
    "portworxVolume", "prefill", "quobyte", "rbd", "resourceClaims", "scaleIO", "scaling", "schedulingGates",
    "securityContext", "storageos", "topologySpreadConstraints", "vsphereVolume", "worker", "autoscalerOptions",
    "ingress", "dynamicResourceAllocation", "volumeClaimTemplates", "workload",
}  # fmt: skip


def main() -> int:
    """Write all copies; returns the exit code."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    published = Path(sys.argv[1])
    for copy, (name, version) in COPIES.items():
        if not (published / name).is_file():
            print(f"{copy}: {name} is not there, the copy stays as it is")
            continue
        schema = _schema_of(published / name, version)
        target = OUT / f"{copy}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        reduced = _reduced(schema, strict=copy not in _NOT_OURS)
        _drop_unused(reduced)
        target.write_text(json.dumps(reduced, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
        print(f"{copy}: {target.stat().st_size:,} bytes")
    for copy, name in KEYS.items():
        values = yaml.safe_load((published / name).read_text(encoding="utf-8"))
        text = json.dumps(list(dict.fromkeys(_keys_of(values))), indent=0)
        (OUT / f"{copy}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


def _keys_of(value: Any, path: str = "") -> Iterator[str]:
    """Yield the keys of all objects in a value, such as ``spec.items[].name``."""
    if isinstance(value, dict):
        for key, part in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner
            yield from _keys_of(part, inner)
    elif isinstance(value, list):
        for part in value:
            yield from _keys_of(part, f"{path}[]")


def _schema_of(path: Path, version: str | None) -> Any:
    """Return the schema of a file: the file itself, or a version of the custom resource that it defines."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if version is None:
        return data
    found = next(each for each in data["spec"]["versions"] if each["name"] == version)
    return found["schema"]["openAPIV3Schema"]


def _reduced(schema: Any, *, strict: bool) -> Any:
    if isinstance(schema, list):
        return [_reduced(part, strict=strict) for part in schema]
    if not isinstance(schema, dict):
        return schema
    reduced = {
        key: _reduced_keyword(key, value, strict=strict)
        for key, value in schema.items()
        if key not in _WORDS or not isinstance(value, str | list)
    }
    if strict and isinstance(reduced.get("properties"), dict):
        _make_strict(reduced)
    return reduced


def _reduced_keyword(key: str, value: Any, *, strict: bool) -> Any:
    if key in ("default", "enum", "required", "const"):
        return value
    if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, dict):
        left_out = _LEFT_OUT if key == "properties" else set()
        return {name: _reduced(part, strict=strict) for name, part in value.items() if name not in left_out}
    return _reduced(value, strict=strict)


def _make_strict(schema: dict[str, Any]) -> None:
    """Refuse unknown fields, and require none that has a default."""
    if not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if isinstance(schema.get("required"), list):
        parts = schema["properties"].items()
        filled = {name for name, part in parts if isinstance(part, dict) and "default" in part}
        schema["required"] = [name for name in schema["required"] if name not in filled]


def _drop_unused(schema: Any) -> None:
    """Drop definitions that nothing refers to any more."""
    definitions = schema.get("$defs") if isinstance(schema, dict) else None
    while isinstance(definitions, dict):
        text = json.dumps(schema)
        unused = [name for name in definitions if f'"#/$defs/{name}"' not in text]
        if not unused:
            return
        for name in unused:
            del definitions[name]


if __name__ == "__main__":
    sys.exit(main())
