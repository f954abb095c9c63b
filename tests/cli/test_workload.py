"""adaptwin workload: the commands write a fleet that reads back as it was, and say what is in it."""

import json

import pytest
from typer.testing import CliRunner

from adaptwin import Lengths, SpecError
from adaptwin.cli.workload import workload_commands
from adaptwin.plan.fleet import read_fleet
from adaptwin.workload.sources.peft import adapters_from_peft
from adaptwin.workload.sources.synthetic import synthesize
from adaptwin.workload.sources.traces import workload_from_trace

PROFILE = "h100-64gb-llama-3.1-8b-instruct"


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    rows = "".join(f"{t * 100},{20 + t},{5 + t % 7}\n" for t in range(200))
    path.write_text(f"timestamp_ms,input_length,output_length\n{rows}", encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "fleet.yaml"


def adaptwin_workload(*words):
    """Run the command and return what it prints; its errors come through."""
    result = CliRunner().invoke(workload_commands, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_trace_writes_the_workload_of_the_trace(trace, out):
    adaptwin_workload(
        "from-trace", trace, "--adapters", 8, "--ranks", "8,16", "--base-share", 0.2, "--seed", 4,
        "--profile", PROFILE, "--out", out,
    )  # fmt: skip
    fleet = read_fleet(out)
    assert fleet.workload == workload_from_trace(trace, adapters=8, ranks=(8, 16), base_share=0.2, seed=4)
    assert fleet.profile == (PROFILE,)


def test_synth_writes_the_fleet_asked_for(out):
    adaptwin_workload(
        "synth", "--adapters", 5, "--rate", 2.5, "--ranks", "8:0.6,16:0.4", "--popularity", "zipf:1.2",
        "--input-mean", 300, "--output-mean", 200, "--arrivals", "gamma:cv=3", "--duration", 60, "--out", out,
    )  # fmt: skip
    lengths = Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=1.0)
    assert read_fleet(out).workload == synthesize(
        adapters=5, rate=2.5, ranks={8: 0.6, 16: 0.4}, popularity="zipf:1.2", lengths=lengths,
        arrivals="gamma:cv=3", duration=60.0,
    )  # fmt: skip


def test_from_peft_writes_every_adapter(tmp_path, out):
    for name in ("a", "b"):
        folder = tmp_path / "weights" / name
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 12}', encoding="utf-8")
    rates = tmp_path / "rates.csv"
    rates.write_text("name,rate\nb,0.75\n", encoding="utf-8")
    words = ("--rate", 0.1, "--rates", rates, "--lengths", "sharegpt", "--out", out)
    adaptwin_workload("from-peft", tmp_path / "weights", *words)
    assert read_fleet(out).adapters == adapters_from_peft(tmp_path / "weights", rate=0.1, rates={"b": 0.75})


def test_from_peft_lists_what_vllm_does_not_serve_and_names_base_models(tmp_path, out):
    for name, fields in {"good": "", "dora": ', "use_dora": true'}.items():
        folder = tmp_path / "weights" / name
        folder.mkdir(parents=True)
        text = f'{{"peft_type": "LORA", "r": 8, "base_model_name_or_path": "meta-llama/Llama-3.1-8B"{fields}}}'
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    words = ("from-peft", tmp_path / "weights", "--rate", 1, "--profile", PROFILE, "--out", out)
    with pytest.raises(
        SpecError, match=r"vLLM 0\.8\.5 cannot serve 1 of 2 adapters .*: dora \(use_dora True: DoRA is not"
    ):
        adaptwin_workload(*words)
    assert not out.exists()
    done = CliRunner().invoke(workload_commands, [str(word) for word in (*words, "--skip-unsupported")])
    assert "left out dora: use_dora True: DoRA is not supported" in done.stderr
    assert (
        "warning: good: trained on meta-llama/Llama-3.1-8B, served on meta-llama/Llama-3.1-8B-Instruct" in done.stderr
    )
    assert "base models   meta-llama/Llama-3.1-8B" in done.stdout
    assert [adapter.name for adapter in read_fleet(out).adapters] == ["good"]


def test_the_summary_says_what_is_in_the_fleet(out):
    text = adaptwin_workload("synth", "--adapters", 3, "--rate", 2, "--ranks", "8,16", "--seed", 11, "--out", out)
    for fact in ("2 of rank 8, 1 of rank 16", "2 requests/s", "222 tokens in, 196 out", "11", str(out)):
        assert fact in text


def test_json_has_the_same_facts(trace, out):
    text = adaptwin_workload(
        "from-trace", trace, "--adapters", 3, "--ranks", "8,16", "--base-share", 0.5, "--out", out, "--json"
    )
    summary = json.loads(text)
    fleet = read_fleet(out)
    assert summary["file"] == str(out)
    assert summary["adapters"] == 4
    assert summary["ranks"] == {"0": 1, "8": 2, "16": 1}
    assert summary["rate"] == fleet.rate
    assert summary["mean_input"] == fleet.lengths.mean_input
    assert summary["mean_output"] == fleet.lengths.mean_output
    assert (summary["seed"], summary["duration"]) == (0, 3600.0)


def test_a_rates_file_is_found_from_wherever_the_fleet_lies(tmp_path, monkeypatch):
    (tmp_path / "day.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    (tmp_path / "fleets").mkdir()
    monkeypatch.chdir(tmp_path)
    words = ("--adapters", 1, "--rate", 1, "--ranks", 8, "--arrivals", "rates:day.csv")
    adaptwin_workload("synth", *words, "--out", "fleets/one.yaml")
    assert read_fleet("fleets/one.yaml").arrivals == f"rates:{tmp_path / 'day.csv'}"


def test_several_profiles_are_all_kept(tmp_path, out):
    words = ("--adapters", 1, "--rate", 1, "--ranks", 8, "--out", out)
    adaptwin_workload("synth", *words, "--profile", PROFILE, "--profile", "h100-64gb-qwen-2.5-7b-instruct")
    assert read_fleet(out).profile == (PROFILE, "h100-64gb-qwen-2.5-7b-instruct")


def test_an_unknown_profile_leaves_nothing_behind(out):
    words = ("--adapters", 1, "--rate", 1, "--ranks", 8, "--out", out)
    with pytest.raises(SpecError, match="'h200' is neither a file nor one of"):
        adaptwin_workload("synth", *words, "--profile", PROFILE, "--profile", "h200")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input-mean", 300), "--input-mean, --output-mean: give both or neither"),
        (("--lengths", "sharegpt", "--input-mean", 300, "--output-mean", 2), "not both"),
        (("--lengths", "pile"), "'pile'"),
        (("--ranks", "12"), "12 is not a rank vLLM serves"),
        (("--arrivals", "weibull"), "'weibull' is not a known arrival process"),
    ],
)
def test_options_that_make_no_sense_leave_nothing_behind(out, words, message):
    with pytest.raises(SpecError, match=message):
        adaptwin_workload("synth", "--adapters", 1, "--rate", 1, "--ranks", 8, "--out", out, *words)
    assert not out.exists()


def test_a_fleet_of_128_adapters_has_one_line_for_each(out):
    adaptwin_workload("synth", "--adapters", 128, "--rate", 4, "--ranks", "8,16,32", "--out", out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("- {name: a") for line in lines) == 128
    assert len(lines) < 150
