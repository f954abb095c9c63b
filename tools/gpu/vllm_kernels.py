"""try_kernels: vLLM's own kernels against PyTorch's, which shows whether the slimmed library works on this GPU."""

from options import Options
from saying import say
from surroundings import prepare

CLOSE = 1e-2  # relative error that bfloat16 leaves


def try_kernels(options: Options) -> int:
    """Run two of vLLM's kernels on random numbers; fails where they do not run, or are wrong."""
    prepare(options)
    import torch
    import vllm._C_stable_libtorch  # noqa: F401 - registers the kernels

    from vllm import _custom_ops

    def random(*shape: int) -> "torch.Tensor":
        return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)

    def compare(name: str, found: "torch.Tensor", true: "torch.Tensor") -> None:
        error = ((found.float() - true).norm() / true.norm()).item()
        say(f"{name}: relative error {error:.1e}")
        assert error < CLOSE

    torch.manual_seed(0)
    x, weights = random(64, 4096), random(4096)
    out = torch.empty_like(x)
    _custom_ops.rms_norm(out, x, weights, 1e-5)
    wide = x.float()
    compare("rms_norm", out, wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * weights.float())
    gated = random(64, 2 * 1024)
    out = torch.empty(64, 1024, device="cuda", dtype=torch.bfloat16)
    torch.ops._C.silu_and_mul(out, gated)
    gate, up = gated.float().chunk(2, -1)
    compare("silu_and_mul", out, torch.nn.functional.silu(gate) * up)
    torch.cuda.synchronize()
    return 0
