"""A type checker of a user, without the plugin of pydantic, knows the types of the package and takes what runs."""

import os
import subprocess
import sys

SCRIPT = """
from adaptwin import Adapter, Plan, Profile, Run, Workload, load_profile, make_plan, simulate

workload = Workload([Adapter("a", 8, 1.0), Adapter(name="b", rank=16, rate=0.5)], duration=300.0)
profile: Profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
plan: Plan = make_plan("h100-64gb-llama-3.1-8b-instruct", workload, objective="min-gpus")
run: Run = simulate(profile, plan.servers[0].server, plan.workload_of(plan.servers[0]), record=True)
gpus: int = plan.gpus
rows: int = plan.to_polars().height + len(plan.figures)
wrong: str = plan.gpus
plan.gpu
"""


def test_a_script_is_checked_against_the_types_of_the_package(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[2].partition(":")[0] for line in errors] == ["10", "11"], done.stdout
    assert "Incompatible types in assignment" in errors[0]
    assert '"Plan" has no attribute "gpu"' in errors[1]
