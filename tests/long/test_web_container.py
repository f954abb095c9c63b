"""What the image of deploy/Dockerfile does, without an image: nobody serves and plans on a root that is read-only.

A mount namespace takes the place of the container: its root can only be read, and /tmp is empty and the only place that
can be written, as with ``docker run --read-only --tmpfs /tmp``.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
ASKED = {"fleet": "name,rank,rate\na,8,0.5\n", "format": "csv", "profile": "h100-64gb-llama-3.1-8b-instruct"}


def can_unshare() -> bool:
    tools = all(map(shutil.which, ("unshare", "setpriv", "mount")))
    return tools and os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_unshare(), reason="a namespace of mounts needs root, unshare and setpriv")


def in_read_only_root(command: list[str], kept: Path) -> list[str]:
    """Return a command that runs another one as nobody, on a read-only root with a folder that is kept as /tmp/kept."""
    needed = {sys.prefix, sys.base_prefix, str(ROOT)}  # /root cannot be read, and /tmp is to be empty
    hidden = sorted(place for place in needed if place.startswith(("/root/", "/tmp/")))
    steps = ["set -e", "mount --make-rprivate /", "mount --bind / /", "mkdir -p /run/kept"]
    steps += [f"mount --bind {shlex.quote(str(kept))} /run/kept"]
    for number, place in enumerate(hidden):
        steps += [f"mkdir -p /run/needed-{number}", f"mount --bind {shlex.quote(place)} /run/needed-{number}"]
    steps += ["mount -t tmpfs -o mode=755 tmpfs /root", "mount -t tmpfs -o mode=1777 tmpfs /tmp"]
    for number, place in enumerate(hidden):
        steps += [f"mkdir -p {shlex.quote(place)}", f"mount --bind /run/needed-{number} {shlex.quote(place)}"]
    steps += [
        "mkdir /tmp/kept",
        "mount --bind /run/kept /tmp/kept",
        "mount -o remount,bind,ro /",
        "cd /tmp",
        f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs {shlex.join(command)}",
    ]
    return ["unshare", "--mount", "sh", "-c", "\n".join(steps)]


def test_nobody_serves_and_plans_on_a_read_only_root(tmp_path):
    kept = tmp_path / "kept"
    (kept / "cache").mkdir(parents=True)
    for folder in (kept, kept / "cache"):
        os.chown(folder, NOBODY, NOBODY)
    environment = {
        "PATH": "/usr/bin:/bin",
        "ADAPTWIN_CACHE_DIR": "/tmp/kept/cache",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    python = [sys.executable, "-c"]
    refused = "import os, pathlib; assert os.getuid(); pathlib.Path('/usr/there').write_text('')"
    done = subprocess.run(
        in_read_only_root([*python, refused], kept), env=environment, capture_output=True, check=False
    )
    assert b"Read-only file system" in done.stderr or b"Permission denied" in done.stderr, done.stderr
    serve = [sys.executable, "-m", "adaptwin", "serve", "--port", "0", "--json", "--database", "/tmp/kept/jobs.db"]
    with subprocess.Popen(
        in_read_only_root(serve, kept), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stdout.readline()
            assert line, server.stderr.read()
            url = json.loads(line)["url"]
            data = json.dumps(ASKED).encode()
            request = urllib.request.Request(f"{url}/v1/plans", data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as reply:
                plan_id = json.loads(reply.read())["id"]
            deadline, job = time.monotonic() + 300, {"state": "queued"}
            while job["state"] in ("queued", "running") and time.monotonic() < deadline:
                time.sleep(0.5)
                with urllib.request.urlopen(f"{url}/v1/plans/{plan_id}", timeout=60) as reply:
                    job = json.loads(reply.read())
            assert job["state"] == "done", job
            with urllib.request.urlopen(f"{url}/v1/plans/{plan_id}/report", timeout=60) as reply:
                assert b"</html>" in reply.read()
            user = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
            assert f"Uid:\t{NOBODY}\t{NOBODY}" in user
        finally:
            server.terminate()
    assert (kept / "jobs.db").stat().st_uid == NOBODY
