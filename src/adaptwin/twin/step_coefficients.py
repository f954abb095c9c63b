"""Step coefficients: the step cost of a profile under the settings of a server."""

from adaptwin.profile.lora_kernels import LoraKernels, lora_kernels
from adaptwin.profile.model_shape import LINEAR, parts_of_modules
from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import StepCoefficients
from adaptwin.twin.server import Server
from adaptwin.vllm_versions import version_numbers


def kernels_of(profile: Profile, server: Server) -> LoraKernels:
    """Return what the LoRA kernels of a profile's model launch on each GPU in its version of vLLM, with these settings.

    By default, adapters may change all modules.
    """
    modules = server.lora_target_modules
    return lora_kernels(
        profile.model,
        version_numbers(profile.vllm_version),
        LINEAR if modules is None else parts_of_modules(modules),
        tensor_parallel_size=profile.tensor_parallel_size,
        fully_sharded_loras=server.fully_sharded_loras,
    )


def step_coefficients(profile: Profile, server: Server) -> StepCoefficients:
    """Return what a step costs on a server with these settings and no adapter in host memory (`with_listed`)."""
    return profile.step_cost.resolve(
        kernels_of(profile, server),
        max_loras=server.max_loras,
        max_lora_rank=server.max_lora_rank,
        specialize_active_lora=server.specialize_active_lora,
    )
