"""adaptwin fit: a folder of measurements in, a profile out; what is wrong is named, and then nothing is written."""

import json
import os
import sys

import pytest
from tests.calibration.simulated_measurements import (
    loads_of,
    plain_setup,
    planning_of,
    runs_of,
    steps_of,
    true_profile,
    wrong_profile,
)

from adaptwin import Measurements, Profile, fit, load_profile
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.profile import shipped_profiles

TRUE = true_profile()


@pytest.fixture(scope="module")
def runs() -> tuple[MeasuredRun, ...]:
    return runs_of(TRUE)[:6]


@pytest.fixture
def measured(folder, runs) -> Measurements:
    """The folder ``measured`` with every part but memory, and the profile that it starts from."""
    wrong_profile().write(folder / "start.yaml")
    tables = {"loads": loads_of(TRUE), "planning": planning_of(TRUE), "steps": steps_of(TRUE)}
    measurements = Measurements(plain_setup(folder / "start.yaml"), **tables, runs=runs)
    measurements.write(folder / "measured")
    return measurements


def test_fit_writes_a_profile_that_can_be_loaded(adaptwin, folder, measured):
    done = adaptwin("fit", "measured", "--out", "p.yaml")
    assert done.code == 0
    assert done.err.splitlines() == ["profile written to p.yaml"]
    assert load_profile(folder / "p.yaml") == fit(measured).profile


def test_fit_says_how_far_it_is_and_what_was_not_measured(adaptwin, measured):
    done = adaptwin("fit", "measured")
    assert (done.code, done.err) == (0, "")
    fitted = fit(measured)
    assert done.out.startswith("made: paper\n")
    for part in fitted.residuals:
        assert f"{part.part} " in done.out
    error = fitted.profile.error
    assert f"6 runs: throughput {error.throughput:.1f} %, mean ITL {error.itl:.1f} %" in done.out
    text = " ".join(done.out.split())
    assert "- memory was not measured: the size of the KV cache is estimated from the model's shapes" in text
    assert all(f"- {warning}" in text for warning in fitted.warnings)


def test_the_report_fits_eighty_columns(adaptwin, measured, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = adaptwin("fit", "measured").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_as_json_it_is_the_profile_with_residuals_and_warnings(adaptwin, folder, measured):
    done = adaptwin("fit", "measured", "--json", "--out", "p.yaml")
    assert done.code == 0
    data = json.loads(done.out, parse_constant=pytest.fail)
    assert set(data) == {"profile", "residuals", "warnings", "undetermined"}
    assert Profile.parse(data["profile"]) == Profile.read(folder / "p.yaml")
    assert {part["part"] for part in data["residuals"]} >= {"single steps", "mean step of a run"}
    assert all(set(part) == {"part", "points", "mean", "worst"} for part in data["residuals"])
    fitted = fit(measured)
    assert data["warnings"] == fitted.warnings
    assert data["undetermined"] == [each._asdict() for each in fitted.undetermined]
    assert data["profile"]["undetermined"] == [each.constant for each in fitted.undetermined]


def test_more_rounds_can_be_asked_for(adaptwin, measured):
    one, four = (json.loads(adaptwin("fit", "measured", "--json", "--rounds", n).out) for n in (1, 4))
    assert one["profile"] == fit(measured, rounds=1).profile.file_form()
    assert four["profile"] == fit(measured, rounds=4).profile.file_form()


def test_a_fitted_profile_can_be_planned_with(adaptwin, folder, measured):
    assert adaptwin("fit", "measured", "--out", "p.yaml").code == 0
    done = adaptwin("plan", "fleet.yaml", "--profile", "p.yaml", "--margin", "profile", "--json")
    assert done.code == 0
    assert 0 < json.loads(done.out)["margin"] < 0.2


def test_a_setup_may_start_from_a_shipped_profile(adaptwin, folder):
    Measurements(plain_setup(shipped_profiles()[0]), loads=loads_of(TRUE)).write(folder / "measured")
    data = json.loads(adaptwin("fit", "measured", "--json").out)
    assert data["profile"]["step_cost"] == load_profile(shipped_profiles()[0]).file_form()["step_cost"]
    assert [part["part"] for part in data["residuals"]] == ["adapter loads from host", "adapter loads from disk"]


def test_what_was_not_determined_is_named_with_its_source(adaptwin, folder):
    """A table of planning costs says nothing about steps, loads and memory."""
    Measurements(plain_setup(shipped_profiles()[0]), planning=planning_of(TRUE)).write(folder / "measured")
    text = " ".join(adaptwin("fit", "measured", "--out", "p.yaml").out.split())
    assert "Not determined by the measurements" in text
    assert f"- taken from {shipped_profiles()[0]}: load_cost (gpu_base, gpu_per_rank, gpu_per_padding, disk" in text
    assert "step_cost (host_base, gpu_base, weights, per_token, " in text
    assert "- derived from the shapes of the model: memory (activation_bytes, slot_bytes, slot_bytes_per_rank)" in text
    assert "step_cost.lora_launch" in Profile.read(folder / "p.yaml").undetermined


def test_the_profile_to_start_from_can_be_an_option(adaptwin, folder):
    Measurements(plain_setup(), loads=loads_of(TRUE)).write(folder / "measured")
    data = json.loads(adaptwin("fit", "measured", "--start", shipped_profiles()[1], "--json").out)
    assert data["profile"]["step_cost"] == load_profile(shipped_profiles()[1]).file_form()["step_cost"]
    assert refused(adaptwin, folder, "fit", "measured", "--start", "h200").startswith(
        "--start: profile: 'h200' is neith"
    )


def test_an_implausible_value_is_refused_with_its_file_row_and_unit(adaptwin, folder):
    (folder / "measured").mkdir()
    plain_setup(shipped_profiles()[0]).write(folder / "measured" / "setup.yaml")
    (folder / "measured" / "planning.csv").write_text("running,waiting,seconds\n1,0,0.02\n50,0,0.1\n", encoding="utf-8")
    assert refused(adaptwin, folder, *FIT) == (
        "measured/planning.csv: row 1: seconds: 0.02 s is not plausible: expected 1e-06 to 0.0101 s (what vLLM's "
        "scheduler takes); is it in milliseconds?"
    )


# Wrong input: one line that names file and field, and nothing left behind


def refused(adaptwin, folder, *words) -> str:
    """The line on stderr of a call that is refused and leaves nothing behind."""
    before = sorted(os.listdir(folder))
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert sorted(os.listdir(folder)) == before
    return done.err.removeprefix("adaptwin: ").rstrip("\n")


FIT = ("fit", "measured", "--out", "p.yaml")


def replace(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: (m / "setup.yaml").unlink(), "measured: no setup.yaml in this folder"),
        (lambda m: replace(m / "setup.yaml", "gpu_gib", "gpu_gb"), "measured/setup.yaml: gpu_gb: unknown key"),
        (
            lambda m: replace(m / "setup.yaml", f"start: {m.parent / 'start.yaml'}\n", ""),
            "measured/setup.yaml: start: name a profile to start from",
        ),
        (lambda m: replace(m / "setup.yaml", "start.yaml", "no.yaml"), "{folder}/no.yaml: no such file"),
        (
            lambda m: replace(m / "setup.yaml", str(m.parent / "start.yaml"), "h200"),
            "measured/setup.yaml: start: profile: 'h200' is neither a file nor one of ",
        ),
        (
            lambda m: (m / "runs.json").write_text("[", encoding="utf-8"),
            "measured/runs.json: line 1: not valid JSON",
        ),
        (
            lambda m: replace(m / "runs.json", '"throughput"', '"thruput"'),
            "measured/runs.json: [0].thruput: unknown key",
        ),
        (
            lambda m: (m / "memory.csv").write_text("max_loras,max_lora_rank\n1,8\n", encoding="utf-8"),
            "measured/memory.csv: column 'kv_cache_tokens' is missing (needed: max_loras, max_lora_rank, kv_cache",
        ),
        (
            lambda m: (m / "memory.csv").write_text(
                "max_loras,max_lora_rank,kv_cache_tokens\n1,8,-5\n", encoding="utf-8"
            ),
            "measured/memory.csv: row 1: kv_cache_tokens: -5 must be",
        ),
        (lambda m: (m / "steps.parquet").write_bytes(b"x"), "measured/steps.parquet: cannot be read as Parquet: "),
    ],
    ids=["no setup", "setup", "no start", "start file", "start name", "JSON", "run", "column", "value", "Parquet"],
)
def test_a_wrong_folder_is_refused_in_one_line(adaptwin, folder, measured, spoil, message):
    spoil(folder / "measured")
    assert refused(adaptwin, folder, *FIT).startswith(message.format(folder=folder))


def test_a_folder_that_is_not_there_is_refused(adaptwin, folder):
    assert refused(adaptwin, folder, *FIT) == "measured: no such file or folder"


def test_a_setup_without_measurements_is_refused(adaptwin, folder):
    Measurements(plain_setup(shipped_profiles()[0])).write(folder / "measured")
    message = refused(adaptwin, folder, *FIT)
    assert message.startswith("measured: measurements: the folder holds no measurements")


def test_where_it_cannot_be_written_nothing_is_even_read(adaptwin, folder):
    message = refused(adaptwin, folder, "fit", "not-there", "--out", "no/p.yaml")
    assert message.startswith("no/p.yaml: cannot be written: ")


def test_without_scipy_it_says_what_to_install(adaptwin, folder, measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)  # what Python does for a module that must not be imported
    assert refused(adaptwin, folder, *FIT) == "fitting needs scipy: pip install 'adaptwin[fit]'"


@pytest.mark.parametrize("words", [("fit",), ("fit", "measured", "--rounds", "0")], ids=" ".join)
def test_a_call_that_is_not_one_is_refused(adaptwin, words):
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("; see adaptwin fit --help\n")
