"""The report of `adaptwin doctor`: remedies below what is wrong, and one line for variables that are not set."""

from rich.console import Console

from adaptwin.installation.examination import Examination
from adaptwin.installation.finding import InstallationFinding
from adaptwin.report.installation import installation_report


def printed(*findings):
    terminal = Console(width=80, color_system=None)
    with terminal.capture() as shown:
        terminal.print(installation_report(Examination({"cache": list(findings), "self-test": []})))
    return [line.rstrip() for line in shown.get().splitlines()]


def test_a_remedy_stands_below_what_is_wrong():
    lines = printed(
        InstallationFinding("folder", "wrong", "cannot be written to", "name another"),
        InstallationFinding("size", "ok", "1 MB"),
    )
    assert lines[1:5] == [
        "Cache",
        "wrong  folder  cannot be written to",
        "               Remedy: name another",
        "ok     size    1 MB",
    ]
    assert lines[-1] == "1 thing wrong: folder."


def test_variables_that_are_not_set_are_one_line():
    lines = printed(
        *(InstallationFinding(name, "ok", "not set (it matters)") for name in "AB"),
        InstallationFinding("C", "ok", "1 (so)"),
    )
    assert lines[2:4] == ["ok     C  1 (so)", "Not set: A, B"]
    assert lines[-1] == "Nothing is wrong."
