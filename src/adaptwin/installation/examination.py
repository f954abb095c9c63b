"""Examination: what was found of an installation, by section."""

from typing import Any, NamedTuple

from adaptwin.installation.finding import InstallationFinding
from adaptwin.installation.gaps import GAPS


class Examination(NamedTuple):
    """What was found, by section, in the order in which it is to be shown."""

    sections: dict[str, list[InstallationFinding]]

    @property
    def wrong(self) -> list[InstallationFinding]:
        """All that is wrong."""
        return [each for findings in self.sections.values() for each in findings if each.state == "wrong"]

    def as_data(self) -> dict[str, Any]:
        """Return the findings as plain data, with what the twin does not model."""
        sections = {
            title: [each._asdict() for each in findings] for title, findings in self.sections.items() if findings
        }
        return {"ok": not self.wrong, "sections": sections, "not_modelled": [gap._asdict() for gap in GAPS]}
