"""No command writes over a file that it reads, by whatever path, and it says so before it works."""

import os
import shutil

import pytest

from adaptwin.profile.profile import load_profile, shipped_profiles

FLEET = """\
profile: mine.yaml
duration: 300
arrivals: rates:rates.csv
adapters:
- {name: a0, rank: 8, rate: 0.5}
- {name: a1, rank: 8, rate: 0.5, arrivals: 'rates:cv=2,of-one.csv'}
"""
READ = ("fleet.yaml", "mine.yaml", "rates.csv", "of-one.csv")


@pytest.fixture
def files(folder):
    """Return the folder with a fleet that names a profile and two files of rates."""
    load_profile(shipped_profiles()[0]).write(folder / "mine.yaml")
    (folder / "fleet.yaml").write_text(FLEET)
    for name in ("rates.csv", "of-one.csv"):
        (folder / name).write_text("start,factor\n0,1\n100,2\n")
    (folder / "lengths.csv").write_text("input,output\n100,20\n")
    (folder / "hours.csv").write_text("name,0,1\na0,1,2\na1,1,2\n")
    return folder


def refused(adaptwin, folder, *words):
    """The line of a call that is refused at once and changes nothing."""
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder) if (folder / name).is_file()}
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    after = {name: (folder / name).read_bytes() for name in os.listdir(folder) if (folder / name).is_file()}
    assert after == before
    return done.err


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("alias", ["same", "dots", "symbolic", "hard"])
def test_a_plan_never_replaces_what_it_is_made_of(adaptwin, files, option, name, alias):
    path = {"same": name, "dots": f"../{files.name}/{name}", "symbolic": "soft", "hard": "hard"}[alias]
    if alias == "symbolic":
        (files / "soft").symlink_to(name)
    if alias == "hard":
        os.link(files / name, files / "hard")
    error = refused(adaptwin, files, "plan", "fleet.yaml", option, path)
    if option == "--out" and path.endswith(".csv"):
        assert error.startswith(f"adaptwin: --out: '{path}' would hold YAML: ")
        return
    assert error == f"adaptwin: {path}: cannot be written: it is an input of the same command\n"


@pytest.mark.parametrize("name", READ)
def test_neither_does_a_simulation(adaptwin, files, name):
    reason = "would hold YAML" if name.endswith(".csv") else "it is an input"
    assert reason in refused(adaptwin, files, "simulate", "fleet.yaml", "--out", name)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "fleet.yaml", "--profile", "mine.yaml", "--out", "mine.yaml"),
        ("plan", "fleet.yaml", "--arrivals", "rates:of-one.csv", "--out", "of-one.csv"),
        ("plan", "fleet.yaml", "--lengths", "lengths.csv", "--report", "lengths.csv"),
        ("plan", "fleet.yaml", "--rates-over-time", "hours.csv", "--report", "hours.csv"),
        ("simulate", "fleet.yaml", "--lengths", "lengths.csv", "--out", "lengths.csv"),
        ("workload", "from-trace", "t.rates.csv", "--adapters", 2, "--ranks", 8, "--out", "t.yaml"),
        ("workload", "from-trace", "t.csv", "--adapters", 2, "--ranks", 8, "--out", "t.csv"),
        ("workload", "from-peft", "peft", "--rate", 1, "--out", "peft/adapter_config.json"),
        ("workload", "from-peft", "peft", "--rates", "rates.csv", "--out", "rates.csv"),
        ("fit", "measured", "--out", "measured/setup.yaml"),
        ("train", "runs", "--out", "runs/design.yaml"),
    ],
)
def test_nor_what_an_option_names(adaptwin, files, words):
    (files / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    shutil.copy(files / "t.csv", files / "t.rates.csv")
    for folder, name in (("peft", "adapter_config.json"), ("measured", "setup.yaml"), ("runs", "design.yaml")):
        (files / folder).mkdir()
        (files / folder / name).write_text("{}")
    is_table = words[-2] == "--out" and words[-1].endswith(".csv")
    reason = "would hold YAML" if is_table else "it is an input of the same command"
    assert reason in refused(adaptwin, files, *words)


def test_two_outputs_are_two_files(adaptwin, files):
    error = refused(adaptwin, files, "plan", "fleet.yaml", "--out", "x", "--report", "./x")
    assert error == "adaptwin: x: cannot be written: it is another output of the same command\n"


def test_a_plan_goes_through_a_link_and_keeps_its_mode(adaptwin, folder):
    (folder / "real.yaml").write_text("old")
    (folder / "real.yaml").chmod(0o600)
    (folder / "plan.yaml").symlink_to("real.yaml")
    assert adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", "--report", "/dev/null").code == 0
    assert (folder / "plan.yaml").is_symlink()
    assert (folder / "real.yaml").stat().st_mode & 0o777 == 0o600
    assert adaptwin("verify", "real.yaml").code == 0
