"""The header of a safetensors file: names, types and shapes of its tensors, read without loading them.

Eight bytes say how long the header is, as a little-endian number. The header is a JSON object from names to ``dtype``,
``shape`` and ``data_offsets``, which count from its end. The data of the tensors fill the rest of the file without
gaps (the format's specification, https://github.com/huggingface/safetensors).
"""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from adaptwin.errors import SpecError

LARGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors library
_DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}


class Tensor(NamedTuple):
    """Type and shape of a tensor, and where its data begin and end, in bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        SpecError: The file cannot be read, is no safetensors file, or does not have the size that its header says.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SpecError("cannot be read: it is no file", file=path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(LARGEST_HEADER, size - 8):
                raise SpecError(f"no safetensors file, or truncated: {_lengths(size, length)}", file=path)
            header = file.read(length)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=path) from None
    tensors = _tensors(header, path)
    _require_filled(tensors, size - 8 - length, path)
    return tensors


def _lengths(size: int, length: int) -> str:
    if size < 8:
        return f"it has {size} bytes"
    return f"it has {size:,} bytes, and its first eight say that the header alone has {length:,}"


def _tensors(header: bytes, path: Path) -> dict[str, Tensor]:
    try:
        entries = json.loads(header)
    except (ValueError, RecursionError):
        raise SpecError("no safetensors file: its header is not valid JSON", file=path) from None
    if not isinstance(entries, dict):
        raise SpecError("no safetensors file: its header is no mapping", file=path)
    return {name: _tensor(name, entry, path) for name, entry in entries.items() if name != "__metadata__"}


def _tensor(name: str, entry: Any, path: Path) -> Tensor:
    fields = entry if isinstance(entry, dict) else {}
    dtype: Any = fields.get("dtype")
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    if not (isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
        raise SpecError("its header entry has no valid dtype, shape and data_offsets", _printable(name), path)
    tensor = Tensor(dtype, tuple(shape), *offsets)
    bits = _DTYPE_BITS.get(dtype)
    needed = None if bits is None else math.prod(shape) * bits // 8
    if needed is not None and needed != tensor.end - tensor.begin:
        what = f"{dtype} of shape {list(shape)} takes {needed:,} bytes, not {tensor.end - tensor.begin:,}"
        raise SpecError(what, _printable(name), path)
    return tensor


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _require_filled(tensors: dict[str, Tensor], data: int, path: Path) -> None:
    """Raise `SpecError` if the data of the tensors do not fill a number of bytes without gaps."""
    reached = 0
    for name, tensor in sorted(tensors.items(), key=lambda each: (each[1].begin, each[1].end)):
        if tensor.end > data:
            what = f"truncated: its data end at byte {tensor.end:,}, but the file holds {data:,} after the header"
            raise SpecError(what, _printable(name), path)
        if tensor.begin != reached:
            raise SpecError(f"its data begin at byte {tensor.begin:,}, not {reached:,}", _printable(name), path)
        reached = tensor.end
    if reached != data:
        raise SpecError(f"holds {data:,} bytes after the header, but its tensors end at byte {reached:,}", file=path)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
