"""MachineCode: the machine code of a compiled function on disk, one file for each signature and type of processor.

It takes the place of Numba's own cache, which needs a writable folder before anything is compiled, fails on damaged
files, and can mix up the files of two processes that compile at once.
"""

import hashlib
import os
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from adaptwin.cache_folders import cache_folders, make_folder

_DIGEST_BYTES = 16
_rebuild: Any = CompileResult._rebuild
_dumps: Any = dumps


class MachineCode(FunctionCache):
    """The machine code of one function, as a dispatcher of Numba loads and saves it.

    A file that is damaged, or was made from other sources, is as good as none: the function is compiled anew and the
    file is replaced. Without any writable folder, nothing is kept.

    Args:
        function: The Python function.
        stamp: Hash of all sources that its machine code depends on.
    """

    def __init__(self, function: Callable[..., object], stamp: str) -> None:
        self._py_func: Any = function
        self._version = f"adaptwin {stamp} {numba.__version__}\n".encode()
        self._source = function.__code__.co_filename

    @property
    def cache_path(self) -> str:
        """The preferred folder."""
        return str(next(self._folders()))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature, or None if there is no sound machine code for it."""
        target_context.refresh()
        for folder in self._folders():
            reduced = self._read(folder / self._file_name(sig, target_context.codegen()))
            if reduced is not None:
                with suppress(Exception):  # of Numba or LLVM: compile it anew
                    return _rebuild(target_context, *pickle.loads(reduced))  # noqa: S301 (its digest fits)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code of a signature in the first folder that can be written to."""
        if data.library.has_dynamic_globals or any(not part.can_cache for part in data.lifted):
            return
        name, reduced = self._file_name(sig, data.codegen), _dumps(data._reduce())
        for folder in self._folders():
            with suppress(OSError):
                self._write(folder / name, reduced)
                return

    def flush(self) -> None:
        """Remove the machine code that can be removed."""
        for file in self._files():
            with suppress(OSError):
                file.unlink()

    def enable(self) -> None:
        """Nothing: the machine code is always kept."""

    def disable(self) -> None:
        """Nothing: the machine code is always kept."""

    def is_kept_for(self, codegen: Any) -> bool:
        """Whether there is sound machine code of some signature for the processor of this code generator."""
        processor = _digest(codegen.magic_tuple())
        return any(f"-{processor}-" in file.name and self._read(file) is not None for file in self._files())

    def _folders(self) -> Iterator[Path]:
        return cache_folders(self._source)

    def _files(self) -> Iterator[Path]:
        return (file for folder in self._folders() for file in folder.glob(f"{self._base}-*.machine-code"))

    @property
    def _base(self) -> str:
        function = self._py_func
        return f"{function.__module__}.{function.__qualname__}".replace("<", "").replace(">", "")

    def _file_name(self, sig: Any, codegen: Any) -> str:
        _, processor, code = self._index_key(sig, codegen)  # type: ignore[no-untyped-call]
        return f"{self._base}-{_digest(processor)}-{_digest((str(sig), code))}.machine-code"

    def _read(self, file: Path) -> bytes | None:
        """Return what a file holds, or None if it is missing, damaged, or made from other sources."""
        try:
            content = file.read_bytes()
        except OSError:
            return None
        head = len(self._version)
        digest, reduced = content[head : head + _DIGEST_BYTES], content[head + _DIGEST_BYTES :]
        return reduced if content[:head] == self._version and digest == _digest_of(reduced) else None

    def _write(self, file: Path, reduced: bytes) -> None:
        make_folder(file.parent)
        temporary = file.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(self._version + _digest_of(reduced) + reduced)
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _digest_of(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _digest(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=8).hexdigest()
