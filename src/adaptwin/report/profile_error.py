"""How far the twin's figures of a profile were from real servers, in words."""

from adaptwin.profile.measured import RunRange
from adaptwin.profile.profile import Profile, ProfileError
from adaptwin.report.style.words import NOTHING, count


def error_in_words(profile: Profile) -> str:
    """Say how far the twin was from real servers with this profile or, if it is derived, with others like it."""
    error, checked = profile.error, profile.claimed
    if error is None:
        said = "not claimed: the laws do not describe its model or its version of vLLM"
        return said if profile.is_derived else "not checked against real runs"
    if checked is None:
        when = "it was compared with real runs" if profile.measured else "it was derived"
        return f"not known: the profile has changed since {when}"
    return _measured_error(error) if profile.is_measured else _derived_error(profile, error, checked)


def _measured_error(error: ProfileError) -> str:
    itl = "" if error.itl is None else f" and mean ITL {error.itl:.1f} %"
    ttft = "" if error.ttft is None else f", TTFT {error.ttft:.1f} % (median)"
    return (
        f"throughput {error.throughput:.1f} %{itl} (mean absolute percentage errors){ttft}; starvation predicted "
        f"correctly in {error.starvation:.1f} % of {count(error.runs, 'real run')}"
    )


def _derived_error(profile: Profile, error: ProfileError, checked: RunRange) -> str:
    machines = profile.evidence.machines if profile.evidence else ()
    return (
        f"Derived profiles against {error.runs} real runs on {len(machines)} machines ({', '.join(machines)}), to "
        f"which their constants were not fitted; each machine counts equally: throughput {error.throughput:.1f} % off "
        f"where it is known, mean ITL {_per_cent(error.itl)}, median TTFT {_per_cent(error.ttft)}; starvation right in "
        f"{error.starvation:.1f} % of the runs with adapters. {_runs_in_words(checked)}"
    )


def _per_cent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} %"


def _runs_in_words(checked: RunRange) -> str:
    prompt, answer = (f"{low:,.0f} to {high:,.0f}" for low, high in (checked.prompt, checked.answer))
    return (
        f"Those runs had mean prompts of {prompt} and answers of {answer} tokens, up to {checked.adapters:,} adapters "
        f"of rank {checked.rank} at most, and up to {checked.request_rate:,.0f} requests/s."
    )
