"""adaptwin replan: the new plan and the steps to it, for people, as JSON and in a file."""

import json

import pytest

from adaptwin import Plan
from adaptwin.profile.profile import shipped_profiles


@pytest.fixture
def changed(planned):
    """A function that writes ``new.yaml``, the fleet with some text replaced."""

    def write(*replacements, more=""):
        text = (planned / "fleet.yaml").read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (planned / "new.yaml").write_text(text + more, encoding="utf-8")

    return write


GONE = ("- {name: a1, rank: 16, rate: 0.3}\n", "")
NEW = "- {name: new, rank: 8, rate: 0.1}\n"


def test_replan_prints_what_changes_and_writes_files(adaptwin, changed, planned):
    changed(GONE, more=NEW)
    done = adaptwin("replan", "plan.yaml", "new.yaml", "--out", "next.yaml", "--report", "next.html")
    assert done.code == 0
    for fact in (
        "1 GPU for 3 adapters",
        "GPUs: 1 before, 1 after; 0 moves, 0 restarts, 1 new adapter, 1 adapter removed.",
        "refuse requests for a1",
        "unload a1 from gpu-0",
        "load new on gpu-0",
        "route new to gpu-0",
    ):
        assert fact in done.out
    assert done.err.splitlines() == ["plan written to next.yaml", "report written to next.html"]
    plan = Plan.read(planned / "next.yaml")
    assert plan.verified
    assert [step.action for step in plan.migration.steps] == ["route", "unload", "load", "route"]
    assert "<html" in (planned / "next.html").read_text(encoding="utf-8")
    assert adaptwin("verify", "next.yaml").code == 0
    assert adaptwin("export", "next.yaml", "--to", "vllm").code == 0


def test_the_same_fleet_changes_nothing(adaptwin, planned):
    done = adaptwin("replan", "plan.yaml", "fleet.yaml")
    assert done.code == 0
    assert "Nothing changes" in done.out
    assert done.err == ""


def test_replan_as_json_is_the_plan_and_nothing_else(adaptwin, changed):
    changed(GONE)
    done = adaptwin("replan", "plan.yaml", "new.yaml", "--json")
    fields = json.loads(done.out)
    assert done.err == ""
    assert fields["migration"]["departed"] == 1
    assert [step["action"] for step in fields["migration"]["steps"]] == ["route", "unload"]


def test_all_fits_eighty_columns(adaptwin, changed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    more = "".join(f"- {{name: a-rather-long-name-of-an-adapter-{i}, rank: 8, rate: 0.02}}\n" for i in range(9))
    changed(("rank: 16", "rank: 64"), more=more)
    done = adaptwin("replan", "plan.yaml", "new.yaml")
    assert done.code == 0
    assert "and 7 more to gpu-0" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80


def test_replan_takes_its_options(adaptwin, changed, planned):
    changed(("rank: 16", "rank: 64"))
    words = ("--seed", 5, "--time-limit", 60, "--surrogate", "none", "--out", "next.yaml")
    restarting = adaptwin("replan", "plan.yaml", "new.yaml", "--restart-cost", 0.1, *words)
    assert restarting.code == 0
    plan = Plan.read(planned / "next.yaml")
    assert (plan.gpus, plan.migration.restarts, plan.migration.extra_gpus, plan.seed) == (1, 1, 1, 5)
    assert plan.predictions == 0
    assert "1 extra GPU needed temporarily" in restarting.out
    adaptwin("replan", "plan.yaml", "new.yaml", "--restart-cost", 9, "--move-cost", 0.1, *words)
    assert Plan.read(planned / "next.yaml").migration.restarts == 0


def test_a_fleet_that_names_no_profile_is_planned_for_the_plans(adaptwin, changed):
    changed((f"profile: {shipped_profiles()[0]}\n", ""))
    assert adaptwin("replan", "plan.yaml", "new.yaml").code == 0


def test_adapters_may_come_from_csv(adaptwin, planned):
    (planned / "adapters.csv").write_text("name,rank,rate\na0,8,0.5\nb,16,0.25\n", encoding="utf-8")
    assert adaptwin("replan", "plan.yaml", "adapters.csv").code == 0


def test_a_fleet_for_other_gpus_or_settings_is_refused(adaptwin, changed):
    ours, other = shipped_profiles()[:2]
    changed((ours, other))
    done = adaptwin("replan", "plan.yaml", "new.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"adaptwin: new.yaml: profile: {other}, but the plan runs on {ours}: make a new plan for other GPUs\n"
    )
    changed(more="server: {max_num_seqs: 99}\n")
    done = adaptwin("replan", "plan.yaml", "new.yaml")
    assert (done.code, done.out) == (1, "")
    assert "new.yaml: server.max_num_seqs: 99, but the plan was made with a choice of its own" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no.yaml", "fleet.yaml"), "no.yaml: no such file"),
        (("plan.yaml", "no.yaml"), "no.yaml: no such file"),
        (("fleet.yaml", "fleet.yaml"), "fleet.yaml: "),
        (("plan.yaml", "fleet.yaml", "--out", "no/next.yaml"), "no/next.yaml: cannot be written"),
    ],
)
def test_wrong_input_ends_with_1(adaptwin, planned, words, message):
    done = adaptwin("replan", *words)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_a_plan_without_servers_is_wrong_input(adaptwin, planned):
    text = (planned / "plan.yaml").read_text(encoding="utf-8").replace("\nverified: true", "\nverified: false")
    servers, workload = text.index("\nservers:"), text.index("\nworkload:")
    profiles = text.index("\nprofiles:")
    adapters = text.index("\n  adapters:", workload)
    lengths = text.index("\n  lengths:", workload)
    empty = text[:servers] + "\nservers: []" + text[profiles:adapters] + "\n  adapters: []" + text[lengths:]
    (planned / "plan.yaml").write_text(empty, encoding="utf-8")
    done = adaptwin("replan", "plan.yaml", "fleet.yaml")
    assert done.code == 1
    assert "plan.yaml: servers: the plan has none" in done.err


def test_a_fleet_that_cannot_be_served_ends_with_2(adaptwin, changed):
    changed(more="- {name: late, rank: 8, rate: 1.0, slo_itl: 1.0e-6}\n")
    done = adaptwin("replan", "plan.yaml", "new.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("adaptwin: new.yaml: adapters[3]")
