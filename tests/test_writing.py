"""Files are written whole or not at all, through links and pipes, and keep what they are."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from adaptwin.errors import SpecError
from adaptwin.interruption import outputs
from adaptwin.writable import require_distinct, require_writable
from adaptwin.writing import write_atomically

not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the umask of the test."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_new_file_has_the_mode_of_the_umask(tmp_path, umask):
    write_atomically(tmp_path / "new", "text")
    assert mode(tmp_path / "new") == 0o666 & ~umask


@pytest.mark.parametrize("kept", [0o600, 0o644, 0o755, 0o640])
def test_an_existing_file_keeps_its_mode(tmp_path, umask, kept):
    file = tmp_path / "old"
    file.write_text("old")
    file.chmod(kept)
    write_atomically(file, b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_an_existing_file_keeps_its_owner(tmp_path):
    file = tmp_path / "old"
    file.write_text("old")
    os.chown(file, 54321, 54322)
    write_atomically(file, "new")
    assert (file.stat().st_uid, file.stat().st_gid) == (54321, 54322)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    link.symlink_to("there/real")
    for text in ("first", "second"):  # the link leads nowhere at first
        write_atomically(link, text)
        assert link.is_symlink()
        assert real.read_text() == text
    assert os.listdir(tmp_path / "there") == ["real"]


def test_a_pipe_is_written_through(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "through")
    reader.join()
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device():
    write_atomically("/dev/null", "nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_an_open_file_is_written_where_it_stands(tmp_path, path):
    code = (
        f"from adaptwin.writing import write_atomically as w; print('before'); w({path!r}, 'text\\n'); print('after')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text().splitlines() == ["before", "text", "after"]


@pytest.mark.parametrize("content", ["half a character: \ud800", "text"])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, monkeypatch, content):
    file = tmp_path / "old"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises((SpecError, UnicodeEncodeError)):
        write_atomically(file, content)
    assert (os.listdir(tmp_path), file.read_text()) == (["old"], "old")
    assert not outputs.temporary


def test_ctrl_c_while_a_file_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "old").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "old", "new")
    assert (os.listdir(tmp_path), (tmp_path / "old").read_text()) == (["old"], "old")


def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch):
    """As in a container to which a single file is mounted."""
    (tmp_path / "mounted").write_text("something longer than before")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(16, "Device or resource busy")))
    write_atomically(tmp_path / "mounted", "new")
    assert (os.listdir(tmp_path), (tmp_path / "mounted").read_text()) == (["mounted"], "new")


def test_a_full_disk_is_an_error_of_the_file():
    with pytest.raises(SpecError, match=r"^/dev/full: cannot be written: No space left on device$"):
        write_atomically("/dev/full", "text" * 10_000)


# What is known before


def test_a_name_as_long_as_allowed_is_written(tmp_path):
    file = tmp_path / ("x" * 255)
    require_writable(file)
    write_atomically(file, "text")
    assert os.listdir(tmp_path) == [file.name]


def test_trying_a_file_changes_nothing(tmp_path):
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old", tmp_path / "new", None, "/dev/null", "/dev/stdout")
    assert (os.listdir(tmp_path), (tmp_path / "old").read_text()) == (["old"], "old")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/file", "its folder does not exist or is not writable"),
        ("file/below", "its folder does not exist or is not writable"),
        ("folder", "it is a folder"),
        ("x" * 256, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=f"cannot be written: {reason}$"):
        require_writable(tmp_path / name)


def test_a_full_disk_is_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(SpecError, match=r"new: cannot be written: No space left on device$"):
        require_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []


@not_root
def test_a_folder_without_permission_is_known_before(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SpecError, match="its folder does not exist or is not writable"):
        require_writable(tmp_path / "new")


@pytest.fixture
def aliases(tmp_path):
    """Return paths that all lead to the same file."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "file"
    file.write_text("text")
    (tmp_path / "soft").symlink_to("file")
    os.link(file, tmp_path / "hard")
    (tmp_path / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    return [
        file,
        tmp_path / "folder" / ".." / "file",
        tmp_path / "soft",
        tmp_path / "hard",
        tmp_path / "elsewhere/file",
    ]


def test_an_output_is_no_input_by_any_path(aliases):
    for out in aliases:
        for read in aliases:
            with pytest.raises(SpecError, match="cannot be written: it is an input of the same command"):
                require_distinct(out, inputs=[read])


def test_no_two_outputs_are_the_same_file(aliases, tmp_path):
    (tmp_path / "leads nowhere").symlink_to("new")
    pairs = [(one, other) for one in aliases for other in aliases]
    pairs += [(tmp_path / "new", tmp_path / "elsewhere/new"), (tmp_path / "new", tmp_path / "leads nowhere")]
    for one, other in pairs:
        with pytest.raises(SpecError, match="cannot be written: it is another output of the same command"):
            require_distinct(one, other)


def test_nothing_may_be_written_twice_but_to_a_device(tmp_path):
    require_distinct("/dev/null", "/dev/null", inputs=["/dev/null"])
    with pytest.raises(SpecError, match="another output"):
        require_distinct("/dev/stdout", "/dev/fd/1")
