"""on_gpu.sh: from an unpacked kit to results, with a stand-in for vLLM in its archive."""

import json
import os
import shutil
import subprocess
import tarfile

import pytest

from .conftest import STAND_IN, TOOLS

SCRIPTS = ("on_gpu.sh", "pack.sh")
PLAN = ("--no-runs", "--only", "3", "--plan", "tiny:2x16 tiny:0")
LIBRARY = "vllm/_C_stable_libtorch.abi3.so"


class Kit:
    """A packed kit in the folder in which it is called."""

    def __init__(self, folder):
        self.folder, self.part1, self.part2 = folder, folder / ".gpu" / "part1", folder / ".gpu" / "part2"
        self.out = folder / "results"
        self.part1.mkdir(parents=True)
        for path in (TOOLS / "on_gpu.sh", *TOOLS.glob("*.py")):
            shutil.copy(path, self.part1)
        pack(self.part1 / "site.tar.xz", STAND_IN, "torch", "safetensors", "vllm")
        pack(self.part1 / "kernels.tar.xz", STAND_IN)

    def call(self, *words, budget=400, **variables):
        """Call the script as on a GPU machine."""
        given = {"GPUKIT_STATE": str(self.folder / "state"), "OUT": str(self.out), **variables}
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = ["bash", ".gpu/part1/on_gpu.sh", str(budget), *words]
        told = subprocess.run(
            command, cwd=self.folder, env={**environment, **given}, capture_output=True, text=True, timeout=120
        )
        assert told.stdout.replace("\r", "") in (self.out / "log.txt").read_text()
        return told

    def events(self, kind):
        lines = (self.out / "events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]


def pack(archive, folder, *members):
    with tarfile.open(archive, "w:xz", preset=0) as file:
        for member in members:
            file.add(folder / member, member)


@pytest.fixture
def kit(tmp_path):
    return Kit(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_understands_the_script(script):
    subprocess.run(["bash", "-n", str(TOOLS / script)], check=True)
    assert os.access(TOOLS / script, os.X_OK)


def test_a_call_leaves_results_and_the_next_one_measures_nothing_again(kit):
    told = kit.call(*PLAN)
    assert told.returncode == 0
    assert told.stdout.rstrip().endswith("measurements.tar.gz")  # the last lines of the log are not lost
    assert len(kit.events("step")) == 6
    with tarfile.open(kit.out / "measurements.tar.gz") as archive:
        assert "folders/tiny/steps.csv" in archive.getnames()
    with tarfile.open(kit.out / "logs.tar.gz") as archive:
        assert len(archive.getnames()) > 3
    again = kit.call(*PLAN)
    assert again.returncode == 0
    assert "mode known" in again.stdout
    assert len(kit.events("step")) == 6


def test_another_machine_goes_on_from_the_events_of_the_first(kit):
    kit.call(*PLAN)
    shutil.copy(kit.out / "events.jsonl", kit.part1 / "earlier.jsonl")
    shutil.rmtree(kit.folder / "state")
    kit.call(*PLAN[:-1], "tiny:2x16 tiny:0 tiny:4x8")
    assert len(kit.events("step")) == 9
    assert [event["engine"] for event in kit.events("start")][-1] == "4x8+few"


def test_too_little_time_starts_no_engine(kit):
    told = kit.call(*PLAN, budget=60)
    assert told.returncode == 0
    assert "not begun: ['tiny:2x16', 'tiny:0']" in told.stdout


def test_where_nothing_serves_the_logs_come_back(kit):
    told = kit.call(STAND_IN_NEEDS="what nobody has")
    assert told.returncode == 5
    assert (kit.out / "logs.tar.gz").is_file()


def test_a_broken_archive_is_said(kit):
    (kit.part1 / "site.tar.xz").write_bytes(b"no archive")
    told = kit.call(*PLAN)
    assert told.returncode == 4
    assert "unpacking failed" in told.stdout


def test_files_that_changed_on_the_way_are_said(kit):
    subprocess.run("sha256sum * > manifest.sha256", shell=True, cwd=kit.part1, check=True)  # noqa: S602
    (kit.part1 / "law.py").write_text("")
    assert "WARNING: part1 is not what was packed" in kit.call(*PLAN, budget=60).stdout


def test_the_untouched_library_takes_the_place_of_one_that_does_not_run(kit, tmp_path):
    kit.part2.mkdir()
    (tmp_path / "library" / "vllm").mkdir(parents=True)
    (tmp_path / "library" / LIBRARY).write_text("untouched")
    pack(kit.part2 / "library.tar.xz", tmp_path / "library", "vllm")
    told = kit.call(*PLAN)
    assert told.returncode == 0
    assert "the untouched one takes its place" in told.stdout
    assert (kit.folder / "state" / "site" / LIBRARY).read_text() == "untouched"
    assert [event["what"] for event in kit.events("check")] == ["kernels", "kernels", "2x16+few"]
