"""Hostile names through every output: a name is never code, an option, markup or a terminal sequence."""

import io
import json
import os
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from tests.hostile import CONTROL, HOSTILE, INVISIBLE, NAMES
from tests.report.reading import Page, drawn, without_plotly

from adaptwin import Plan, make_plan
from adaptwin.export import export
from adaptwin.plan.constraints import Constraints
from adaptwin.report.plan.page import plan_report
from adaptwin.report.plan.table import plan_table
from adaptwin.report.style.terminal import Table, Text, console
from adaptwin.visible import visible, visible_json

PLACES = ("adapter-one", "adapter-two", "/weights/two", "base-traffic", "server-one", "a-strategy", "a-profile")
NAMED = st.lists(NAMES, min_size=len(PLACES), max_size=len(PLACES), unique=True).map(
    lambda names: dict(zip(PLACES, names, strict=True))
)


def tried(examples):
    """Return settings for this number of examples, which share the fixtures of a test."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


FAKE_VLLM = """\
#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word"; done > "$CALLS/$4"
"""


@pytest.fixture(scope="module")
def plain(h100, fleet):
    """Return the file form of a plan with plain names in every place."""
    workload = fleet(("adapter-one", 8, 0.4), ("adapter-two", 16, 0.4), ("base-traffic", 0, 0.2))
    adapters = [
        adapter.model_copy(update={"artifact": "/weights/two"}) if adapter.name == "adapter-two" else adapter
        for adapter in workload.adapters
    ]
    profile = h100.model_copy(update={"name": "a-profile"})
    constraints = Constraints(pinned={"adapter-one": "server-one", "adapter-two": "server-two"})
    plan = make_plan(profile, workload.model_copy(update={"adapters": tuple(adapters)}), constraints=constraints)
    form = plan.file_form()
    form["options"]["strategy"] = "a-strategy"
    return form


def renamed(value, names):
    """Return plain data with other names in place of the plain ones, in values and keys."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def hostile_plan(plain, names):
    return Plan.parse(renamed(plain, names))


@pytest.fixture
def started(tmp_path):
    """Return a function that checks and runs a script with a fake vllm and returns its words, server by server."""
    program, calls = tmp_path / "bin" / "vllm", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(FAKE_VLLM, encoding="utf-8")
    program.chmod(0o755)
    calls.mkdir()

    def run(script):
        path = tmp_path / "serve.sh"
        path.write_text(script, encoding="utf-8")
        subprocess.run(["bash", "-n", path], check=True)
        environment = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls)}
        done = subprocess.run(["sh", path], env=environment, cwd=tmp_path, capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"", b"")
        assert sorted(os.listdir(tmp_path)) == ["bin", "calls", "serve.sh"]  # nothing else was run
        return [call.read_text(encoding="utf-8").split("\0")[:-1] for call in sorted(calls.iterdir())]

    return run


def modules_of(words):
    """Return name and path of each adapter, as vLLM reads the words of ``--lora-modules``, which come last."""
    values = words[words.index("--lora-modules") + 1 :]
    assert not [value for value in values if value.startswith("-")]  # argparse would read an option
    return [tuple(value.split("=")) if "," not in value else tuple(json.loads(value).values()) for value in values]


@tried(15)
@given(NAMED)
def test_the_script_gives_vllm_exactly_the_names(plain, started, names):
    plan = hostile_plan(plain, names)
    one, two, weights = (names[place] for place in PLACES[:3])
    found = [module for words in started(export(plan)["serve.sh"]) for module in modules_of(words)]
    assert sorted(found) == sorted([(one, f"adapters/{one}"), (two, weights)])


@tried(15)
@given(NAMED, st.sampled_from([".yaml", ".json"]))
def test_a_plan_reads_back_equal(plain, tmp_path, names, suffix):
    plan = hostile_plan(plain, names)
    plan.write(tmp_path / f"plan{suffix}")
    assert Plan.read(tmp_path / f"plan{suffix}") == plan


@tried(15)
@given(NAMED)
def test_json_on_the_terminal_reads_back_equal(plain, names):
    text = visible_json(json.dumps(renamed(plain, names), ensure_ascii=False, indent=1))
    assert json.loads(text) == renamed(plain, names)
    assert not set(text) & {*INVISIBLE, *CONTROL} - {"\n"}


def printed(*parts, width):
    screen = io.StringIO()
    shown = Console(file=screen, width=width, markup=False, emoji=False, highlight=False)
    for part in parts:
        shown.print(part)
    return screen.getvalue()


@tried(10)
@given(NAMED)
def test_tables_hold_names_as_text(plain, names):
    plan = hostile_plan(plain, names)
    server = visible(names["server-one"])
    wide = printed(plan_table(plan), width=400)
    assert wide.count(server.strip()) >= 2
    assert not set(wide) & {*INVISIBLE, *CONTROL} - {"\n"}
    narrow = printed(plan_table(plan), width=80)
    assert max(map(cell_len, narrow.splitlines())) <= 80


@tried(5)
@given(NAMED)
@example(
    dict(
        zip(
            PLACES,
            ("zero\u200bwidth", "\ufeffmark", "/\u2066", "x\u3164y", "right\u202eleft", "<b>", "\ufffe"),
            strict=True,
        )
    )
)
def test_a_page_has_the_same_tags_whatever_the_names(plain, names):
    html, usual_html = (plan_report(plan) for plan in (hostile_plan(plain, names), Plan.parse(plain)))
    page, usual = Page(without_plotly(html)), Page(without_plotly(usual_html))
    assert sorted(map(_without_values, page.tags)) == sorted(map(_without_values, usual.tags))
    for place in ("server-one", "adapter-one", "a-profile"):
        assert visible(names[place]) in page.text
    assert drawn(html).keys() == drawn(usual_html).keys()
    assert not set(without_plotly(html)) & {*INVISIBLE, *CONTROL} - {"\n"}


def _without_values(tag):
    name, attributes = tag
    return name, *attributes


@pytest.mark.parametrize("name", [*HOSTILE, *(f"x{character}y" for character in CONTROL)])
def test_no_name_on_a_command_line_reaches_the_terminal_raw(name, tmp_path, monkeypatch, capsys):
    from adaptwin.cli.main import run

    monkeypatch.chdir(tmp_path)
    for words in (
        [f"command{name}"],
        ["plan", f"fleet{name}.yaml"],
        ["plan", "fleet.yaml", f"--option{name}"],
        ["plan", "fleet.yaml", "--headroom", f"1{name}"],
        ["plan", "fleet.yaml", "--pin", f"x{name}"],
        ["plan", "fleet.yaml", "--profile", f"x{name}"],
        ["verify", f"plan{name}.yaml"],
    ):
        if "\x00" in name and words[0] in ("plan", "verify", "export", "sweep"):
            continue
        assert run(words) == 1
        said = "".join(capsys.readouterr())
        assert not set(said) & {*INVISIBLE, *CONTROL} - {"\n"}, words


def test_cells_are_as_wide_as_what_is_shown():
    table = Table(show_header=False, box=None, pad_edge=False, padding=0)
    table.add_row("日本", "|")
    table.add_row("a\u200bb", "|")
    table.add_row(Text("[bold]"), "|")
    lines = printed(table, width=80).splitlines()
    assert [line.rstrip() for line in lines] == ["日本    |", "a\\u200bb|", "[bold]  |"]


def test_no_color_means_no_styles(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console().color_system is None
