"""Calls of vLLM's API as commands, for people who make them by hand."""

import json
import shlex
from collections.abc import Mapping
from typing import NamedTuple

JSON_HEADER = "-H 'Content-Type: application/json'"
CONTINUED = " \\\n  "  # between the lines of a command
USUAL_KEY = "$VLLM_API_KEY"  # as a shell reads it


class Calls(NamedTuple):
    """What calls of running servers need: their addresses, the paths of adapters, and where their keys are."""

    urls: Mapping[str, str]  # by the name of the server
    paths: Mapping[str, str]  # by adapter
    with_key: bool = False
    keys: Mapping[str, str] = {}  # by server: a shell's word for its key, where it is not the usual one

    def load(self, adapter: str, server: str, *, in_place: bool = False) -> str:
        """Return the command that loads an adapter on a server, in place of its weights there if `in_place`."""
        more = {"load_inplace": True} if in_place else {}
        return self._post(server, "load_lora_adapter", {"lora_name": adapter, "lora_path": self.path(adapter), **more})

    def unload(self, adapter: str, server: str) -> str:
        """Return the command that unloads an adapter."""
        return self._post(server, "unload_lora_adapter", {"lora_name": adapter})

    def path(self, adapter: str) -> str:
        """Return where the weights of an adapter are, or what stands for it."""
        return self.paths.get(adapter) or f"PATH-OF-{adapter}"

    def _post(self, server: str, call: str, fields: Mapping[str, str | bool]) -> str:
        url = self.urls.get(server) or f"http://ADDRESS-OF-{server}"
        key = self.keys.get(server) or (USUAL_KEY if self.with_key else None)
        headers = [JSON_HEADER, *([f'-H "Authorization: Bearer {key}"'] if key else [])]
        parts = [
            f"curl -fsS -X POST {shlex.quote(f'{url}/v1/{call}')}",
            *headers,
            f"-d {shlex.quote(json.dumps(fields))}",
        ]
        return CONTINUED.join(parts)
