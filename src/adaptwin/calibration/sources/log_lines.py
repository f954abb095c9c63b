"""Log lines: what single lines of vLLM's start-up log say, of versions 0.6 to 0.33."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

GIB_OF_LOG = 1024.0**3  # older versions write GB and mean GiB


class LogFact(NamedTuple):
    """One thing that a line says, under the name of a field of `StartUpFacts` or of `NOT_MODELLED`."""

    field: str
    value: Any


class _Pattern(NamedTuple):
    form: re.Pattern[str]
    fields: tuple[str, ...]  # one for each group
    read: Callable[[str], Any]


def _gib(text: str) -> float:
    return float(text) * GIB_OF_LOG


def _number_with_commas(text: str) -> int:
    return int(text.replace(",", ""))


def _given(setting: str) -> str:
    """A pattern of a setting that is given as a flag or among arguments, and is not None."""
    return rf"(--{setting.replace('_', '[_-]')}[=\s]|{setting}['\"]?\s*[=:])\s*(?!None\b)\S"


_GIB = r"(-?[\d.]+) ?Gi?B"
_PATTERNS = tuple(
    _Pattern(re.compile(form), fields, read)
    for form, fields, read in (
        (r"vLLM API server version v?(\d+\.\d\S*)", ("vllm_version",), str),
        (r"LLM engine \(v?(\d+\.\d[^)\s]*)\)", ("vllm_version",), str),
        (r"device_name=([\w.-]+?)(?:,|\.json|\s|$)", ("gpu",), lambda text: text.replace("_", " ")),
        (r"\bGPU 0: (NVIDIA [\w .-]+?)(?: \(UUID.*)?$", ("gpu",), str),
        (r"max_num_batched_tokens=(\d+)", ("max_num_batched_tokens",), int),
        (r"current --gpu-memory-utilization=([\d.]+)", ("gpu_memory_utilization",), float),
        (r"--gpu-memory-utilization from ([\d.]+)", ("gpu_memory_utilization",), float),
        (r"total_gpu_memory \(([\d.]+)GiB\)", ("total_gpu_bytes",), _gib),
        (r"x gpu_memory_utilization \(([\d.]+)\)", ("gpu_memory_utilization",), float),
        (rf"Model loading took {_GIB}", ("weights_bytes",), _gib),
        (rf"Loading model weights took {_GIB}", ("weights_bytes",), _gib),
        (rf"weights memory: {_GIB}", ("weights_bytes",), _gib),
        (rf"Actual usage is {_GIB} for weight", ("weights_bytes",), _gib),
        (rf"Estimated CUDA graph memory: {_GIB}", ("graph_bytes",), _gib),
        (rf"Available KV cache memory: {_GIB}", ("kv_cache_bytes",), _gib),
        (r"GPU KV cache size: ([\d,]+) tokens", ("kv_cache_tokens",), _number_with_commas),
        (r"# GPU blocks: (\d+)", ("kv_blocks",), int),
        (r"num_gpu_blocks is: (\d+)", ("kv_blocks",), int),
        (r"Maximum concurrency for ([\d,]+) tokens per request", ("max_model_len",), _number_with_commas),
        (_given("speculative_(?:config|model)"), ("speculative_config",), str),
        (_given("kv_transfer_config"), ("kv_transfer_config",), str),
    )
)
_OF_LORA = ("PunicaWrapper", "default LoRA kernel configs")  # lines of servers with LoRA only
_COMMAND = re.compile(r"\bvllm serve(?!\S)(.*)")
_MODEL = re.compile(r"\s*(?!-)(\S+)")  # the first word of a command, unless that is a flag
_FLAG = re.compile(r"(?<!\S)--?([A-Za-z][\w-]*)(?:(?:=|\s+(?!-[A-Za-z-]))(\S+))?")
_ARGUMENTS = re.compile(r"non-default args: \{(.*)\}|args: Namespace\((.*)\)|LLM engine .*with config: (.*)")
_PAIR = re.compile(r"""['"]?(\w+)['"]?\s*[:=]\s*('[^']*'|"[^"]*"|[^\s,'"\[\](){}]+)""")
NOT_MODELLED = ("pipeline_parallel_size", "data_parallel_size")  # unless 1
REFUSED = {  # settings that are not modelled whatever their value
    "speculative_config": "speculative decoding",
    "kv_transfer_config": "a KV connector (prefill/decode disaggregation, KV offloading)",
}
_LOGGED_SETTINGS: dict[str, Callable[[str], Any]] = {
    "model": str,
    "tensor_parallel_size": int,
    "pipeline_parallel_size": int,
    "data_parallel_size": int,
    "block_size": int,
    "quantization": str,
    "kv_cache_dtype": str,
    "max_model_len": int,
    "max_num_seqs": int,
    "max_num_batched_tokens": int,
    "gpu_memory_utilization": float,
    "max_loras": int,
    "max_lora_rank": int,
}
_SWITCHES = ("enable_lora", "fully_sharded_loras", "enforce_eager")
_OTHER_NAMES = {
    "max_seq_len": "max_model_len",
    "tp": "tensor_parallel_size",
    "pp": "pipeline_parallel_size",
    "dp": "data_parallel_size",
    "q": "quantization",
}
_NOT_GIVEN = ("None", "auto", "")


def facts_of_line(line: str) -> Iterator[LogFact]:
    """Yield what a line says; a value that cannot be read is passed over, as lines may be cut."""
    for pattern in _PATTERNS:
        if found := pattern.form.search(line):
            for field, text in zip(pattern.fields, found.groups(), strict=True):
                try:
                    yield LogFact(field, pattern.read(text))
                except ValueError:
                    continue
    if any(words in line for words in _OF_LORA):
        yield LogFact("enable_lora", True)
    yield from _settings_of_line(line)


def _settings_of_line(line: str) -> Iterator[LogFact]:
    """Yield the settings in a command, or in a line that lists the arguments of a server."""
    if command := _COMMAND.search(line):
        if model := _MODEL.match(command[1]):
            yield LogFact("model", model[1].strip("'\""))
        yield from _settings(_flags(command[1]))
    elif arguments := _ARGUMENTS.search(line):
        text = next(group for group in arguments.groups() if group is not None)
        yield from _settings((name, value.strip("'\"")) for name, value in _PAIR.findall(text))


def _flags(words: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of flags, in all spellings that vLLM takes; a switch is True or False."""
    for flag, value in _FLAG.findall(words):
        name = flag.replace("-", "_")
        switched_off = name.removeprefix("no_")
        if name in _SWITCHES:
            yield name, "False" if value.lower() == "false" else "True"
        elif switched_off in _SWITCHES:
            yield switched_off, "False"
        else:
            yield name, value.strip("'\"")


def _settings(pairs: Iterator[tuple[str, str]]) -> Iterator[LogFact]:
    """Yield the settings that are known, the first of each name; None means that one was not given."""
    seen = set()
    for name, value in pairs:
        field = _OTHER_NAMES.get(name, name)
        if field in seen or value in _NOT_GIVEN or (field, value) == ("max_model_len", "-1"):  # as auto
            continue
        if field in _SWITCHES and value in ("True", "False"):
            seen.add(field)
            yield LogFact(field, value == "True")
        elif field in _LOGGED_SETTINGS:
            seen.add(field)
            try:
                yield LogFact(field, _LOGGED_SETTINGS[field](value))
            except ValueError:
                continue
