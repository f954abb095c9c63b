"""The commands: results on stdout, files where they are asked for, diagnostics on stderr, and an exit code."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from adaptwin import Plan, Run
from adaptwin.cli.main import COMMANDS
from adaptwin.plan.fleet import read_fleet
from adaptwin.profile.profile import shipped_profiles
from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time

ESCAPE = "\x1b"  # starts every colour and every movement of a progress bar


def test_plan_prints_the_plan_and_writes_files(adaptwin, folder):
    done = adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", "--report", "plan.html")
    assert done.code == 0
    for fact in ("1 GPU for 3 adapters", "Verified", "strategy pack, seed 0", "gpu-0"):
        assert fact in done.out
    assert done.err.splitlines() == ["plan written to plan.yaml", "report written to plan.html"]
    plan = Plan.read(folder / "plan.yaml")
    assert plan.verified
    assert plan.workload == read_fleet(folder / "fleet.yaml").workload
    assert "<html" in (folder / "plan.html").read_text(encoding="utf-8")


def test_plan_as_json_is_the_plan_and_nothing_else(adaptwin, folder):
    done = adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", "--json")
    fields = json.loads(done.out)
    written = Plan.read(folder / "plan.yaml")
    assert fields["verified"]
    assert [server["adapters"] for server in fields["servers"]] == [server.adapters for server in written.servers]
    assert done.err.splitlines() == ["plan written to plan.yaml"]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_nothing_but_the_result_is_shown_where_there_is_no_terminal(adaptwin, words):
    done = adaptwin("plan", "fleet.yaml", *words)
    assert done.err == ""
    assert ESCAPE not in done.out


def test_plan_takes_its_options(adaptwin, folder):
    words = ("--strategy", "round_robin", "--headroom", "20%", "--margin", "0.05", "--seed", 7, "--time-limit", 60)
    assert adaptwin("plan", "fleet.yaml", "--out", "plan.yaml", *words).code == 0
    plan = Plan.read(folder / "plan.yaml")
    assert (plan.options.strategy, plan.options.headroom, plan.margin, plan.seed) == ("round_robin", 0.2, 0.05, 7)


def test_plan_takes_prices_from_the_fleet_and_from_the_call(adaptwin, folder):
    name = "h100-64gb-llama-3.1-8b-instruct"
    with (folder / "fleet.yaml").open("a", encoding="utf-8") as file:
        file.write(f"planning: {{objective: min-cost, prices: {{{name}: 2.5}}}}\n")
    done = adaptwin("plan", "fleet.yaml", "--out", "plan.yaml")
    assert "1 GPU for 3 adapters" in done.out
    assert "at a price of 2.50 per hour" in done.out
    assert "less than 2.50 per hour. This plan is optimal." in " ".join(done.out.split())
    assert Plan.read(folder / "plan.yaml").cost_per_hour == 2.5
    assert "at a price of 3.25 per hour" in adaptwin("plan", "fleet.yaml", "--price", f"{name}=3.25").out


@pytest.mark.parametrize("price", ["h100", "h100=", "h100=much", "h100=0", "h100=-1", "=2", "h100=inf"])
def test_a_price_that_is_none_is_refused(adaptwin, price):
    done = adaptwin("plan", "fleet.yaml", "--price", price)
    assert done.code == 1
    assert "is not PROFILE=PRICE" in " ".join(done.err.split())


def test_plan_takes_the_options_of_the_fleet(adaptwin, folder):
    with (folder / "fleet.yaml").open("a", encoding="utf-8") as file:
        file.write("seed: 3\nplanning: {strategy: paper_greedy, headroom: 0.1}\nserver: {max_num_seqs: 99}\n")
    plan = json.loads(adaptwin("plan", "fleet.yaml", "--json").out)
    assert (plan["options"]["strategy"], plan["options"]["headroom"], plan["seed"]) == ("paper_greedy", 0.1, 3)
    assert [server["server"]["max_num_seqs"] for server in plan["servers"]] == [99]
    overridden = json.loads(adaptwin("plan", "fleet.yaml", "--json", "--strategy", "pack", "--headroom", "0").out)
    assert (overridden["options"]["strategy"], overridden["options"]["headroom"]) == ("pack", 0.0)


def test_plan_reads_adapters_from_csv(adaptwin, folder):
    (folder / "adapters.csv").write_text("name,rank,rate\na,8,0.5\nb,16,0.25\n", encoding="utf-8")
    done = adaptwin("plan", "adapters.csv", "--profile", shipped_profiles()[0], "--objective", "min-gpus", "--json")
    assert done.code == 0
    assert {"a", "b"} == {name for server in json.loads(done.out)["servers"] for name in server["adapters"]}


def test_a_profile_on_the_command_line_overrides_the_fleets(adaptwin):
    other = shipped_profiles()[1]
    plan = json.loads(adaptwin("plan", "fleet.yaml", "--profile", other, "--json").out)
    assert {server["profile"] for server in plan["servers"]} == {other}


def test_a_profile_file_is_looked_for_beside_the_fleet(adaptwin, folder, monkeypatch):
    profiles = json.loads(adaptwin("profiles", "--json").out)
    (folder / "mine.json").write_text(json.dumps({**profiles[0], "name": "mine"}), encoding="utf-8")
    fleet = (folder / "fleet.yaml").read_text(encoding="utf-8").replace(shipped_profiles()[0], "mine.json")
    (folder / "fleet.yaml").write_text(fleet, encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    plan = json.loads(adaptwin("plan", folder / "fleet.yaml", "--json").out)
    assert {server["profile"] for server in plan["servers"]} == {"mine"}


def test_verify_says_that_a_plan_holds(adaptwin, planned):
    done = adaptwin("verify", "plan.yaml")
    assert done.code == 0
    assert "The plan holds on 1 GPU with seed 1" in done.out
    assert done.err == ""
    check = json.loads(adaptwin("verify", "plan.yaml", "--seed", 5, "--json").out)
    assert (check["ok"], check["seed"], check["failures"], len(check["runs"])) == (True, 5, [], 1)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_verify_ends_with_3_where_somebody_starves(adaptwin, planned, words):
    plan = (planned / "plan.yaml").read_text(encoding="utf-8")
    crowded = plan.replace("{name: a0, rank: 8, rate: 0.5}", "{name: a0, rank: 8, rate: 90.0}")
    assert crowded != plan
    (planned / "plan.yaml").write_text(crowded, encoding="utf-8")
    done = adaptwin("verify", "plan.yaml", *words)
    assert done.code == 3
    assert "gpu-0: 3 adapters starved" in done.out
    assert done.err == ""
    assert "The plan does not hold" in done.out or json.loads(done.out)["ok"] is False


def test_a_plan_with_spares_says_what_happens_when_a_gpu_fails(adaptwin, folder):
    done = adaptwin("plan", "fleet.yaml", "--spare", 1, "--out", "plan.yaml", "--report", "plan.html")
    assert done.code == 0
    said = "Any 1 GPU may fail: its adapters move to running servers, without a restart"
    assert said in " ".join(done.out.split())
    assert said in (folder / "plan.html").read_text(encoding="utf-8")
    checked = adaptwin("verify", "plan.yaml", "--seed", 5)
    assert checked.code == 0
    assert "no adapter is starved, not even in 2 failure scenarios" in checked.out
    failovers = json.loads(adaptwin("verify", "plan.yaml", "--json").out)["failovers"]
    assert failovers == [{"failed": [name], "failures": []} for name in ("gpu-0", "gpu-1")]


def test_plan_takes_the_spares_of_the_fleet(adaptwin, folder):
    with (folder / "fleet.yaml").open("a", encoding="utf-8") as file:
        file.write("planning: {spare: 1}\n")
    assert json.loads(adaptwin("plan", "fleet.yaml", "--json").out)["options"]["spare"] == 1
    assert json.loads(adaptwin("plan", "fleet.yaml", "--json", "--spare", 0).out)["options"]["spare"] == 0


def test_verify_ends_with_3_where_a_failure_starves_somebody(adaptwin, folder):
    adaptwin("plan", "fleet.yaml", "--spare", 1, "--out", "plan.yaml")
    plan = Plan.read(folder / "plan.yaml")
    busier = plan.model_copy(update={"workload": plan.workload.scaled(50.0)})
    busier.write(folder / "plan.yaml")
    done = adaptwin("verify", "plan.yaml")
    assert done.code == 3
    assert "with gpu-0 failed: gpu-1: " in done.out


def test_simulate_prints_the_run_and_writes_it(adaptwin, folder):
    done = adaptwin("simulate", "fleet.yaml", "--max-loras", 2, "--out", "run.json")
    assert done.code == 0
    assert "Server: ok" in done.out
    run = Run.read(folder / "run.json")
    assert (run.server.max_loras, run.server.max_lora_rank, run.seed, run.duration) == (2, 16, 0, 300.0)
    assert run.adapters["name"].to_list() == ["a0", "a1", "base"]


def test_simulate_as_json_is_the_run_and_nothing_else(adaptwin, folder):
    done = adaptwin("simulate", "fleet.yaml", "--max-loras", 2, "--json", "--out", "run.json")
    assert done.err == ""
    assert json.loads(done.out) == json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_simulate_takes_vllms_settings_and_its_own(adaptwin):
    words = ("--max-loras", 1, "--max-lora-rank", 32, "--max-cpu-loras", 4, "--max-num-seqs", 8)
    more = ("--max-num-batched-tokens", 512, "--max-model-len", 4096, "--gpu-memory-utilization", 0.7)
    own = ("--duration", 120, "--warmup", 20, "--window", "drain", "--max-in-flight", 3, "--repeats", 2, "--seed", 9)
    done = adaptwin("simulate", "fleet.yaml", *words, *more, *own, "--record", "--json")
    run = json.loads(done.out)
    server = run["server"]
    assert [server[name] for name in ("max_loras", "max_lora_rank", "max_cpu_loras", "max_num_seqs")] == [1, 32, 4, 8]
    assert (server["max_num_batched_tokens"], server["max_model_len"]) == (512, 4096)
    assert server["gpu_memory_utilization"] == 0.7
    assert [run[name] for name in ("duration", "warmup", "window", "repeats", "seed")] == [120, 20, "drain", 2, 9]
    assert len(run["series"]["time"]) >= 100


def test_simulate_merges_the_weights_of_the_only_adapter(adaptwin, folder):
    (folder / "one.csv").write_text("name,rank,rate\nhot,8,1.0\n", encoding="utf-8")
    call = ("simulate", "one.csv", "--profile", "h100-64gb-llama-3.1-8b-instruct", "--duration", 300, "--merged")
    done = adaptwin(*call)
    assert done.code == 0
    assert "weights of the adapter merged into those of the model." in " ".join(done.out.split())
    assert json.loads(adaptwin(*call, "--json").out)["server"]["max_loras"] == 0
    assert "max_loras 4: a server with merged weights has no slots" in adaptwin(*call, "--max-loras", 4).err
    refused = adaptwin("simulate", "fleet.yaml", "--merged")
    assert (refused.code, refused.out) == (1, "")
    assert "the weights of one adapter can be merged, but the workload has 3" in refused.err


def test_plan_merges_weights_only_where_that_is_allowed(adaptwin, folder):
    (folder / "hot.csv").write_text("name,rank,rate\nhot,8,55.0\n", encoding="utf-8")
    call = ("plan", "hot.csv", "--profile", "h100-64gb-llama-3.1-8b-instruct", "--out", "plan.yaml")
    assert adaptwin(*call).code == 0
    assert not any(server.merged for server in Plan.read(folder / "plan.yaml").servers)
    done = adaptwin(*call, "--allow-merged")
    plan = Plan.read(folder / "plan.yaml")
    assert (done.code, plan.options.allow_merged) == (0, True)
    assert [server.merged for server in plan.servers] == [True]
    undo = "To undo it, this server restarts with --enable-lora, and 1 more GPU is needed."
    assert undo in " ".join(done.out.split())


def test_simulate_answers_the_same_for_the_same_seed(adaptwin):
    first, again, other = (adaptwin("simulate", "fleet.yaml", "--json", "--seed", seed).out for seed in (4, 4, 5))
    assert first == again != other


def test_export_prints_the_script_or_writes_it(adaptwin, planned):
    done = adaptwin("export", "plan.yaml", "--to", "vllm")
    assert done.code == 0
    assert done.err == ""
    assert done.out.startswith("#!/bin/sh\n")
    assert adaptwin("export", "plan.yaml", "--out", "serve.sh").out == ""
    assert (planned / "serve.sh").read_text(encoding="utf-8") == done.out


def test_profiles_lists_every_shipped_profile(adaptwin):
    listed = adaptwin("profiles").out
    as_json = json.loads(adaptwin("profiles", "--json").out)
    assert [profile["name"] for profile in as_json] == shipped_profiles()
    assert all(profile["hardware"] and profile["source"] and profile["vllm_version"] for profile in as_json)
    assert all(len(set(profile["error"]) & {"throughput", "itl", "ttft", "starvation"}) == 4 for profile in as_json)
    assert all(name[:12] in listed for name in shipped_profiles())


def test_a_made_up_fleet_can_be_planned(adaptwin, folder):
    words = ("--adapters", 12, "--rate", 6, "--ranks", "8,16", "--popularity", "zipf:1.0", "--duration", 300)
    made = adaptwin("workload", "synth", *words, "--profile", shipped_profiles()[0], "--out", "made.yaml")
    assert made.code == 0
    assert len(read_fleet(folder / "made.yaml").adapters) == 12
    assert adaptwin("plan", "made.yaml", "--json").code == 0


def test_a_fleet_can_be_made_from_a_trace(adaptwin, folder):
    rows = "".join(f"{t * 500},{50 + t % 90},{20 + t % 30}\n" for t in range(600))
    (folder / "trace.csv").write_text(f"timestamp_ms,input_length,output_length\n{rows}", encoding="utf-8")
    words = ("--adapters", 6, "--ranks", "8,16", "--busiest", "4m", "--out", "made.yaml", "--json")
    done = adaptwin("workload", "from-trace", "trace.csv", *words)
    assert done.code == 0
    made = json.loads(done.out)
    assert (made["rate"], made["duration"]) == (2.0, 240.0)
    assert adaptwin("plan", "made.yaml", "--profile", shipped_profiles()[0], "--json").code == 0


def test_a_trace_gives_the_rates_of_every_period_shared_by_popularity(adaptwin, folder):
    rows = "".join(f"{t * 500},{50 + t % 90},{20 + t % 30}\n" for t in range(600))
    (folder / "trace.csv").write_text(f"timestamp_ms,input_length,output_length\n{rows}", encoding="utf-8")
    words = ("--adapters", 4, "--ranks", "8", "--popularity", "zipf:1.0", "--out", "made.yaml")
    rates = ("--rates-over-time", "hours.csv", "--period", "1m")
    done = adaptwin("workload", "from-trace", "trace.csv", *words, *rates)
    assert done.code == 0
    assert "the first request counts as midnight" in done.err
    found, fleet = read_rates_over_time(folder / "hours.csv"), read_fleet(folder / "made.yaml")
    assert found.rates.sum(axis=0) == pytest.approx([2.0] * 5)
    assert found.rates[:, 0] / 2.0 == pytest.approx([adapter.rate / fleet.rate for adapter in fleet.adapters])


def test_help_names_every_command(adaptwin):
    done = adaptwin("--help")
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)
    assert set(COMMANDS) == {
        "plan", "simulate", "verify", "explain",
    "report", "replan", "export", "workload", "fit", "measure", "replay", "apply",
        "diagnose", "compare", "sweep", "train",
        "profiles", "derive", "watch", "doctor", "serve",
    }  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(adaptwin, command):
    done = adaptwin(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"adaptwin {command}" in done.out


def test_the_installed_program_runs(folder):
    program = shutil.which("adaptwin", path=sysconfig.get_path("scripts"))
    words = [program, "simulate", "fleet.yaml", "--max-loras", "2", "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["verdict"] == "ok"
    assert done.stderr == ""
    missing = subprocess.run([program, "plan", "no.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "adaptwin: no.yaml: no such file\n")


def test_the_version_is_the_installed_one(adaptwin):
    done = adaptwin("--version")
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert f'version = "{done.out.strip()}"' in project.read_text(encoding="utf-8")


def test_tables_stay_readable_in_a_narrow_terminal(adaptwin, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = adaptwin("plan", "fleet.yaml").out.splitlines()
    assert any(line.split() == ["gpu-0", "3", "base×1", "8×1", "16×1", "2", "16", "2"] for line in lines)
    assert max(len(line) for line in lines if "req" not in line and line.startswith("Verified")) <= 40
