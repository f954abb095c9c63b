"""The tutorial docs/tutorial/running-fleet.md, to its end, with a stand-in server: from a log to a running plan."""

import shutil
from pathlib import Path

from adaptwin.live.applying.routes_file import RoutesFile

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROFILE = ("--profile", "h100-64gb-llama-3.1-8b-instruct")


# The stand-in server loads adapters from /adapters only, so the fleet names that folder.
def test_a_server_without_adapters_runs_the_plan_after_the_last_step(adaptwin, folder, serve):
    shutil.copytree(EXAMPLES / "adapters", folder / "adapters")
    log = ("workload", "from-log", EXAMPLES / "access-log.jsonl", "--ranks-from", "adapters", *PROFILE)
    assert adaptwin(*log, "--out", "fleet.yaml").code == 0
    fleet = (folder / "fleet.yaml").read_text(encoding="utf-8")
    (folder / "fleet.yaml").write_text(fleet.replace(str(folder / "adapters"), "/adapters"), encoding="utf-8")
    assert adaptwin("plan", "fleet.yaml", "--out", "plan.yaml").code == 0
    server = serve((), max_loras=4)
    (folder / "servers.yaml").write_text(f"gpu-0: {server.url}\n", encoding="utf-8")
    call = ("apply", "plan.yaml", "--servers", "servers.yaml", "--routes", "routes.yaml", "--settle", "0s")
    dry = adaptwin(*call, "--dry-run")
    assert "load" in dry.out
    assert not (folder / "routes.yaml").exists()
    done = adaptwin(*call)
    assert done.out.startswith("9 of 9 steps taken."), done.out + done.err
    assert done.code == 3  # the stand-in server has other settings than the plan
    routes = RoutesFile.read(folder / "routes.yaml").routes
    assert set(routes) == {"support-en", "support-de", "contracts", "sql", "llama-3.1-8b"}
    assert sorted(server.loads) == ["contracts", "sql", "support-de", "support-en"]
    assert "nothing to load, route or unload" in adaptwin(*call).out
    assert len(server.loads) == 4
