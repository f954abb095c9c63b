"""A command that is given a file of the wrong kind says what the file is, and which command takes it."""

import pytest

from adaptwin import Plan, Plans, Profile, Run, Surrogate, Workload, file_kinds, load_profile, surrogate_for
from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.dataset.design import Design, load_design
from adaptwin.file_kinds import kinds_of

CLASSES = (Plan, Plans, Workload, Profile, Run, MeasuredRun, Surrogate, Design, Setup)
SETUP = """\
name: mine
hardware: H100
gpu_gib: 80
vllm_version: 0.8.5
"""
KINDS = {
    "fleet.yaml": "a fleet",
    "plan.yaml": "a plan",
    "plans.yaml": "a plan for several base models",
    "plan.html": "an HTML page",
    "serve.sh": "a script",
    "run.json": "a simulated run",
    "profile.yaml": "a profile",
    "surrogate.json": "a surrogate",
    "design.yaml": "a design of a sweep",
    "adapters.csv": "a CSV of adapters",
    "trace.csv": "a request trace",
    "trace.jsonl": "a request trace",
    "log.csv": "a request log",
    "log.jsonl": "a request log",
    "vllm.log": "a request log",
    "adapter/adapter_config.json": "the configuration of a PEFT adapter",
    "adapter": "a folder of PEFT adapters",
    "measurements/setup.yaml": "the setup of a folder of measurements",
    "measurements": "a folder of measurements",
    "servers.yaml": "a servers file",
    "routes.yaml": "a routes file",
    "rates.csv": "a CSV of rates over time",
    "config.json": "the config.json of a model",
    "adapters.xlsx": "an Excel workbook or a ZIP archive",
    "plan.yaml.gz": "a file compressed with gzip",
    "paper.pdf": "a PDF",
    "plan.png": "an image",
    "adapter.safetensors": "a file of weights",
}
BINARY = {
    "adapters.xlsx": b"PK\x03\x04\x14\x00",
    "plan.yaml.gz": b"\x1f\x8b\x08\x00\x00",
    "paper.pdf": b"%PDF-1.7\n%\xe2\xe3",
    "plan.png": b"\x89PNG\r\n\x1a\n\x00",
    "adapter.safetensors": b'\x10\x00\x00\x00\x00\x00\x00\x00{"weights":  {}}',
}
TAKES = {  # kinds that each command takes as its first file
    "plan": ("a fleet", "a CSV of adapters"),
    "simulate": ("a fleet", "a CSV of adapters"),
    "verify": ("a plan", "a plan for several base models"),
    "explain": ("a plan", "a plan for several base models"),
    "export": ("a plan", "a plan for several base models"),
    "compare": ("a simulated run", "a profile", "a plan", "a plan for several base models"),
    "fit": ("a folder of measurements",),
    "train": (),
    "sweep": ("a design of a sweep",),
    "workload from-trace": ("a request trace", "a request log", "a file compressed with gzip"),
    "workload from-log": ("a request trace", "a request log", "a file compressed with gzip"),
    "apply": ("a plan", "a plan for several base models"),
    "apply plan.yaml --dry-run --routes new.yaml --servers": ("a servers file",),
    "replay": ("a fleet", "a CSV of adapters", "a plan", "a plan for several base models"),
    "replay plan.yaml --servers": ("a servers file",),
    "replay plan.yaml --servers servers.yaml --routes": ("a routes file",),
    "diagnose http://localhost:1 --plan": ("a plan", "a plan for several base models"),
    "watch --plan": ("a plan", "a plan for several base models"),
    "watch --plan plan.yaml --simulate": ("a CSV of rates over time",),
    "plan fleet.yaml --surrogate": ("a surrogate",),
    "plan fleet.yaml --rates-over-time": ("a CSV of rates over time",),
    "derive --gpu l40s --model": ("the config.json of a model",),
}
MORE = {
    "compare": ("run.json",),
    "sweep": ("--out", "runs"),
    "workload from-trace": ("--adapters", "2", "--ranks", "8", "--out", "f.yaml"),
    "workload from-log": ("--rank", "8", "--out", "f.yaml"),
    "apply": ("--servers", "servers.yaml", "--dry-run"),
    "replay": ("--url", "http://localhost:1"),
    "watch --plan": ("--simulate", "rates.csv"),
}
GIVEN_TO_OPTIONS = ("fleet.yaml", "plan.yaml", "adapters.csv", "servers.yaml", "plan.html", "adapters.xlsx", "adapter")
NOT_READ = {  # folders, where a command takes a name or a file of its own
    "plan fleet.yaml --surrogate": ("adapter", "measurements"),
    "derive --gpu l40s --model": ("adapter", "measurements"),
}


@pytest.fixture
def everything(planned, adaptwin, h100):
    """The folder with a file of every kind."""
    h100.write(planned / "profile.yaml")
    surrogate_for(h100).write(planned / "surrogate.json")
    load_design("planning").write(planned / "design.yaml")
    (planned / "adapters.csv").write_text("name,rank,rate\na,8,0.5\n")
    (planned / "log.csv").write_text("time,model,prompt_tokens,completion_tokens\n1786000000,a,374,44\n")
    (planned / "log.jsonl").write_text('{"model": "a", "prompt_tokens": 374, "time": 1786000000}\n')
    (planned / "vllm.log").write_text("INFO 09-03 03:00:37 [logger.py:43] Received request cmpl-1: prompt: 'hi'\n")
    (planned / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n")
    (planned / "trace.jsonl").write_text('{"timestamp": 0, "input_length": 9, "output_length": 5}\n' * 2)
    for name, content in (("adapter/adapter_config.json", '{"peft_type": "LORA"}'), ("measurements/setup.yaml", SETUP)):
        (planned / name).parent.mkdir()
        (planned / name).write_text(content)
    assert adaptwin("simulate", "fleet.yaml", "--duration", "60", "--out", "run.json").code == 0
    assert adaptwin("export", "plan.yaml", "--out", "serve.sh").code == 0
    (planned / "plans.yaml").write_text("plans: []\n")
    (planned / "servers.yaml").write_text("gpu-0: {url: http://localhost:8000}\n")
    (planned / "routes.yaml").write_text("routes:\n  a0: {gpu-0: 1.0}\n")
    (planned / "rates.csv").write_text("start,name,rate\n0,a0,0.5\n600,a0,0.6\n")
    (planned / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    for name, head in BINARY.items():
        (planned / name).write_bytes(head)
    (planned / "plan.html").write_text("<!DOCTYPE html>\n<html></html>\n")
    return planned


@pytest.fixture(scope="module")
def h100():
    return load_profile("h100-64gb-llama-3.1-8b-instruct")


def test_files_of_every_kind_are_recognised(everything):
    assert {name: kinds_of(everything / name)[0].name for name in KINDS} == KINDS


def test_a_wrong_kind_of_file_is_named_by_every_command(everything, adaptwin):
    silent = []
    for command, taken in TAKES.items():
        for name, kind in KINDS.items():
            if (
                (" --" in command and name not in GIVEN_TO_OPTIONS)
                or kind in taken
                or name in NOT_READ.get(command, ())
            ):
                continue
            done = adaptwin(*command.split(), name, *MORE.get(command, ()))
            if done.code != 1 or not done.err.startswith(f"adaptwin: {name}: this is {kind}, not "):
                silent.append((command, name, done.code, done.err))
    assert not silent, "\n".join(map(str, silent))


def test_a_broken_file_of_the_right_kind_keeps_its_own_error(everything, adaptwin):
    (everything / "fleet.yaml").write_text("adapters:\n- {name: a, rank: 8, rat: 1}\n")
    assert adaptwin("plan", "fleet.yaml").err.startswith("adaptwin: fleet.yaml: adapters[0].rat: unknown key")
    (everything / "adapters.csv").write_text("name,rank,rates\na,8,0.5\n")
    assert adaptwin("plan", "adapters.csv").err.startswith("adaptwin: adapters.csv: rate: missing column")


def test_plans_of_a_wrong_order_are_recognised(everything, adaptwin):
    assert "fleet.yaml: this is a fleet" in adaptwin("replan", "fleet.yaml", "plan.yaml").err


def test_a_file_of_no_known_kind_keeps_its_own_error(folder, adaptwin):
    (folder / "notes.yaml").write_text("buy: milk\n")
    assert adaptwin("verify", "notes.yaml").err == (
        "adaptwin: notes.yaml: this is not a plan: it has 'buy', but not 'options', 'seed', 'lower_bound', "
        "'servers', 'profiles'\n"
    )
    assert adaptwin("verify", "nothing.yaml").err == "adaptwin: nothing.yaml: no such file\n"


@pytest.mark.parametrize("spec", CLASSES)
def test_the_keys_of_a_kind_are_fields_of_its_file(spec):
    keys = next(keys for kind, keys in file_kinds._BY_KEYS if kind == spec.file_kind)
    assert set(keys) <= set(spec.model_fields)


def test_a_file_with_one_nearly_right_key_keeps_its_own_error(folder, adaptwin):
    (folder / "notes.yaml").write_text("adaptors: []\n")
    assert "notes.yaml: adaptors: unknown key" in adaptwin("plan", "notes.yaml").err


def test_standard_input_is_named_where_a_hyphen_is_given(adaptwin):
    assert adaptwin("plan", "-").err == "adaptwin: -: no such file; standard input is /dev/stdin\n"


def test_a_csv_of_adapters_may_have_any_name(folder, adaptwin):
    (folder / "adapters.txt").write_text("name,rank,rate\na,8,0.5\nb,8,0.5\n")
    done = adaptwin("plan", "adapters.txt", "--profile", "h100-64gb-llama-3.1-8b-instruct", "--json")
    assert done.code == 0
    assert '"b"' in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "fleet.yaml", "--out", "fleet.yaml"), "fleet.yaml: cannot be written: it is an input of the same"),
        (("plan", "fleet.yaml", "--report", "./fleet.yaml"), "fleet.yaml: cannot be written: it is an input of the"),
        (("plan", "fleet.yaml", "--out", "a", "--report", "a"), "a: cannot be written: it is another output of the"),
        (("simulate", "fleet.yaml", "--out", "fleet.yaml"), "fleet.yaml: cannot be written: it is an input of the"),
        (("replan", "plan.yaml", "fleet.yaml", "--out", "plan.yaml"), "plan.yaml: cannot be written: it is an input"),
        (("export", "plan.yaml", "--out", "plan.yaml"), "plan.yaml: cannot be written: it is an input of the same"),
    ],
)
def test_an_output_never_replaces_an_input_or_another_output(planned, adaptwin, words, message):
    before = {path: path.read_bytes() for path in planned.iterdir()}
    done = adaptwin(*words)
    assert done.code == 1
    assert done.err.startswith(f"adaptwin: {message}")
    assert {path: path.read_bytes() for path in planned.iterdir()} == before
