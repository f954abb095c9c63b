"""variables: environment variables that change what adaptwin does; of secrets, only whether they are set."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from adaptwin.installation.finding import FindingState, InstallationFinding


class Variable(NamedTuple):
    """An environment variable that adaptwin, or a library that it uses, reads."""

    name: str
    effect: str
    is_secret: bool = False
    remedy: str = ""  # where adaptwin does not work with the variable, unless it is 0


VARIABLES = (
    Variable("ADAPTWIN_CACHE_DIR", "the folder for machine code"),
    Variable("NUMBA_CACHE_DIR", "the folder for machine code, without ADAPTWIN_CACHE_DIR"),
    Variable("XDG_CACHE_HOME", "the folder for machine code, if __pycache__ is not writable"),
    Variable("NUMBA_DISABLE_JIT", "1: nothing is compiled, and simulations fail", remedy="unset NUMBA_DISABLE_JIT"),
    Variable("NO_COLOR", "no colours and no escape codes"),
    Variable("FORCE_COLOR", "colours also in pipes and files"),
    Variable("TERM", "the kind of terminal; dumb: no escape codes"),
    Variable("COLUMNS", "the width of tables"),
    Variable("VLLM_API_KEY", "the key that is sent to running servers", is_secret=True),
    Variable("OPENAI_API_KEY", "the key that is sent to running servers, without VLLM_API_KEY", is_secret=True),
)


def variables(environment: Mapping[str, str] = os.environ) -> list[InstallationFinding]:
    """Return for each variable its value, or whether it is set, and what it does."""
    return [_of_variable(variable, environment.get(variable.name)) for variable in VARIABLES]


def _of_variable(variable: Variable, value: str | None) -> InstallationFinding:
    if not value:
        return InstallationFinding(variable.name, "ok", f"not set ({variable.effect})")
    shown = "set" if variable.is_secret else value
    remedy = variable.remedy if value != "0" else ""
    state: FindingState = "wrong" if remedy else "ok"
    return InstallationFinding(variable.name, state, f"{shown} ({variable.effect})", remedy)
