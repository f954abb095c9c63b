"""Machine code is kept wherever a folder is writable, is made anew where it is damaged, and is never needed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

import adaptwin
from adaptwin.cache_folders import cache_folders

SOURCE = Path(adaptwin.__file__).parent
NOBODY = (  # a user whom no list of users names, and who may read everything, so that Python itself is found
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--bounding-set=-all,+dac_read_search"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)
CALL = """
import numpy as np
from adaptwin.workload.drawing.random_streams import split_mix
value = split_mix(np.uint64(1))
print("adaptwin", split_mix.stats.cache_hits != {}, value)
"""


class Place(NamedTuple):
    """A copy of the package, and what a process needs to use it."""

    folder: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()  # of the command line

    def run(self, *words, code=CALL, **environment):
        return subprocess.run(
            [*self.prefix, sys.executable, *words, "-c", code],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def is_loaded(self, *words, **environment):
        """Call a compiled function in a process of its own; return whether its machine code was there."""
        done = self.run(*words, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        name, loaded, value = done.stdout.split()
        assert (name, value) == ("adaptwin", "6238072747940578789")
        return loaded == "True"

    def files(self, below="."):
        return sorted((self.folder / below).rglob("*.machine-code"))


@pytest.fixture
def folder():
    """Return a folder that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="adaptwin-test-"))
    made.chmod(0o755)
    yield made
    subprocess.run(["chmod", "-R", "u+rwX", made], check=True)
    shutil.rmtree(made)


@pytest.fixture
def place(folder):
    """Return a writable copy of the package, without anything compiled."""
    shutil.copytree(SOURCE, folder / "site" / "adaptwin", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tmp").mkdir(mode=0o777)
    (folder / "tmp").chmod(0o777)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    return Place(folder, {**kept, "PYTHONPATH": str(folder / "site"), "TMPDIR": str(folder / "tmp")})


@pytest.fixture
def read_only(place):
    """Return a copy that this process cannot write to, without a home; as another user if this one is root."""
    subprocess.run(["chmod", "-R", "a-w,a+rX", place.folder / "site"], check=True)
    other = place._replace(prefix=NOBODY if os.geteuid() == 0 else ())
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("needs setpriv to act as another user")
    if other.run(code="import os, numba; assert not os.access('site/adaptwin', os.W_OK)").returncode:
        pytest.skip("cannot act as another user here")
    return other


def test_it_is_kept_beside_the_sources(place):
    assert not place.is_loaded()
    assert [file.parent.name for file in place.files("site")] == ["__pycache__"]
    assert place.is_loaded()


@pytest.mark.parametrize("variable", ["ADAPTWIN_CACHE_DIR", pytest.param("NUMBA_CACHE_DIR", marks=pytest.mark.long)])
def test_it_is_kept_where_a_variable_says(place, variable):
    chosen = {variable: str(place.folder / "chosen" / "deep")}
    assert not place.is_loaded(**chosen)
    assert len(place.files("chosen/deep")) == len(place.files()) == 1
    assert place.is_loaded(**chosen)


def test_a_read_only_install_without_a_home_keeps_it_with_the_temporary_files(read_only):
    for loaded in (False, True):
        assert read_only.is_loaded(HOME="/nonexistent") == loaded
    (file,) = read_only.files()
    root = read_only.folder / "tmp" / f"adaptwin-{os.stat(file).st_uid}"
    assert file.is_relative_to(root)
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_read_only_install_keeps_it_in_the_cache_of_the_user(read_only):
    chosen = {"XDG_CACHE_HOME": str(read_only.folder / "tmp" / "of-user"), "HOME": "/nonexistent"}
    for loaded in (False, True):
        assert read_only.is_loaded(**chosen) == loaded
    assert len(read_only.files("tmp/of-user/adaptwin")) == len(read_only.files()) == 1


@pytest.mark.long
def test_a_chosen_folder_that_cannot_be_written_to_is_passed_over(read_only):
    chosen = {"ADAPTWIN_CACHE_DIR": "/proc/nowhere"}
    for loaded in (False, True):
        assert read_only.is_loaded(**chosen) == loaded


def test_what_is_installed_compiled_is_loaded_from_a_read_only_install(place, read_only):
    subprocess.run(["chmod", "-R", "u+w", place.folder / "site"], check=True)
    assert not place.is_loaded()
    subprocess.run(["chmod", "-R", "a-w,a+rX", place.folder / "site"], check=True)
    assert read_only.is_loaded(HOME="/nonexistent")


def test_without_any_folder_it_is_compiled_each_time(read_only):
    code = f"import tempfile\ntempfile.tempdir = '/proc/nowhere'\n{CALL}"
    for _ in range(2):
        done = read_only.run(code=code, HOME="/nonexistent")
        assert (done.returncode, done.stderr, done.stdout.split()[1]) == (0, "", "False")
    assert read_only.files() == []


def test_what_another_user_has_put_into_the_temporary_folder_is_not_read(place, read_only):
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    assert not read_only.is_loaded(HOME="/nonexistent")
    (root,) = (read_only.folder / "tmp").iterdir()
    os.chown(root, 0, 0)
    root.chmod(0o777)
    assert not read_only.is_loaded(HOME="/nonexistent")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", marks=pytest.mark.long),
        pytest.param(lambda content: content[: len(content) // 2], marks=pytest.mark.long),
        pytest.param(lambda content: content[:-1], marks=pytest.mark.long),
        lambda content: content[:-900] + bytes([content[-900] ^ 1]) + content[-899:],
        pytest.param(lambda _: b"\x80\x05cos\nsystem\n.", marks=pytest.mark.long),
        pytest.param(lambda content: content.replace(b"adaptwin", b"somebody", 1), marks=pytest.mark.long),
    ],
    ids=["empty", "half", "a byte short", "a bit changed", "foreign", "other version"],
)
def test_a_damaged_file_is_replaced(place, damage):
    assert not place.is_loaded()
    (file,) = place.files()
    file.write_bytes(damage(file.read_bytes()))
    assert not place.is_loaded()
    assert place.is_loaded()


@pytest.mark.long
def test_a_folder_in_place_of_the_file_does_no_harm(place):
    assert not place.is_loaded()
    (file,) = place.files()
    file.unlink()
    file.mkdir()
    assert not place.is_loaded()


@pytest.mark.long
def test_two_processes_may_compile_at_once(place):
    running = [
        subprocess.Popen([sys.executable, "-c", CALL], env=place.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].split()[0] for process in running] == ["adaptwin", "adaptwin"]
    assert place.is_loaded()


@pytest.mark.long
def test_without_asserts_the_same_is_compiled(place):
    assert not place.is_loaded("-O")
    assert place.is_loaded("-O")


def test_help_and_version_touch_no_cache(read_only):
    program = "import sys; from adaptwin.cli.main import run; sys.exit(run(sys.argv[1:]))"
    assert "Usage" in read_only.run(code=f"import sys; sys.argv = ['', '--help']\n{program}").stdout
    done = read_only.run("-O", code=f"import sys; sys.argv = ['', 'plan', '--help']\n{program}")
    assert (done.returncode, done.stderr) == (0, "")
    assert [*(read_only.folder / "tmp").iterdir()] == []


def test_without_home_and_name_there_are_folders(monkeypatch, tmp_path):
    for variable in ("HOME", "XDG_CACHE_HOME", "ADAPTWIN_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: (_ for _ in ()).throw(FileNotFoundError))
    assert list(cache_folders(tmp_path / "module.py")) == [tmp_path / "__pycache__"]
