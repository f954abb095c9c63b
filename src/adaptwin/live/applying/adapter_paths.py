"""AdapterPaths: where a server finds the weights of an adapter."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Self

from adaptwin.errors import SpecError
from adaptwin.plan.plan import Plan
from adaptwin.visible import quoted
from adaptwin.workload.artifacts import artifact_of


class AdapterPaths(NamedTuple):
    """Paths and repositories of adapters, as the servers know them."""

    artifacts: Mapping[str, str | None]  # by adapter, as the plan has them
    folder: str | None  # on the servers, with a folder for each adapter that has no artifact

    @classmethod
    def of_plans(cls, plans: Iterable[Plan], folder: str | None) -> Self:
        """Return the paths of the adapters of plans."""
        return cls({adapter.name: adapter.artifact for plan in plans for adapter in plan.workload.adapters}, folder)

    def known(self) -> dict[str, str]:
        """Return the path of every adapter that vLLM can load, by adapter."""
        found = {}
        for name in self.artifacts:
            with suppress(SpecError):
                found[name] = self.path(name)
        return found

    def path(self, name: str) -> str:
        """Return what a server is told to load; raises `SpecError` if there is nothing that vLLM can load."""
        if text := self.artifacts.get(name):
            artifact = artifact_of(text)
            if artifact.scheme not in ("path", "hf"):
                raise SpecError(f"vLLM cannot load {quoted(text)}: copy it to a folder of the servers", name)
            return artifact.for_vllm
        if not self.folder:
            raise SpecError("has no artifact: give --adapters-folder, a folder on the servers with its weights", name)
        return f"{self.folder.rstrip('/')}/{name}"

    def differs(self, name: str, loaded_from: str) -> bool:
        """Whether an adapter was clearly loaded from another folder than the plan's."""
        text = self.artifacts.get(name)
        artifact = artifact_of(text) if text else None
        both_are_folders = artifact and artifact.place.startswith("/") and loaded_from.startswith("/")
        return bool(both_are_folders and artifact and artifact.place.rstrip("/") != loaded_from.rstrip("/"))
