"""ExportOptions: what a plan does not say and a serving stack must know, such as images and secrets."""

import re
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from adaptwin.errors import SpecError
from adaptwin.live.connection import server_url
from adaptwin.spec import Line, Name, Spec

_NAMESPACE_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_RAY_SCHEMES = ("s3://", "gs://", "abfss://", "azure://")


class SecretKey(Spec):
    """A value in a secret of the cluster: the name of the secret, and the key in it."""

    name: Name = Field(description="name of the secret")
    key: Name = Field(description="key in the secret")


class ExportOptions(Spec):
    """Options of an export. A secret is named, and never written."""

    image: Line | None = Field(
        default=None, description="image of vLLM; None: vllm/vllm-openai with the version of each server's profile"
    )
    router_image: Line = Field(
        default="ghcr.io/berriai/litellm:main-stable", description="image of LiteLLM's proxy, where a stack needs it"
    )
    namespace: Name = Field(default="default", description="namespace of the cluster's objects")
    port: int = Field(default=8000, ge=1, le=65535, description="port of every server in its container or task")
    adapters_folder: Line = Field(
        default="/adapters", description="folder with the weights of adapters that have no artifact, one folder each"
    )
    adapters_claim: Name = Field(default="adapters", description="volume claim that holds this folder")
    merged_folder: Line = Field(
        default="/merged", description="folder with the models that have an adapter's weights merged, one folder each"
    )
    merged_claim: Name = Field(default="merged", description="volume claim that holds this folder")
    hf_token: SecretKey = Field(
        default=SecretKey(name="hf-token", key="token"),
        description="secret with a token of Hugging Face; may be absent there",
    )
    api_key: SecretKey | None = Field(
        default=None, description="secret with the API key of the servers; None: they ask for none"
    )
    api_key_envs: dict[Name, Name] = Field(
        default={}, description="environment variable of LiteLLM's proxy with the API key of a server, by server"
    )
    storage_secret: Name = Field(
        default="storage-credentials",
        description="secret with the environment variables by which s3:// and gs:// are read; may be absent there",
    )
    router_key: SecretKey = Field(
        default=SecretKey(name="litellm", key="master-key"),
        description="secret with the key that LiteLLM's proxy asks for; it does not start without one",
    )
    gpu_resource: Name = Field(default="nvidia.com/gpu", description="name by which the cluster counts GPUs")
    gateway: Name = Field(default="inference-gateway", description="name of the gateway that routes refer to")
    lora_bucket: Line = Field(
        default="s3://adapters",
        description="place of object storage that Ray Serve loads adapters from, with a folder for each server",
    )
    urls: dict[Name, Line] = Field(
        default={}, description="address of servers by name, for routers; others have that of the stack"
    )

    @field_validator("namespace")
    @classmethod
    def _is_label(cls, name: str) -> str:
        if not _NAMESPACE_LABEL.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a namespace: small letters, digits and hyphens, at most 63")
        return name

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: dict[str, str]) -> dict[str, str]:
        try:
            return {name: server_url(url) for name, url in urls.items()}
        except SpecError as error:
            raise ValueError(error.message) from None

    @field_validator("api_key", "hf_token", "router_key", mode="before")
    @classmethod
    def _is_no_value(cls, value: Any) -> Any:
        """Refuse the value of a secret, and do not repeat it."""
        if isinstance(value, str):
            raise ValueError("give the name and the key of a secret of the cluster, and never its value")
        return value

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        """Check that folders in containers are absolute paths."""
        for field in ("adapters_folder", "merged_folder"):
            if not (folder := getattr(self, field)).startswith("/"):
                raise ValueError(f"{field}: {folder!r} must begin with /, as it is a folder in a container")
        return self

    @model_validator(mode="after")
    def _of_object_storage(self) -> Self:
        """Check that Ray can read the place of object storage."""
        if not self.lora_bucket.startswith(_RAY_SCHEMES):
            raise ValueError(f"lora_bucket: {self.lora_bucket!r} must begin with one of {', '.join(_RAY_SCHEMES)}")
        return self
