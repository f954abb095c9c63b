"""A stand-in for PyTorch: tensors without numbers, and a GPU in name."""

from contextlib import nullcontext
from types import SimpleNamespace

__version__ = "0"
float32 = bfloat16 = "a type"
inference_mode = nullcontext


class Tensor:
    def __mul__(self, _):
        return self

    def to(self, _):
        return self

    def normal_(self, *_):
        return self


def manual_seed(_):
    pass


def randn(*_):
    return Tensor()


cuda = SimpleNamespace(
    synchronize=lambda: None,
    get_device_name=lambda _: "Stand-in GPU",
    get_device_properties=lambda _: SimpleNamespace(total_memory=80 * 2**30),
)
