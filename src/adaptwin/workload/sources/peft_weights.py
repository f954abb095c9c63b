"""The weights of a PEFT adapter: whether they are there, whole, of the configured rank, and of the base model's shapes.

Only the headers of safetensors files are read. Files of PyTorch (``.bin``, ``.pt``) are pickles, which run code when
they are loaded, so only their presence and size are looked at.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.spec import read_mapping
from adaptwin.workload.lora_support import ServedModel, modules_offered
from adaptwin.workload.sources.peft_config import PeftConfig
from adaptwin.workload.sources.safetensors_header import Tensor, read_safetensors_header
from adaptwin.workload.sources.text_links import followed

WEIGHTS = "adapter_model.safetensors"
PICKLES = ("adapter_model.bin", "adapter_model.pt")
INDEXES = tuple(f"{name}.index.json" for name in (WEIGHTS, PICKLES[0]))
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
MOST_TOLD = 8  # problems of one kind in a file
_LORA = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(?:([AB])\.weight|embedding_([AB]))")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d{1,9})\.")
_KEPT_BASE = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")  # skipped by vLLM (vllm/lora/utils.py)
_LFS = b"version https://git-lfs"


class CheckedWeights(NamedTuple):
    """What was found in the weights of an adapter."""

    damages: tuple[str, ...] = ()  # why they cannot be loaded by anybody
    refusals: tuple[str, ...] = ()  # why vLLM does not load them into the model
    dtypes: tuple[str, ...] = ()  # of the tensors, the most frequent first; empty if they were not looked into
    size: int = 0  # bytes of the files


def check_weights(folder: Path, config: PeftConfig, served: ServedModel) -> CheckedWeights:
    """Check the weights in an adapter's folder against its configuration, and against the model that is served."""
    try:
        files, refusals = _files(folder)
        size = sum(_size(followed(file)) for file in files)
        if not files[0].name.endswith(".safetensors"):
            return CheckedWeights(refusals=refusals, size=size)
        tensors = {file.name: read_safetensors_header(followed(file)) for file in files}
    except SpecError as error:
        file = Path(error.file or folder)
        place = [file.name] if file != folder else []
        return CheckedWeights(damages=(": ".join(filter(None, (*place, error.field, error.message))),))
    matrices = _Matrices(tensors)
    dtypes = Counter(tensor.dtype for of_file in tensors.values() for tensor in of_file.values())
    return CheckedWeights(
        damages=(
            *_told(matrices.unpaired()),
            *_told(_wrong_ranks(matrices, config)),
            *_told(_targets(matrices, config)),
        ),
        refusals=(*refusals, *_told(matrices.others), *_told(_misfits(matrices, served)), *_told(matrices.no_floats())),
        dtypes=tuple(name for name, _ in dtypes.most_common()),
        size=size,
    )


def _files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files of the weights, and why vLLM does not load such files; raises `SpecError` if one is missing."""
    for name in (WEIGHTS, *PICKLES):
        if (folder / name).is_symlink() or (folder / name).exists():
            return [folder / name], ()
    for index in INDEXES:
        if (folder / index).exists():
            return _shards(followed(folder / index), folder), (f"{index}: vLLM does not load weights in several files",)
    raise SpecError(f"no weights: there is none of {', '.join((WEIGHTS, *PICKLES, *INDEXES))}", file=folder)


def _shards(index: Path, folder: Path) -> list[Path]:
    """Return the files in a folder that an index names."""
    names = read_mapping(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise SpecError("must be a mapping of tensors to files", "weight_map", index)
    for name in names.values():
        if Path(name).name != name:
            raise SpecError(f"{name!r} must be a file in the same folder", "weight_map", index)
    return [folder / name for name in sorted(set(names.values()))]


def _size(file: Path) -> int:
    """Return the size of a file in bytes; raises `SpecError` if it is missing, empty, or not downloaded."""
    try:
        if not file.is_file():
            raise SpecError("is not there, or no file", file=file)
        with file.open("rb") as opened:
            start = opened.read(len(_LFS))
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=file) from None
    if not start:
        raise SpecError("is empty", file=file)
    if start == _LFS:
        raise SpecError("is a pointer of Git LFS: the weights were not downloaded", file=file)
    return file.stat().st_size


class _Matrix(NamedTuple):
    """A matrix of a LoRA: where it stands, and what it is."""

    place: str  # file and tensor
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape


class _Matrices:
    """The tensors of an adapter, sorted into the matrices A and B of its modules and other ones."""

    def __init__(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.a: dict[str, _Matrix] = {}  # by module
        self.b: dict[str, _Matrix] = {}
        self.others: list[str] = []
        for file, of_file in tensors.items():
            for name, tensor in of_file.items():
                place = f"{file}: {json.dumps(name)[1:-1]}"
                if found := _LORA.fullmatch(name):
                    side = self.a if "A" in (found[2], found[3]) else self.b
                    side[found[1]] = _Matrix(place, tensor)
                elif not name.endswith(_KEPT_BASE):
                    self.others.append(f"{place}: neither a matrix lora_A nor lora_B, so vLLM does not load it")

    def pairs(self) -> Iterator[tuple[str, _Matrix, _Matrix]]:
        """Yield the modules that have both matrices, with them, as far as these are matrices."""
        for module in self.a.keys() & self.b.keys():
            if len(self.a[module].shape) == len(self.b[module].shape) == 2:
                yield module, self.a[module], self.b[module]

    def unpaired(self) -> Iterator[str]:
        """Yield what is no pair of matrices."""
        if not self.a and not self.b:
            yield "the files hold no matrices lora_A and lora_B"
        for side, other, name in ((self.a, self.b, "lora_B"), (self.b, self.a, "lora_A")):
            for module, matrix in side.items():
                if len(matrix.shape) != 2:
                    yield f"{matrix.place}: shape {list(matrix.shape)} is not that of a matrix"
                if module not in other:
                    yield f"{matrix.place}: {name} of the same module is missing"

    def no_floats(self) -> Iterator[str]:
        """Yield the matrices of types that vLLM does not convert."""
        for matrix in (*self.a.values(), *self.b.values()):
            if matrix.tensor.dtype not in FLOATS:
                yield f"{matrix.place}: {matrix.tensor.dtype} is not one of {', '.join(FLOATS)}"


def _wrong_ranks(matrices: _Matrices, config: PeftConfig) -> Iterator[str]:
    """Yield the matrices whose rank is not the configured one."""
    for module, a, b in matrices.pairs():
        rank = _configured_rank(module, config)
        for matrix, found in ((a, a.shape[0]), (b, b.shape[1])):
            if found != rank:
                yield f"{matrix.place}: shape {list(matrix.shape)} has rank {found}, but the configuration says {rank}"


def _configured_rank(module: str, config: PeftConfig) -> int:
    """Return the rank of a module: that of the first pattern that matches the end of its name, as in PEFT."""
    for pattern, rank in config.rank_pattern.items():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                return rank
        except re.error:
            continue
    return config.r


def _targets(matrices: _Matrices, config: PeftConfig) -> Iterator[str]:
    """Yield target modules without matrices, and matrices of no target module, if the targets are plain names."""
    targets = config.target_modules or ()
    if not targets or not all(re.fullmatch(r"[\w.]+", name) for name in targets):
        return
    modules = matrices.a.keys() | matrices.b.keys()
    ends = {end for module in modules for end in _endings(module)}
    if modules and not config.excludes:
        for name in targets:
            if name not in ends:
                yield f"no matrices of the target module {name}"
    for module in modules:
        if not set(targets) & set(_endings(module)):
            yield f"{(matrices.a.get(module) or matrices.b[module]).place}: of no module in target_modules"


def _endings(module: str) -> list[str]:
    """Return a module's name from each of its parts on: ``a.b.c``, ``b.c`` and ``c``."""
    parts = module.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _misfits(matrices: _Matrices, served: ServedModel) -> Iterator[str]:
    """Yield the matrices that do not fit the modules of the model, as far as these are known."""
    offered, shape = modules_offered(served), served.shape
    for module, a, b in matrices.pairs():
        name = module.rpartition(".")[2]
        if name not in offered:
            yield f"{a.place}: the model offers no module {name} for LoRA"
        if shape is None:
            continue
        layer = _LAYER.search(module)
        if layer and int(layer[1]) >= shape.layers:
            yield f"{a.place}: the model has no layer {layer[1]}, but {shape.layers}, counted from 0"
        inputs, outputs = shape.widths.get(name, (None, None))
        for matrix, found, width, what in ((a, a.shape[1], inputs, "inputs"), (b, b.shape[0], outputs, "outputs")):
            if width is not None and found != width:
                yield f"{matrix.place}: shape {list(matrix.shape)} has {found:,} {what}, but {name} has {width:,}"


def _told(problems: Iterable[str]) -> list[str]:
    """Return problems in order, those after the first few as a number."""
    found = sorted(problems)
    more = [f"and {len(found) - MOST_TOLD:,} more like these"] if len(found) > MOST_TOLD else []
    return found[:MOST_TOLD] + more
