"""Artifacts: where the weights of an adapter are, as the serving stacks tell places apart."""

import re
from typing import NamedTuple

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_HF_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SAME_SCHEME = {"huggingface": "hf", "gcs": "gs", "file": "path"}


class Artifact(NamedTuple):
    """A place of weights: its scheme and the rest.

    The scheme is ``path`` for a folder, ``hf`` for a repository of Hugging Face, or that of a URL, such as ``s3``.
    """

    scheme: str
    place: str

    @property
    def url(self) -> str:
        """The place as a URL, such as ``hf://org/name`` or ``s3://bucket/key``; a folder as its path."""
        return self.place if self.scheme == "path" else f"{self.scheme}://{self.place}"

    @property
    def for_vllm(self) -> str:
        """The place as vLLM takes it: a folder, or the name of a repository without ``hf://``."""
        return self.place if self.scheme in ("path", "hf") else self.url


def artifact_of(text: str) -> Artifact:
    """Return the place that a text means.

    A text such as ``org/name`` is a repository of Hugging Face, as vLLM takes it where it finds no such folder; one
    that begins with ``/``, ``.`` or ``~`` is a folder.
    """
    if url := _URL.fullmatch(text):
        scheme = _SAME_SCHEME.get(url[1], url[1])
        return Artifact(scheme, url[2])
    return Artifact("hf" if _HF_REPOSITORY.fullmatch(text) else "path", text)
