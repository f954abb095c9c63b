"""Packing: what travels to the GPU machine, and what is blanked in its libraries."""

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from slim import ELF, HOPPER, MAGIC, PTX, slim

from .conftest import TOOLS

IMAGE_HEADER, BODY = 64, 32


def image(kind, architecture):
    header = struct.pack("<HHIQ", kind, 0, IMAGE_HEADER, BODY) + bytes(12) + struct.pack("<I", architecture)
    return header.ljust(IMAGE_HEADER, b"h") + bytes([architecture]) * BODY


def container(*images):
    body = b"".join(image(*each) for each in images)
    return MAGIC + struct.pack("<HHQ", 1, 16, len(body)) + body


@pytest.fixture
def library(tmp_path):
    """Return a function from the bytes of GPU code to an object file that holds them."""
    if not (shutil.which("cc") and shutil.which("readelf")):
        pytest.skip("needs cc and readelf")

    def make(code: bytes) -> Path:
        (tmp_path / "code").write_bytes(code)
        source = tmp_path / "library.s"
        source.write_text(f'.section .nv_fatbin,"a"\n.incbin "{tmp_path / "code"}"\n')
        subprocess.run(["cc", "-c", str(source), "-o", str(tmp_path / "library.o")], check=True)
        return tmp_path / "library.o"

    return make


def test_code_for_other_gpus_is_blanked_and_nothing_moves(library, tmp_path):
    path = library(container((ELF, 80), (ELF, HOPPER), (PTX, 80)) + container((ELF, 75), (PTX, 80), (PTX, 100)))
    slim(path, tmp_path / "slim.o")
    before, after = path.read_bytes(), (tmp_path / "slim.o").read_bytes()
    assert len(before) == len(after)
    kept = [body for body in (75, 80, 90, 100) if bytes([body]) * BODY in after]
    assert kept == [80, 90]  # the PTX of the container without native code, and the native code
    assert after.count(bytes([80]) * BODY) == 1
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    assert changed == 4 * BODY


def test_another_format_is_refused(library, tmp_path):
    with pytest.raises(SystemExit, match="a new format"):
        slim(library(b"something else" * 10), tmp_path / "slim.o")


def test_every_package_that_travels_has_one_version():
    lines = (TOOLS / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines)
    names = [line.split("==")[0] for line in lines]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("script", ["measure", "assemble", "law"])
def test_scripts_need_nothing_beside_python_until_they_measure(script, tmp_path):
    for path in TOOLS.glob("*.py"):
        shutil.copy(path, tmp_path)
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {script}"],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr


def test_no_script_has_the_name_of_a_module_that_vllm_could_mean():
    taken = sys.stdlib_module_names | {"kernels", "torch", "vllm", "triton", "transformers", "peft", "profile"}
    assert not {path.stem for path in TOOLS.glob("*.py")} & taken
