"""ServerAccess: where a server of a plan runs, and where its API key is; a servers file has one for each server."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from adaptwin.errors import SpecError, not_one_of
from adaptwin.file_kinds import SERVERS, WrongKind, kinds_of
from adaptwin.live.connection import require_sendable, server_url, server_urls
from adaptwin.spec import Line, Name, Spec, read_mapping, read_text
from adaptwin.visible import quoted

_MOST_KEY_BYTES = 4096


def _address_of_server(text: str) -> str:
    try:
        return server_url(text)
    except SpecError as error:
        raise ValueError(error.message) from None


def _name_of_variable(text: str) -> str:
    """Return the name of an environment variable; the error does not repeat it, as it may be a key."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("expected the name of an environment variable, which has letters, digits and _ only")
    return text


class ServerAccess(Spec):
    """Address of a running server, and where its API key is; the key itself stands in no file of adaptwin."""

    url: Annotated[str, AfterValidator(_address_of_server)] = Field(
        description="address of the server, such as http://host:8000"
    )
    api_key_env: Annotated[Name, AfterValidator(_name_of_variable)] | None = Field(
        default=None, description="environment variable with the API key of the server"
    )
    api_key_file: Line | None = Field(default=None, description="file whose first line is the API key of the server")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        """Check that the key is in one place."""
        if self.api_key_env and self.api_key_file:
            raise ValueError("api_key_env and api_key_file: give one of them")
        return self

    def api_key(self, usual: str | None, server: str) -> str | None:
        """Return the API key, or the `usual` one if the server has none of its own; raises `SpecError`."""
        if self.api_key_env:
            if not (key := os.environ.get(self.api_key_env)):
                raise SpecError(f"the environment has no {quoted(self.api_key_env)}", f"{server}.api_key_env")
            require_sendable(key, f"{server}.api_key_env")
            return key
        if self.api_key_file:
            lines = read_text(self.api_key_file, _MOST_KEY_BYTES).splitlines()
            if not lines or not lines[0].strip():
                raise SpecError("has no API key in its first line", file=self.api_key_file)
            require_sendable(lines[0].strip(), f"{server}.api_key_file")
            return lines[0].strip()
        return usual

    def key_in_shell(self) -> str | None:
        """Return a shell's word for the API key; None if the server has no key of its own."""
        if self.api_key_file:
            return f"$(head -n 1 {shlex.quote(self.api_key_file)})"
        return f"${self.api_key_env}" if self.api_key_env else None


def read_servers(path: str | Path, names: Iterable[str] | None, *, others: bool = False) -> dict[str, ServerAccess]:
    """Read the servers of a plan from a YAML or JSON file: ``NAME: {url: ..., api_key_env: ...}``, or ``NAME: URL``.

    Args:
        path: The file.
        names: Names of the servers that are needed; None: those of the file.
        others: Whether the file may have other servers, too.

    Raises:
        SpecError: The file is of another kind, or a server is missing or not known, or has no address of its own.
    """
    if (kinds := kinds_of(path)) and SERVERS not in kinds:
        raise WrongKind(kinds[0], SERVERS, path)
    found = {name: _access_of(name, fields, path) for name, fields in read_mapping(path).items()}
    needed = list(found if names is None else names)
    if not others and (unknown := [name for name in found if name not in needed]):
        raise SpecError(not_one_of(unknown[0], needed), unknown[0], path)
    if missing := [name for name in needed if name not in found]:
        raise SpecError(f"the plan's server {quoted(missing[0])} is missing", file=path)
    try:
        server_urls([access.url for access in found.values()])
    except SpecError as error:
        raise error.at(path) from None
    return {name: found[name] for name in needed}


def _access_of(name: str, fields: Any, path: str | Path) -> ServerAccess:
    if isinstance(fields, str):
        fields = {"url": fields}
    if not isinstance(fields, dict):
        raise SpecError("expected an address, or a mapping with url", name, path)
    if "api_key" in fields:
        raise SpecError(
            "keys stand in no file of adaptwin: give the name of an environment variable as api_key_env, or a file "
            "that has the key in its first line as api_key_file",
            f"{name}.api_key",
            path,
        )
    try:
        return ServerAccess.parse(fields)
    except SpecError as error:
        field = (error.field or "").removeprefix(f"{ServerAccess.__name__}.")
        raise SpecError(error.message, f"{name}.{field}" if field else name, path) from None
