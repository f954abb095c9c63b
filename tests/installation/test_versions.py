"""Versions and extras: what is needed is taken from the installation, and what is missing or too old is said."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from adaptwin.installation import versions as module
from adaptwin.installation.versions import EXTRAS, NeededPackage, extras, needed_packages, versions

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
DECLARED = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


def test_every_extra_is_known():
    assert set(EXTRAS) == set(DECLARED["optional-dependencies"]) - {"all", "dev", "docs"}


def test_every_package_that_is_needed_is_listed():
    listed = {finding.name for finding in versions()}
    assert {line.partition(">=")[0] for line in DECLARED["dependencies"]} <= listed
    assert {"adaptwin", "Python"} <= listed


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("numba>=0.60", NeededPackage("numba", "0.60")),
        ("aiohttp>=3.10; extra == 'live'", NeededPackage("aiohttp", "3.10", "live")),
        ('ray>=2.30 ; extra == "ray"', NeededPackage("ray", "2.30", "ray")),
        ("hypothesis; extra == 'dev'", NeededPackage("hypothesis", None, "dev")),
        ("scikit-learn>=1.4", NeededPackage("scikit-learn", "1.4")),
    ],
)
def test_a_requirement_is_read(line, needed, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: [line])
    assert needed_packages() == [needed]


@pytest.mark.parametrize(
    ("installed", "least", "is_met"),
    [
        ("0.61.2", "0.60", True),
        ("0.9", "0.60", False),
        ("3.0", "3.0", True),
        ("2.10rc1", "2.9", True),
        ("1", None, True),
    ],
)
def test_versions_are_compared_by_their_numbers(installed, least, is_met, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: installed)
    assert NeededPackage("package", least).is_met is is_met


def test_a_package_that_is_missing_or_old_has_its_command(monkeypatch):
    monkeypatch.setattr(
        module, "needed_packages", lambda: [NeededPackage("no-such-thing", "1.2"), NeededPackage("numpy", "99.0")]
    )
    missing, old = versions()[2:]
    assert (missing.state, missing.says, missing.remedy) == (
        *("wrong", "missing, but no-such-thing>=1.2 is needed"),
        "pip install 'no-such-thing>=1.2'",
    )
    assert (old.state, old.remedy) == ("wrong", "pip install 'numpy>=99.0'")


def test_an_extra_that_is_missing_is_a_note_and_one_that_is_old_is_wrong(monkeypatch):
    needed = [
        NeededPackage("no-such-thing", "1.2", "ray"),
        NeededPackage("numpy", "99.0", "fit"),
        NeededPackage("numpy", "1.0", "live"),
    ]
    monkeypatch.setattr(module, "needed_packages", lambda: needed)
    by_name = {finding.name: finding for finding in extras()}
    assert (by_name["ray"].state, by_name["ray"].remedy) == ("note", "pip install 'adaptwin[ray]'")
    assert (by_name["fit"].state, by_name["live"].state) == ("wrong", "ok")


def test_sources_that_were_not_installed_are_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert versions()[0].state == "wrong"
    assert extras() == []
