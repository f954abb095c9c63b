"""Examples: the fleets can be planned, and the code on the documentation pages runs."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from adaptwin import load_design, make_plan, verify
from adaptwin.export.options import ExportOptions
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.applying.server_access import read_servers
from adaptwin.live.measured_files import read_observations
from adaptwin.placement.requirements import priced
from adaptwin.plan.fleet import fleet_profiles, read_fleet
from adaptwin.spec import read_mapping

PROJECT = Path(__file__).resolve().parents[1]
FLEET = PROJECT / "examples" / "fleet.yaml"
NOTEBOOK = PROJECT / "examples" / "notebook.ipynb"
MIXED = PROJECT / "examples" / "mixed-fleet.yaml"
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("**/*.md"))]
DESIGN = "# design.yaml\n"  # first line of a block that is a design, not a fleet
OF_SERVERS, OF_ROUTES, OF_OPTIONS = "# servers.yaml\n", "# routes.yaml\n", "# export.yaml\n"
OTHER_KINDS = (DESIGN, OF_SERVERS, OF_ROUTES, OF_OPTIONS)
WINDOW = 900.0  # seconds; the hour of the example takes four times as long to plan


def blocks(language):
    """Yield the code blocks of the pages in a language, named after page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, found.start()) + 1
            yield pytest.param(found[1], id=f"{page.relative_to(PROJECT)}:{line}")


def test_the_example_needs_no_more_gpus_than_round_robin_and_holds():
    fleet = read_fleet(FLEET)
    workload = fleet.workload.model_copy(update={"duration": WINDOW})
    profiles = fleet_profiles(fleet, FLEET)
    plan = make_plan(profiles, workload, server=fleet.server)
    assert plan.verified
    assert verify(plan, seed=11).ok
    dealt = make_plan(profiles, workload, server=fleet.server, strategy="round_robin")
    assert plan.lower_bound <= plan.gpus <= dealt.gpus


def test_the_mix_of_gpus_is_cheaper_than_either_type_alone():
    fleet = read_fleet(MIXED)
    workload = fleet.workload.model_copy(update={"duration": WINDOW})
    profiles = priced(fleet_profiles(fleet, MIXED), fleet.planning)
    plan = make_plan(profiles, workload, objective=fleet.planning.objective, server=fleet.server)
    assert plan.verified
    assert {server.profile for server in plan.servers} == {profile.name for profile in profiles}
    assert verify(plan, seed=11).ok
    alone = [make_plan(profile, workload, server=fleet.server).cost_per_hour for profile in profiles]
    assert plan.cost_bound <= plan.cost_per_hour < min(alone)


def test_the_derived_profile_states_that_it_was_not_measured():
    _, derived = fleet_profiles(read_fleet(MIXED), MIXED)
    assert derived.error is None
    assert derived.spread == ()
    assert derived.source.startswith("derived, not measured")
    assert derived.price_per_hour is None
    assert derived.memory.estimated


def test_the_example_is_as_the_pages_describe_it():
    fleet = read_fleet(FLEET)
    assert len(fleet) == 201
    assert {adapter.rank for adapter in fleet.adapters} == {0, 8, 16, 32, 64}
    assert fleet.rate == pytest.approx(49.5, abs=0.05)


@pytest.mark.parametrize("code", list(blocks("python")))
def test_the_python_of_the_pages_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {"__name__": "__main__"})  # noqa: S102 (our own pages)


def test_the_notebook_runs_and_shows_something_in_every_cell(monkeypatch):
    """Every cell is run, and its last expression is shown, as Jupyter does."""
    monkeypatch.chdir(NOTEBOOK.parent)
    names = {"__name__": "__main__"}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)  # noqa: S102 (our own notebook)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
            assert value is not None
            assert value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)
    assert names["plan"].verified
    assert names["new"].migration.steps
    assert names["run"].series is not None
    assert names["few"].worst != "ok"


def test_the_notebook_stores_no_output():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in cells)


@pytest.mark.parametrize("text", [block for block in blocks("yaml") if not block.values[0].startswith(OTHER_KINDS)])
def test_the_fleets_of_the_pages_can_be_read(text, tmp_path):
    """Profile files that a fleet names are those of the examples."""
    for file in MIXED.parent.glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "fleet.yaml").write_text(text, encoding="utf-8")
    fleet = read_fleet(tmp_path / "fleet.yaml")
    assert fleet_profiles(fleet, tmp_path / "fleet.yaml")


@pytest.mark.parametrize("text", [block for block in blocks("yaml") if block.values[0].startswith(DESIGN)])
def test_the_designs_of_the_pages_can_be_read(text, tmp_path):
    (tmp_path / "design.yaml").write_text(text, encoding="utf-8")
    assert load_design(tmp_path / "design.yaml").mixes


@pytest.mark.parametrize(
    "text", [block for block in blocks("yaml") if block.values[0].startswith((OF_SERVERS, OF_ROUTES, OF_OPTIONS))]
)
def test_the_other_files_of_the_pages_can_be_read(text, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")
    if text.startswith(OF_SERVERS):
        assert read_servers(file, read_mapping(file))
    elif text.startswith(OF_ROUTES):
        assert RoutesFile.read(file).routes
    else:
        assert ExportOptions.read(file) != ExportOptions()


@pytest.mark.parametrize("text", list(blocks("csv")))
def test_the_csv_of_the_pages_can_be_read(text, tmp_path):
    (tmp_path / "adapters.csv").write_text(text, encoding="utf-8")
    assert len(read_fleet(tmp_path / "adapters.csv").adapters) == len(text.splitlines()) - 1


RUN_OR_READ = {"python", "yaml", "csv", "json", "bash"}  # by the tests of this file
ELSEWHERE = {
    "console": "test_console.py runs it",
    "py": "signatures that test_reference.py makes anew, and files that a recipe adds",
    "text": "what a program printed on another machine, or the shape of a table",
    "dockerfile": "two lines",
}


def test_every_language_of_a_block_has_a_test():
    languages = set()
    for page in PAGES:
        fences = re.findall(r"^ *```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        languages |= set(fences[::2])
        assert len(fences) % 2 == 0, page
        assert set(fences[1::2]) <= {""}, page
    assert languages == RUN_OR_READ | set(ELSEWHERE)


def test_the_shell_commands_of_the_pages_are_read_by_bash():
    """Each block is the body of a function, which is not called."""
    found = [block.values[0] for block in blocks("bash")]
    text = "".join(f"block{number}() {{\n{code}}}\n" for number, code in enumerate(found))
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(found) > 50


@pytest.mark.parametrize("text", list(blocks("json")))
def test_the_measured_runs_of_the_pages_can_be_read(text, tmp_path):
    (tmp_path / "measured.json").write_text(text, encoding="utf-8")
    assert len(read_observations(tmp_path / "measured.json")) == 1


def test_the_pages_have_code():
    assert list(blocks("json"))
    assert list(blocks("csv"))
    assert list(blocks("python"))
    assert list(blocks("yaml"))
