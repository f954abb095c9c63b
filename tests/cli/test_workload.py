"""adaptwin workload: the commands write a fleet that reads back as it was, and say what is in it."""

import json
import math

import pytest
from typer.testing import CliRunner

from adaptwin import Lengths, SpecError
from adaptwin.cli.options import window_seconds
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


def put(folder, **fields):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, **fields}), encoding="utf-8")


def test_from_peft_says_what_it_took_and_what_it_did_not_look_at(tmp_path, out):
    for place, rank in (("sql", 12), ("sql/checkpoint-20", 8), ("chat/checkpoint-5", "1"), ("chat/checkpoint-9", 1)):
        put(tmp_path / "runs" / place, r=rank)
    words = ("from-peft", tmp_path / "runs" / "sql", tmp_path / "runs" / "chat", "--rate", 1, "--out", out)
    text = adaptwin_workload(*words, "--profile", PROFILE)
    for fact in (
        "sql: 20; the final adapter is taken",
        "chat: 5, 9; checkpoint-9 is taken",
        "not looked at; --check looks at them too",
        "1 of rank 1, 1 of rank 12",
        "rank 1 as 8, rank 12 as 16, as vLLM 0.8.5 serves them",
    ):
        assert fact in text
    facts = json.loads(adaptwin_workload(*words, "--json"))
    assert facts["padded"] == {"1": 8, "12": 16}
    assert facts["peft"]["checkpoints"] == {
        "chat": {"found": [5, 9], "taken": 9},
        "sql": {"found": [20], "taken": None},
    }
    done = CliRunner().invoke(workload_commands, [str(word) for word in (*words, "--checkpoint", 5, "--skip-bad")])
    assert "left out" in done.stderr
    assert "has no checkpoint-5, but 20" in done.stderr
    assert [adapter.name for adapter in read_fleet(out).adapters] == ["chat"]


def test_from_peft_goes_on_without_bad_adapters_if_told_so(tmp_path, out):
    put(tmp_path / "weights" / "good")
    put(tmp_path / "weights" / "bad", r="many")
    words = [str(word) for word in ("from-peft", tmp_path / "weights", "--rate", 1, "--out", out)]
    with pytest.raises(SpecError, match=r"bad/adapter_config\.json: r: 'many' must be a whole number, at least 1"):
        adaptwin_workload(*words)
    done = CliRunner().invoke(workload_commands, [*words, "--skip-bad"])
    assert done.exit_code == 0
    assert f"left out {tmp_path}/weights/bad/adapter_config.json: r: 'many' must be" in done.stderr
    with pytest.raises(SpecError, match="no weights: there is none of"):
        adaptwin_workload(*words, "--skip-bad", "--check")


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
    assert (summary["seed"], summary["duration"], summary["arrivals"]) == (0, 20.0, "timestamps")
    assert summary["trace"]["kept"] == summary["trace"]["requests"] == 200
    assert summary["trace"]["mean_rate"] == summary["trace"]["peak_rate"] == 10.0  # of 20 s, there is no minute
    assert summary["trace"]["dispersion_minute"] is None


def test_the_summary_of_a_trace_says_what_was_kept_and_left_out(trace, out):
    words = ("--adapters", 3, "--ranks", "8,16", "--busiest", "10s", "--first-part", "80%", "--out", out)
    text = " ".join(adaptwin_workload("from-trace", trace, *words).split())
    for fact in (
        "200 requests in 20 s",  # the trace, from the first request to the last
        "100 requests from 0:00:06 to 0:00:16, in 10 s",  # prompts grow, so the last 10 of the first 16 seconds
        "60 requests before and 40 after the window",
        "10.0 requests/s on average, 10.0 in the busiest minute",
        "distributed over adapters by dirichlet:0.5: the trace names none",
        "100 timestamps, each with its own lengths",
    ):
        assert fact in text
    assert read_fleet(out).duration == 10.0


def test_weak_windows_are_warned_about(trace, out):
    words = ("--adapters", 3, "--ranks", "8", "--busiest", "5s", "--out", out)
    warnings = CliRunner().invoke(workload_commands, ["from-trace", str(trace), *map(str, words)]).stderr
    assert "warning: the window holds only 50 requests, so their mean rate is uncertain by 14 %" in warnings
    assert "warning: the window of 5 s is shorter than the 120 s that a plan needs" in warnings


def test_rates_are_written_beside_the_fleet(trace, out):
    adaptwin_workload("from-trace", trace, "--adapters", 3, "--ranks", "8", "--keep", "rates", "--out", out)
    fleet = read_fleet(out)
    assert fleet.arrivals == f"rates:{out.with_name('fleet.rates.csv')}"
    assert fleet.rate == pytest.approx(10.0, rel=1e-3)


def test_many_requests_are_kept_as_rates_unless_asked(trace, out):
    words = ("--adapters", 3, "--ranks", "8", "--rate-scale", 101, "--out", out)
    adaptwin_workload("from-trace", trace, *words)
    assert read_fleet(out).arrivals == f"rates:{out.with_name('fleet.rates.csv')}"
    adaptwin_workload("from-trace", trace, *words, "--keep", "timestamps")
    assert len(read_fleet(out).arrivals) == 20_200


@pytest.mark.parametrize("time", ["0s", "-1h", "soon", "nan", "1w", ""])
def test_a_window_needs_a_length(trace, out, time):
    words = ("--adapters", "3", "--ranks", "8", "--busiest", time, "--out", str(out))
    assert CliRunner().invoke(workload_commands, ["from-trace", str(trace), *words]).exit_code == 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("time", "seconds"), [("90s", 90), ("90", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400), ("whole", math.inf)]
)
def test_windows_have_units(time, seconds):
    assert window_seconds(time) == seconds


def test_a_rates_file_is_found_from_wherever_the_fleet_lies(tmp_path, monkeypatch):
    (tmp_path / "day.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    (tmp_path / "fleets").mkdir()
    monkeypatch.chdir(tmp_path)
    words = ("--adapters", 1, "--rate", 1, "--ranks", 8, "--arrivals", "rates:day.csv")
    adaptwin_workload("synth", *words, "--out", "fleets/one.yaml")
    assert read_fleet("fleets/one.yaml").arrivals == f"rates:{tmp_path / 'day.csv'}"
    adaptwin_workload("synth", *words[:-1], "rates:cv=2,day.csv", "--out", "fleets/two.yaml")
    assert read_fleet("fleets/two.yaml").arrivals == f"rates:cv=2,{tmp_path / 'day.csv'}"


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
        (("--ranks", "513"), "513 is above 512, the highest that vLLM serves"),
        (("--arrivals", "weibull"), "'weibull' is not a known arrival process"),
    ],
)
def test_options_that_make_no_sense_leave_nothing_behind(out, words, message):
    ranks = () if "--ranks" in words else ("--ranks", 8)
    with pytest.raises(SpecError, match=message):
        adaptwin_workload("synth", "--adapters", 1, "--rate", 1, *ranks, "--out", out, *words)
    assert not out.exists()


def test_a_fleet_of_128_adapters_has_one_line_for_each(out):
    adaptwin_workload("synth", "--adapters", 128, "--rate", 4, "--ranks", "8,16,32", "--out", out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("- {name: a") for line in lines) == 128
    assert len(lines) < 150
