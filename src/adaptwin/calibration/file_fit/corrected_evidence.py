"""Corrected evidence: what a derived profile rests on once logs and runs of a server have corrected some constants."""

from collections.abc import Iterable, Iterator, Mapping

from adaptwin.profile.evidence import CORRECTED, NOT_CLAIMED, ROUGH
from adaptwin.profile.profile import Profile

_PARTS_OF_PROFILE = ("memory", "step_cost", "load_cost", "scheduler_cost", "scrape_cost")
_SETTINGS_OF_MEMORY = ("max_num_seqs", "max_num_batched_tokens", "estimated")


def with_corrected_evidence(
    profile: Profile,
    corrected: Mapping[str, str],
    *,
    runs: bool,
    gpu: bool,
    compared: Iterable[str],
    undetermined: Iterable[str],
) -> Profile:
    """Return a profile whose constants were corrected, with the evidence of it.

    The errors stay those of derived profiles: how far the twin is from a server after a correction was not measured on
    enough servers. Runs compare the version of vLLM without adapters. What no real server was compared for of the GPU's
    times, such as kernels and types of the KV cache, stays so unless the runs told the speed of the GPU.

    Args:
        profile: The profile with the corrected constants and the evidence of the derived one.
        corrected: Where each corrected constant comes from, by its name.
        runs: Whether runs corrected the times of steps.
        gpu: Whether they told the speed of the GPU from the host's time.
        compared: A line for each run and log, with its error before and after.
        undetermined: Corrected constants that the files determine only together with others.
    """
    evidence = profile.evidence
    assert evidence is not None
    update: dict[str, object] = {
        "constants": profile.fingerprint,
        "origins": dict(_origins_with(profile, evidence.origins, corrected)),
        "compared": tuple(compared),
    }
    if runs and evidence.grade not in (NOT_CLAIMED, ROUGH):
        checked = [clause for clause in evidence.unchecked if gpu or clause.startswith(f"vLLM {profile.vllm_version} ")]
        update |= {
            "grade": CORRECTED,
            "unchecked": tuple(clause for clause in evidence.unchecked if clause not in checked),
            "unchecked_with_adapters": (*checked, *evidence.unchecked_with_adapters),
        }
    loose = set(undetermined)
    kept = [name for name in constants_of_profile(profile) if name not in corrected or name in loose]
    return profile.model_copy(
        update={"evidence": evidence.model_copy(update=update), "undetermined": tuple(kept)},
    )


def constants_of_profile(profile: Profile) -> Iterator[str]:
    """Yield the names of all constants of a profile, such as ``step_cost.weights``."""
    for section in _PARTS_OF_PROFILE:
        for name in type(getattr(profile, section)).model_fields:
            dense = section == "step_cost" and name.startswith("expert_") and not profile.model.experts
            if not dense and (section != "memory" or name not in _SETTINGS_OF_MEMORY):
                yield f"{section}.{name}"
    yield "request_latency"


def _origins_with(
    profile: Profile, derived: Mapping[str, str], corrected: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield where constants come from; a section of which one constant was corrected is divided into its constants."""
    for place, origin in derived.items():
        inside = [name for name in constants_of_profile(profile) if name.startswith(f"{place}.")]
        if place in corrected:
            yield place, corrected[place]
        elif not inside or not corrected.keys() & set(inside):
            yield place, origin
        else:
            for name in inside:
                yield name, corrected.get(name, origin)
