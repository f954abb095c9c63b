"""Shell text: words in which names are data, whatever characters they have."""

import json
import re
import shlex

from adaptwin.export.vllm_flags import Flag

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+][A-Za-z0-9_.:/@%+-]*")  # without a sign that the shell, argparse or vLLM reads
_FOLDER = '"$ADAPTERS"'
_JSON_FOLDER = '"$ADAPTERS_JSON"'
_MERGED_FOLDER = '"$MERGED"'


def word(text: str) -> str:
    """Return text as one word of a command."""
    return shlex.quote(text)


def command_words(flag: Flag) -> str:
    """Return a flag with its values as a part of a command."""
    return " ".join(map(word, flag.words))


def lora_module(name: str, artifact: str | None) -> str:
    """Return a value of ``--lora-modules``: ``name=path``, or JSON unless name and path are plain.

    vLLM splits ``name=path`` at the sign of equality, reads a value with a comma as JSON, and argparse takes a value
    that begins with a hyphen for an option. Without an artifact, the path is ``$ADAPTERS/<name>``.
    """
    if _PLAIN.fullmatch(name) and (not artifact or _PLAIN.fullmatch(artifact)):
        return f"{name}={artifact}" if artifact else f"{name}={_FOLDER}/{name}"
    if artifact:
        return word(json.dumps({"name": name, "path": artifact}))
    before, after = json.dumps({"name": name, "path": "/"})[:-3], f"/{json.dumps(name)[1:]}}}"
    return word(before) + _JSON_FOLDER + word(after)


def option_of_name(option: str, name: str) -> str:
    """Return an option with a name as its value, which argparse takes for the value even if it begins with a hyphen."""
    return f"{option} {name}" if _PLAIN.fullmatch(name) else f"{option}={word(name)}"


def merged_model(name: str) -> str:
    """Return the path of a model into which an adapter's weights are merged: ``$MERGED/<name>``."""
    return f"{_MERGED_FOLDER}/{word(name)}"


def folders(commands: str) -> list[str]:
    """Return the lines that set the folders which the commands use, unless the environment does."""
    lines = _adapters_folder(commands)
    if _MERGED_FOLDER in commands:
        lines.append('MERGED="${MERGED:-merged}"  # folder of the models with merged weights')
    return lines


def _adapters_folder(modules: str) -> list[str]:
    """Return the lines that set the folder of adapters without an artifact, if the commands use it."""
    lines = []
    if _FOLDER in modules or _JSON_FOLDER in modules:
        lines.append('ADAPTERS="${ADAPTERS:-adapters}"  # folder of the adapters without an artifact')
    if _JSON_FOLDER in modules:
        lines.append(r"""ADAPTERS_JSON="$(printf '%s\n' "$ADAPTERS" | sed 's/[\\"]/\\&/g')"  # the same, inside JSON""")
    return lines
