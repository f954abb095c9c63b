"""adaptwin workload from-log: the fleet of a log, and what the command says."""

import json

import pytest
from typer.testing import CliRunner

from adaptwin.cli.workload import workload_commands
from adaptwin.plan.fleet import read_fleet
from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time

PROFILE = "h100-64gb-llama-3.1-8b-instruct"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = (
        {
            "time": 1767225600 + second / 4,
            "model": ("sql", "chat", "llama-3.1-8b")[second % 3],
            "prompt_tokens": 100,
            "completion_tokens": 9,
            "status": 500 if second % 50 == 0 else 200,
        }
        for second in range(800)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "fleet.yaml"


def from_log(*words, code=0):
    """Run the command and return what it prints."""
    result = CliRunner().invoke(workload_commands, ["from-log", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_fleet_has_the_adapters_of_the_log(log, out):
    text = " ".join(from_log(log, "--rank", 16, "--profile", PROFILE, "--out", out).split())
    fleet = read_fleet(out)
    assert {adapter.name: adapter.rank for adapter in fleet.adapters} == {"chat": 16, "llama-3.1-8b": 0, "sql": 16}
    assert sum(len(adapter.arrivals) for adapter in fleet.adapters) == 784
    for part in (
        "784 requests in 3.3 min, 1 file",
        "models in model",
        "16 rows: failed: status 500",
        "The 3 busiest of 3 adapters",
        "784 timestamps, each with its adapter and its own lengths",
        "100 tokens in, 9 out",
    ):
        assert part in text


def test_json_has_the_same_facts(log, out):
    summary = json.loads(from_log(log, "--rank", 8, "--out", out, "--json"))
    assert summary["log"]["rows_left_out"] == {"failed: status 500": 16}
    assert [adapter["name"] for adapter in summary["log"]["top"]] == ["chat", "llama-3.1-8b", "sql"]
    assert summary["arrivals"] == "timestamps"


@pytest.mark.parametrize("kind", ["csv", "yaml", "peft"])
def test_ranks_come_from_a_csv_a_fleet_or_a_folder(log, out, tmp_path, kind):
    if kind == "peft":
        place = tmp_path / "weights"
        for name, rank in {"sql": 32, "chat": 8}.items():
            (place / name).mkdir(parents=True)
            text = f'{{"peft_type": "LORA", "r": {rank}}}'
            (place / name / "adapter_config.json").write_text(text, encoding="utf-8")
    else:
        place = tmp_path / f"ranks.{kind}"
        fleet = "adapters: [{name: sql, rank: 32, rate: 0}, {name: chat, rank: 8, rate: 0}]"
        place.write_text({"csv": "name,rank,note\nsql,32,x\nchat,8,\n", "yaml": fleet}[kind], encoding="utf-8")
    text = from_log(log, "--ranks-from", place, "--base-model", "llama-3.1-8b", "--out", out)
    ranks = {adapter.name: adapter.rank for adapter in read_fleet(out).adapters}
    assert ranks == {"chat": 8, "llama-3.1-8b": 0, "sql": 32}
    assert "unknown" not in text
    text = from_log(log, "--ranks-from", place, "--out", out)
    assert "for an unknown model: llama-3.1-8b" in text


def test_rates_are_written_beside_the_fleet(log, out):
    from_log(log, "--rank", 8, "--keep", "rates", "--out", out)
    assert read_fleet(out).arrivals.endswith("fleet.rates.csv")
    assert out.with_suffix(".rates.csv").is_file()


def test_a_base_model_that_is_not_known_or_not_there_is_said(log, out):
    told = CliRunner().invoke(workload_commands, ["from-log", str(log), "--rank", "8", "--out", str(out)])
    assert "no base model is known (--profile or --base-model): all models in the log count" in told.output
    assert {adapter.rank for adapter in read_fleet(out).adapters} == {8}
    told = CliRunner().invoke(
        workload_commands, ["from-log", str(log), "--rank", "8", "--base-model", "llama-3.1-8b", "--out", str(out)]
    )
    assert "no base model" not in told.output
    assert sorted(adapter.rank for adapter in read_fleet(out).adapters) == [0, 8, 8]
    wrong = CliRunner().invoke(
        workload_commands, ["from-log", str(log), "--rank", "8", "--base-model", "llama-3.1-8", "--out", str(out)]
    )
    assert wrong.exit_code == 1
    assert "'llama-3.1-8' is not a model in the log (chat, llama-3.1-8b, sql)" in str(wrong.exception)
    assert "did you mean llama-3.1-8b?" in str(wrong.exception)


def test_fleet_and_rates_can_be_moved_together(log, tmp_path):
    (tmp_path / "one").mkdir()
    from_log(log, "--rank", 8, "--keep", "rates", "--out", tmp_path / "one" / "fleet.yaml")
    assert "arrivals: rates:" in (tmp_path / "one" / "fleet.yaml").read_text(encoding="utf-8")
    assert str(tmp_path) not in (tmp_path / "one" / "fleet.yaml").read_text(encoding="utf-8")
    (tmp_path / "one").rename(tmp_path / "two")
    fleet = read_fleet(tmp_path / "two" / "fleet.yaml")
    assert str(tmp_path / "two" / "fleet.rates.csv") in fleet.arrivals
    assert fleet.workload.rate == pytest.approx(784 / fleet.duration, rel=0.02)


def test_a_factor_that_no_fleet_can_have_is_refused(log, out):
    result = CliRunner().invoke(
        workload_commands, ["from-log", str(log), "--rank", "8", "--rate-scale", "1e9", "--out", str(out)]
    )
    assert result.exit_code == 1
    assert "rate_scale: 1e+09 makes 3.92e+09 requests/s: at most 1e+06 are planned for" in str(result.exception)
    assert not out.exists()


def test_requests_that_are_in_two_files_are_counted_and_said(log, out, tmp_path):
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "early.jsonl").write_text("".join(lines[:500]), encoding="utf-8")
    (tmp_path / "late.jsonl").write_text("".join(lines[400:]), encoding="utf-8")
    words = ("--rank", 8, "--base-model", "llama-3.1-8b", "--out", out)
    text = " ".join(from_log(tmp_path / "early.jsonl", tmp_path / "late.jsonl", *words).split())
    assert "98 requests are the same as another one: both count" in text
    (tmp_path / "late.jsonl").write_text("".join(lines[500:]), encoding="utf-8")
    assert "both count" not in from_log(tmp_path / "early.jsonl", tmp_path / "late.jsonl", *words)


def test_adapters_without_requests_are_named(log, out, tmp_path):
    (tmp_path / "ranks.csv").write_text("name,rank\nsql,8\nidle-1,8\nidle-2,8\n", encoding="utf-8")
    text = " ".join(from_log(log, "--ranks-from", tmp_path / "ranks.csv", "--out", out).split())
    assert "2 adapters without a request in the log: left out (idle-1, idle-2)" in text
    assert "1 adapter, 2 unknown names" in text


def test_a_folder_with_a_damaged_adapter_is_read_without_it(log, out, tmp_path):
    for name, text in {"sql": '{"peft_type": "LORA", "r": 8}', "chat": '{"peft_type": "LORA", "r": '}.items():
        (tmp_path / "weights" / name).mkdir(parents=True)
        (tmp_path / "weights" / name / "adapter_config.json").write_text(text, encoding="utf-8")
    words = ["from-log", str(log), "--ranks-from", str(tmp_path / "weights"), "--out", str(out)]
    refused = CliRunner().invoke(workload_commands, words)
    assert "chat/adapter_config.json" in str(refused.exception)
    told = CliRunner().invoke(workload_commands, [*words, "--skip-bad"])
    assert told.exit_code == 0
    assert "left out " in told.stderr
    assert [adapter.name for adapter in read_fleet(out).adapters] == ["sql"]


@pytest.mark.parametrize(("name", "reason"), [("fleet.csv", "would hold YAML"), ("-", "is not a file")])
def test_a_fleet_is_written_to_a_file_that_is_named_as_one(log, tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(workload_commands, ["from-log", str(log), "--rank", "8", "--out", name])
    assert told.exit_code == 2
    assert reason in " ".join(told.output.replace("│", " ").split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]


def test_rates_that_lose_the_burst_of_an_adapter_are_warned_of(tmp_path, out):
    steady = [(1786000000 + second, "steady") for second in range(3600)]
    burst = [(1786000000 + 1200 + second / 10, "hot") for second in range(3000)]
    rows = "".join(f"{time},{model},100,20\n" for time, model in sorted(steady + burst))
    path = tmp_path / "log.csv"
    path.write_text("time,model,prompt_tokens,completion_tokens\n" + rows, encoding="utf-8")
    words = ["from-log", str(path), "--rank", "8", "--out", str(out)]
    told = CliRunner().invoke(workload_commands, [*words, "--keep", "rates"])
    assert told.exit_code == 0
    both = "'hot' has 12.0 times its mean rate in its busiest 5.0 min, all adapters together 6.0 times"
    assert f"warning: {both}: rates keep only the latter" in told.stderr
    assert "belong together" in told.stdout
    assert "times its mean" not in CliRunner().invoke(workload_commands, words).stderr


def test_a_name_that_no_adapter_can_have_is_left_out_and_shown_safely(tmp_path, out):
    rows = "".join(f"{1786000000 + second},{'ab'[second % 2]},100,20\n" for second in range(30))
    path = tmp_path / "log.csv"
    path.write_text(f"time,model,prompt_tokens,completion_tokens\n{rows}1786000031,\x1b[31mred,5,5\n", encoding="utf-8")
    text = from_log(path, "--rank", 8, "--out", out)
    assert r"1 row: for an unknown model: \x1b[31mred" in text
    assert "\x1b" not in text


def test_a_file_of_rates_that_was_there_before_is_not_said_to_be_written(tmp_path, out):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}', encoding="utf-8")
    (tmp_path / "day.csv").write_text("start,factor\n0,1\n60,2\n", encoding="utf-8")
    words = ["from-peft", tmp_path / "a", "--rate", 1, "--arrivals", f"rates:{tmp_path / 'day.csv'}", "--out", out]
    told = CliRunner().invoke(workload_commands, [*map(str, words)])
    assert told.exit_code == 0
    assert "written to" in told.stdout
    assert "belong together" not in told.stdout


def test_the_rates_of_every_period_are_written_and_named_by_the_fleet(log, out, tmp_path):
    """The log lasts 200 s from midnight UTC: three periods of a minute, and a third of one that is left out."""
    words = ("--rates-over-time", tmp_path / "rates.csv", "--period", "60s", "--rate-scale", 2, "--out", out)
    result = CliRunner().invoke(workload_commands, ["from-log", str(log), "--rank", "16", *map(str, words)])
    assert result.exit_code == 0, result.output
    assert "rates of 3 periods, from 00:00-00:01 to 00:02-00:03, written to" in result.stderr
    assert "times of day are in UTC" in result.stderr
    rates = read_rates_over_time(tmp_path / "rates.csv")
    assert rates.names == ("chat", "llama-3.1-8b", "sql")
    assert rates.rates.sum(axis=0) == pytest.approx([2 * 235 / 60] * 3, rel=0.01)  # 5 of 240 rows a minute failed
    assert read_fleet(out).rates_over_time == str(tmp_path / "rates.csv")
    assert "rates_over_time: rates.csv" in out.read_text(encoding="utf-8")


def test_a_period_needs_a_file(log, out):
    result = CliRunner().invoke(
        workload_commands, ["from-log", str(log), "--rank", "16", "--period", "60s", "--out", str(out)]
    )
    assert "--period: needs --rates-over-time" in str(result.exception)
