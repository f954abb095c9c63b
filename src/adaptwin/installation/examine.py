"""examine: all checks of the installation, each with its remedy."""

from collections.abc import Callable

from adaptwin.installation.caches import NO_FOLDER, caches
from adaptwin.installation.examination import Examination
from adaptwin.installation.finding import InstallationFinding
from adaptwin.installation.machine import machine
from adaptwin.installation.self_test import self_test
from adaptwin.installation.shipped import shipped
from adaptwin.installation.variables import variables
from adaptwin.installation.versions import extras, versions
from adaptwin.progress import Progress, silent

_REINSTALL = "pip install --force-reinstall adaptwin"


def examine(*, tests: bool = True, progress: Progress = silent) -> Examination:
    """Look at the installation.

    Args:
        tests: Run the self-test, which also compiles what is not compiled yet.
        progress: Function to report progress with.
    """
    # before the caches are looked at, as the self-test fills them
    tested = _section(lambda: self_test(progress), "self-test", _REINSTALL) if tests else []
    sections = {
        "versions": versions(),
        "machine": machine(),
        "cache": _section(caches, "cache", NO_FOLDER),
        "extras": extras(),
        "shipped files": _section(shipped, "shipped files", _REINSTALL),
        "environment": variables(),
        "self-test": tested,
    }
    return Examination(sections)


def _section(look: Callable[[], list[InstallationFinding]], name: str, remedy: str) -> list[InstallationFinding]:
    """Return what `look` finds, or that it failed, as where a package cannot be imported."""
    try:
        return look()
    except Exception as error:  # what is broken here may raise anything
        return [InstallationFinding(name, "wrong", f"{type(error).__name__}: {error}", remedy)]
