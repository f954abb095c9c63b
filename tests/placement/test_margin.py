"""The margin for a profile's uncertainty: one full server in twenty serves even less."""

import math

import pytest

from adaptwin import Plan, Server, SpecError, make_plan
from adaptwin.cli.main import run
from adaptwin.plan.fleet import read_fleet
from adaptwin.profile.profile import Spread

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FLEET = f"""\
profile: {PROFILE}
duration: 300
adapters:
- {{name: a, rank: 8, rate: 0.5}}
- {{name: b, rank: 16, rate: 0.3}}
"""


@pytest.fixture
def small(fleet):
    return fleet(("a", 8, 0.5), ("b", 16, 0.3))


def uncertain(profile, **sigma):
    """Return the profile with these spreads of throughput, by regime."""
    spread = tuple(Spread(regime=regime, runs=9, throughput=value) for regime, value in sigma.items())
    return profile.model_copy(update={"spread": spread})


def test_the_margin_is_that_of_a_starved_server(h100, small):
    """Only in the starved regime is throughput that of the server, not of its traffic; exp(1.645 x 0.04) is 1.068."""
    plan = make_plan(uncertain(h100, calm=0.001, busy=0.01, starved=0.04), small, margin="profile")
    assert plan.margin == math.exp(1.645 * 0.04) - 1
    assert plan.margin == pytest.approx(0.068, abs=5e-4)
    assert plan.verified


def test_where_no_starved_run_was_measured_the_largest_spread_counts(h100, small):
    plan = make_plan(uncertain(h100, calm=0.02, busy=0.01), small, margin="profile")
    assert plan.margin == math.exp(1.645 * 0.02) - 1


def test_a_profile_without_a_known_uncertainty_is_refused(h100, small):
    with pytest.raises(SpecError, match=f"^margin: profile {h100.name} states no uncertainty"):
        make_plan(uncertain(h100), small, margin="profile")


def test_a_margin_in_figures_needs_no_spread(h100, small):
    assert make_plan(uncertain(h100), small, margin=0.05).margin == 0.05
    assert make_plan(uncertain(h100, busy=0.04), small).margin == 0.0


def test_each_of_several_profiles_has_its_own_margin(h100, small):
    sure, unsure = (
        uncertain(h100.model_copy(update={"name": name}), busy=sigma) for name, sigma in (("sure", 0.01), ("un", 0.2))
    )
    for profiles, sigma in (((sure, unsure), 0.01), ((unsure, sure), 0.2)):
        plan = make_plan(profiles, small, margin="profile")
        assert plan.servers[0].profile == profiles[0].name  # one GPU of either is enough
        assert plan.margin == math.exp(1.645 * sigma) - 1


def test_a_less_certain_profile_needs_more_gpus(h100, fleet):
    hot = fleet(("hot", 8, 20.0), ("b", 16, 1.0))
    usual, sigmas = Server(max_num_seqs=256), (0.0, 0.4)
    gpus = [make_plan(uncertain(h100, busy=sigma), hot, margin="profile", server=usual).gpus for sigma in sigmas]
    assert gpus == [1, 2]
    margin = math.exp(1.645 * 0.4) - 1
    assert make_plan(h100, hot, margin=margin, server=usual).gpus == 2


def test_a_plan_with_a_margin_reads_back_as_it_was_written(h100, small, tmp_path):
    plan = make_plan(uncertain(h100, busy=0.04), small, margin="profile")
    plan.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == plan


# In a fleet file, and on the command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    (tmp_path / "asks.yaml").write_text(FLEET + "planning: {margin: profile}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [("fleet.yaml", "--margin", "profile"), ("asks.yaml",)], ids=" ".join)
def test_a_fleet_or_the_command_line_may_set_the_margin(folder, capsys, words):
    assert run(["plan", *words, "--out", "plan.yaml"]) == 0
    capsys.readouterr()
    plan = Plan.read(folder / "plan.yaml")
    assert plan.margin == math.exp(1.645 * plan.profiles[0].spread_in("starved").throughput) - 1 > 0


def test_the_command_line_overrides_the_fleet(folder, capsys):
    assert run(["plan", "asks.yaml", "--margin", "5%", "--out", "plan.yaml"]) == 0
    capsys.readouterr()
    assert Plan.read(folder / "plan.yaml").margin == 0.05


def test_a_fleet_with_a_margin_reads_back_as_it_was_written(folder):
    fleet = read_fleet("asks.yaml")
    assert fleet.planning.margin == "profile"
    fleet.write("again.yaml")
    assert read_fleet("again.yaml") == fleet


def test_another_word_is_refused(folder, capsys):
    (folder / "wrong.yaml").write_text(FLEET + "planning: {margin: profil}\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"^wrong\.yaml: planning\.margin"):
        read_fleet("wrong.yaml")
    assert run(["plan", "fleet.yaml", "--margin", "profil"]) == 1
    assert "'profil' is not a share" in capsys.readouterr().err


def test_a_profile_without_spread_is_refused_in_one_line(folder, capsys, h100):
    uncertain(h100).write("mine.yaml")
    assert run(["plan", "fleet.yaml", "--profile", "mine.yaml", "--margin", "profile", "--out", "plan.yaml"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "states no uncertainty" in err
    assert not (folder / "plan.yaml").exists()
