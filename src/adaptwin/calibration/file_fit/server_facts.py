"""Server facts: which GPU, model and version of vLLM files are of, as options or the files themselves say."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.model_names import model_key, quantised_in, same_shapes, same_weights
from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
from adaptwin.profile.hardware.model_config import shipped_models
from adaptwin.profile.hardware.quantization import QUANTIZATIONS, quantization_by_name
from adaptwin.visible import quoted

_MAKERS = re.compile(r"^(nvidia|geforce|tesla)[\s_-]+", re.IGNORECASE)
_NO_LETTERS = re.compile(r"[^a-z0-9]")


class FileFacts(NamedTuple):
    """What a file says of its server; None: it does not say."""

    file: str
    gpu: str | None = None
    model: str | None = None
    vllm_version: str | None = None
    tensor_parallel_size: int | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None


class ServerFacts(NamedTuple):
    """The server of all files, with what was said twice, or assumed."""

    gpu: str  # name of a data sheet
    model: str
    vllm_version: str | None
    tensor_parallel_size: int
    quantization: str | None
    kv_cache_dtype: str
    said: tuple[str, ...]  # sentences on what contradicts an option, or is assumed


def server_facts(files: Sequence[FileFacts], options: FileFacts) -> ServerFacts:
    """Return the facts of a server; options take precedence over files.

    Raises:
        SpecError: No file and no option names the GPU or the model, or files without an option contradict each other.
    """
    said: list[str] = []
    gpus = [(each.file, named_gpu(each.gpu)) for each in files]
    models = [(each.file, named_model(each.model)) for each in files]
    gpu = _option_or_files("gpu", "--gpu", options.gpu, gpus, said)
    model = _option_or_files("model", "--model", options.model, models, said)
    _require_known(files, gpu, model)
    assert gpu is not None
    assert model is not None
    said += _names_not_known(files, model)
    version = _option_or_files(
        "version of vLLM", "--vllm-version", options.vllm_version, _of(files, "vllm_version"), said
    )
    quantised = []
    if options.quantization is None:
        quantised = [(each.file, named_quantization(each, model)) for each in files]
    quantization = _option_or_files("quantization", "--quantization", options.quantization, quantised, said)
    if options.quantization is None and quantised_in(model):  # as derived profiles take it from the name
        quantization = None
    gpus_of_server = _option_or_files(
        "number of GPUs",
        "--tensor-parallel-size",
        options.tensor_parallel_size,
        _of(files, "tensor_parallel_size"),
        said,
    )
    cache = _option_or_files(
        "type of the KV cache", "--kv-cache-dtype", options.kv_cache_dtype, _of(files, "kv_cache_dtype"), said
    )
    return ServerFacts(
        gpu=gpu,
        model=model,
        vllm_version=version,
        tensor_parallel_size=1 if gpus_of_server is None else gpus_of_server,
        quantization=quantization,
        kv_cache_dtype="auto" if cache is None else cache,
        said=tuple(said),
    )


def _require_known(files: Sequence[FileFacts], gpu: str | None, model: str | None) -> None:
    """Raise `SpecError` with the options to give where no file names the GPU, or a model that adaptwin knows."""
    missing = {}
    if gpu is None:
        missing["--gpu"] = f"the GPU{_names_in_brackets(each.gpu for each in files)}"
    if model is None:
        missing["--model"] = f"a model that adaptwin knows{_names_in_brackets(each.model for each in files)}"
    if missing:
        raise SpecError(f"no file names {' or '.join(missing.values())}: give {' and '.join(missing)}", "FILE")


def _of(files: Sequence[FileFacts], name: str) -> list[tuple[str, Any]]:
    return [(each.file, getattr(each, name)) for each in files]


def _option_or_files(what: str, option: str, given: Any, found: Sequence[tuple[str, Any]], said: list[str]) -> Any:
    """Return the value of an option, or else that of the files; say where a file contradicts the option."""
    known = [(file, value) for file, value in found if value is not None]
    if given is not None:
        for file, value in known:
            if not _same(what, given, value):
                said.append(f"{file} says {what} {value}; {option} {given} is taken")
        return given
    distinct = {str(value): file for file, value in known}
    if len({model_key(value) if what == "model" else value for value in distinct}) > 1:
        (one, file), (other, second) = list(distinct.items())[:2]
        raise SpecError(f"{file} is of {what} {one}, and {second} of {other}: fit one server at a time", option)
    return known[0][1] if known else None


def _same(what: str, one: Any, other: Any) -> bool:
    if what == "model":  # that of an option may be a path
        return named_model(str(one)) is None or same_shapes(str(one), str(other))
    if what == "gpu":
        return bool(named_gpu(str(one)) == other)
    return str(one) == str(other)


def named_gpu(name: str | None) -> str | None:
    """Return the name of the data sheet of a GPU, as nvidia-smi or a user names it; None if there is none."""
    if name is None:
        return None
    bare = name
    while (shorter := _MAKERS.sub("", bare)) != bare:
        bare = shorter
    wanted = _letters(bare)
    by_hardware = {_letters(_MAKERS.sub("", load_gpu(each).hardware)): each for each in shipped_gpus()}
    if wanted in by_hardware:
        return by_hardware[wanted]
    try:
        return load_gpu(bare).name
    except SpecError:
        return None


def _letters(text: str) -> str:
    return _NO_LETTERS.sub("", text.lower().removeprefix("geforce"))


def named_model(name: str | None) -> str | None:
    """Return the shipped model with the shapes of the one that is named, the most alike; None if there is none.

    The name of a copy in fewer bits is returned as it is, since it says how many.
    """
    if name is None or name.startswith(("/", ".", "~")):
        return None
    likely = (
        [known for known in shipped_models() if known.lower() == name.lower()],
        [name if quantised_in(name) else known for known in shipped_models() if same_weights(known, name)],
        [known for known in shipped_models() if same_shapes(known, name)],
    )
    return next((found[0] for found in likely if found), None)


def named_quantization(facts: FileFacts, model: str) -> str | None:
    """Return the method by which a file says that the weights are quantised, one of `QUANTIZATIONS`; None: not at all.

    Raises:
        SpecError: The log names a method that leaves the number of bits open, and the name of the model does as well.
    """
    if facts.quantization is not None:
        method = facts.quantization.removesuffix("_marlin").removeprefix("auto_")
        if method in QUANTIZATIONS:
            return method
        if not (quantised_in(facts.model or "") or quantised_in(model) or os.path.exists(model)):
            raise SpecError(
                f"{facts.file} says {facts.quantization}, which leaves the number of bits open: say which of "
                f"{', '.join(QUANTIZATIONS)}, or give the config.json as --model",
                "--quantization",
            )
    found = quantization_by_name(facts.model) if facts.model and quantised_in(facts.model) else None
    return found.method if found else None


def _names_not_known(files: Iterable[FileFacts], model: str) -> list[str]:
    """Return a sentence for each name in a file that adaptwin does not know, so that nobody has compared it."""
    return [
        f"{each.file} names the model {each.model}, taken to have the shapes of {model}"
        for each in files
        if each.model is not None and named_model(each.model) is None
    ]


def _names_in_brackets(names: Iterable[str | None]) -> str:
    found = list(dict.fromkeys(name for name in names if name))
    return f" ({', '.join(quoted(name) for name in found)})" if found else ""
