"""versions: adaptwin, Python and the packages that adaptwin needs; extras: those that some commands need."""

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.installation.finding import InstallationFinding

DISTRIBUTION = "adaptwin"
EXTRAS = {  # what each extra is for
    "live": "measure, replay, diagnose, apply, watch, workload from-metrics",
    "fit": "fit",
    "train": "sweep, train",
    "ray": "plan --engine ray",
    "web": "serve",
}
_REQUIREMENT = re.compile(r"(?P<package>[\w.-]+)(?:>=(?P<least>[\d.]+))?(?:\s*;\s*extra == ['\"](?P<extra>\w+)['\"])?")


class NeededPackage(NamedTuple):
    """A package that adaptwin needs, or one of its extras; versions are None where any will do or none is there."""

    package: str
    least: str | None
    extra: str | None = None

    @property
    def installed(self) -> str | None:
        """The version that is installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None

    @property
    def is_met(self) -> bool:
        """Whether the package is there in a version that will do."""
        return self.installed is not None and (
            self.least is None or _release_numbers(self.installed) >= _release_numbers(self.least)
        )

    def __str__(self) -> str:
        return f"{self.package}>={self.least}" if self.least else self.package


def needed_packages() -> list[NeededPackage]:
    """Return the packages that adaptwin and its extras need, as the installation declares them.

    Raises:
        PackageNotFoundError: adaptwin was not installed, but is run from its sources.
    """
    declared = importlib.metadata.requires(DISTRIBUTION) or []
    matches = [match for line in declared if (match := _REQUIREMENT.match(line))]
    return [NeededPackage(match["package"], match["least"], match["extra"]) for match in matches]


def versions() -> list[InstallationFinding]:
    """Return the versions of adaptwin, Python and all packages that every command needs."""
    python = InstallationFinding("Python", "ok", f"{platform.python_version()}, {platform.python_implementation()}")
    try:
        version, needed = importlib.metadata.version(DISTRIBUTION), needed_packages()
    except importlib.metadata.PackageNotFoundError:
        says = "runs from its sources without being installed: needed versions are unknown"
        return [InstallationFinding(DISTRIBUTION, "wrong", says, "pip install . in the folder of its sources"), python]
    own = InstallationFinding(DISTRIBUTION, "ok", version)
    return [own, python, *(_of_package(each) for each in needed if each.extra is None)]


def extras() -> list[InstallationFinding]:
    """Return for each extra whether its packages are installed, and else how to install them."""
    try:
        needed = needed_packages()
    except importlib.metadata.PackageNotFoundError:
        return []
    return [_of_extra(extra, [each for each in needed if each.extra == extra]) for extra in EXTRAS]


def _of_package(needed: NeededPackage) -> InstallationFinding:
    if needed.is_met:
        return InstallationFinding(needed.package, "ok", needed.installed or "")
    says = f"{needed.installed or 'missing'}, but {needed} is needed"
    return InstallationFinding(needed.package, "wrong", says, f"pip install '{needed}'")


def _of_extra(extra: str, needed: Sequence[NeededPackage]) -> InstallationFinding:
    """A package that is missing is a note, as few need it; one that is too old would fail in the middle of work."""
    remedy = f"pip install '{DISTRIBUTION}[{extra}]'"
    unmet = [each for each in needed if not each.is_met]
    if not unmet:
        there = ", ".join(f"{each.package} {each.installed}" for each in needed)
        return InstallationFinding(extra, "ok", f"installed ({there})")
    if missing := [each.package for each in unmet if each.installed is None]:
        return InstallationFinding(extra, "note", f"not installed ({', '.join(missing)}); for {EXTRAS[extra]}", remedy)
    old = ", ".join(f"{each.package} {each.installed}, needed {each.least}" for each in unmet)
    return InstallationFinding(extra, "wrong", f"too old: {old}", remedy)


def _release_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a release, for comparison: 0.61.2rc1 is as 0.61.2."""
    return tuple(int(number) for number in re.findall(r"\d+", (re.match(r"[\d.]*", version) or [""])[0]))
