"""adaptwin fit FILE...: profiles from files that people have."""

import json

import pytest
from tests.calibration.own_files import LOG, bench_serve, written

from adaptwin.profile.profile import Profile


@pytest.fixture
def files(folder):
    """A log and an idle run of one server."""
    written(folder / "vllm.log", LOG)
    written(folder / "idle.json", bench_serve(mean_tpot_ms=27.0, mean_itl_ms=27.0, median_ttft_ms=60.0))
    return folder


def test_the_report_says_what_was_taken_from_each_file(adaptwin, files):
    done = adaptwin("fit", "vllm.log", "idle.json", "--out", "p.yaml")
    assert (done.code, done.err) == (0, "profile written to p.yaml\n")
    text = " ".join(done.out.split())
    assert "Grade: derived, base model corrected with runs of this server." in text
    assert "vllm.log (start-up log of vLLM) taken: memory.weights_bytes" in text
    assert "idle.json (result of vllm bench serve) taken: TPOT of 27 ms with " in text
    assert "vllm.log: KV tokens 437,392" in text
    assert "step_cost.host_base 1.50 ms -> " in text
    assert "all of load_cost, scheduler_cost, scrape_cost" in text
    assert "- no run is known to have adapters: the costs of LoRA and of adapter loads are derived" in text
    assert Profile.read(files / "p.yaml").grade == "derived, base model corrected with runs of this server"


def test_the_report_fits_eighty_columns(adaptwin, files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = adaptwin("fit", "vllm.log", "idle.json").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_a_folder_without_a_setup_stands_for_the_files_in_it(adaptwin, files):
    (files / "of").mkdir()
    for name in ("vllm.log", "idle.json"):
        (files / name).rename(files / "of" / name)
    data = json.loads(adaptwin("fit", "of", "--json").out)
    assert [use["file"] for use in data["files"]] == ["idle.json", "vllm.log"]
    assert all(use["taken"] for use in data["files"])


def test_as_json_it_is_the_profile_with_files_and_errors(adaptwin, files):
    done = adaptwin("fit", "vllm.log", "idle.json", "--name", "mine", "--price", "1.5", "--json", "--out", "p.yaml")
    data = json.loads(done.out, parse_constant=pytest.fail)
    assert set(data) == {"profile", "grade", "files", "compared", "corrected", "notes", "uncovered"}
    assert Profile.parse(data["profile"]) == Profile.read(files / "p.yaml")
    assert (data["profile"]["name"], data["profile"]["price_per_hour"]) == ("mine", 1.5)
    assert data["compared"][1]["figure"] == "idle.json: TPOT"
    assert data["corrected"]["step_cost.host_base"]["derived"] == 0.0015


def test_a_corrected_profile_can_be_planned_with(adaptwin, files):
    assert adaptwin("fit", "vllm.log", "idle.json", "--out", "p.yaml").code == 0
    done = adaptwin("plan", "fleet.yaml", "--profile", "p.yaml")
    assert done.code == 0
    assert "corrected with runs of this server" in " ".join(done.out.split())


def refused(adaptwin, *words) -> str:
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    return done.err.removeprefix("adaptwin: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vllm.log",), "FILE: no file names the GPU: give --gpu"),
        (("vllm.log", "--gpu", "h1"), "--gpu: 'h1' is "),
        (("vllm.log", "--gpu", "l4"), "vllm.log: KV cache: 437,392 KV tokens leave -19.08 GiB of the 19.83 GiB"),
        (("no.json",), "no.json: no such file or folder"),
        (("none", "--gpu", "l4"), "none: no such file or folder"),
        (("idle.json", "none"), "none: no such file or folder"),
        (("idle.json", "./idle.json"), "idle.json: the file is given twice"),
        (("idle.json", "--tensor-parallel-size", "0"), "--tensor-parallel-size: "),
        (
            ("fleet.yaml", "--gpu", "l4"),
            "fleet.yaml: this is a fleet, not a log, a benchmark result or a page of metrics of a server; did you ",
        ),
        (("idle.json", "--start", "x"), "--start is for a folder with setup.yaml"),
        (("idle.json", "--rounds", "2"), "--rounds is for a folder with setup.yaml"),
        (("idle.json", "--out", "idle.json"), "idle.json: cannot be written: it is an input of the same command"),
        (("idle.json", "--batch-size", "0"), "--batch-size: "),
        (("idle.json", "--vllm-version", "new"), "--vllm-version: 'new' is not a version"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(adaptwin, files, words, message):
    assert refused(adaptwin, "fit", *words).startswith(message)


def test_options_for_files_are_refused_for_a_folder_of_measurements(adaptwin, folder):
    (folder / "measured").mkdir()
    (folder / "measured" / "setup.yaml").write_text("name: x\n", encoding="utf-8")
    message = refused(adaptwin, "fit", "measured", "--gpu", "l4")
    assert message.startswith("--gpu is for files: setup.yaml describes the server of a folder")
    written(folder / "idle.json", bench_serve())
    assert "is fitted by itself" in refused(adaptwin, "fit", "measured", "idle.json")
