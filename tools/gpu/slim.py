"""Blank the GPU code that a Hopper GPU (compute capability 9.0) never runs in a CUDA shared library.

    python3 slim.py library.so slim.so

A `.nv_fatbin` section is a row of containers; each holds the same kernels compiled for several architectures, and the
driver picks one image of each container by the images' headers. All headers stay as they are; the bodies of images for
other architectures are zeroed, so that the file keeps its layout and compresses to a fraction. PTX stays in containers
without a Hopper image: there the driver would compile it, as it would have before.
"""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HOPPER = 90
MAGIC, PTX, ELF = b"\x50\xed\x55\xba", 1, 2
SECTIONS = (".nv_fatbin", "__nv_relfatbin")


class Image(NamedTuple):
    """One compilation of the kernels of a container."""

    kind: int  # PTX or ELF
    architecture: int
    start: int
    size: int

    def is_run(self, *, native: bool) -> bool:
        """Whether a Hopper GPU may run it, in a container that has a native image or has none."""
        if self.kind == ELF:
            return self.architecture == HOPPER
        return self.kind == PTX and self.architecture <= HOPPER and not native


def slim(path: Path, out: Path) -> None:
    """Write a library without the code that Hopper never runs.

    Raises:
        SystemExit: The library has another format than is known.
    """
    data, blanked = bytearray(path.read_bytes()), 0
    for offset, size in _fatbin_sections(path):
        position = offset
        while position < offset + size:
            if data[position : position + 4] != MAGIC:
                raise SystemExit(f"{path}: no container at {position:#x}: a new format; carry the library as it is")
            position, images = _container(path, data, position)
            native = any(image.kind == ELF and image.architecture == HOPPER for image in images)
            for image in images:
                if not image.is_run(native=native):
                    data[image.start : image.start + image.size] = bytes(image.size)
                    blanked += image.size
    out.write_bytes(data)
    print(f"{path.name}: {blanked / 2**20:.1f} of {len(data) / 2**20:.1f} MiB blanked")


def _container(path: Path, data: bytearray, position: int) -> tuple[int, list[Image]]:
    """The end of a container, and its images."""
    _, _, header, length = struct.unpack_from("<IHHQ", data, position)
    at, end, images = position + header, position + header + length, []
    while at < end:
        kind, _, image_header, size = struct.unpack_from("<HHIQ", data, at)
        (architecture,) = struct.unpack_from("<I", data, at + 28)
        images.append(Image(kind, architecture, at + image_header, size))
        at += image_header + size
    if at != end:
        raise SystemExit(f"{path}: images do not fill the container at {position:#x}")
    return end, images


def _fatbin_sections(path: Path) -> Iterator[tuple[int, int]]:
    """Offset and size of the sections with GPU code."""
    table = subprocess.run(["readelf", "-SW", str(path)], capture_output=True, text=True, check=True).stdout
    for line in table.splitlines():
        words = line.replace("[", " ").replace("]", " ").split()
        if len(words) > 6 and words[1] in SECTIONS:
            yield int(words[4], 16), int(words[5], 16)


if __name__ == "__main__":
    slim(*[Path(word) for word in sys.argv[1:3]])
