"""A stand-in for the file format: names alone."""

from pathlib import Path


def save_file(tensors, path, metadata):
    Path(path).write_text("\n".join([str(metadata), *tensors]))
