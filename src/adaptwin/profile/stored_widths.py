"""Stored widths: in how many bits a model's weights and its KV cache lie on the GPU, in words."""

from adaptwin.profile.model_shape import ModelShape


def stored_widths(model: ModelShape) -> str:
    """Say the widths, with scales, of what is not in the bits of activations; empty if all is."""
    widths = {"weights": model.bytes_per_weight, "KV cache": model.bytes_per_kv_value}
    if model.experts:
        widths = {"experts": model.bytes_per_expert_weight, **widths}
    return ", ".join(f"{what} {8 * width:.3g} bits" for what, width in widths.items() if width != model.bytes_per_value)
