"""Wrong input: one line on stderr that names file, field and value, an exit code, and nothing left behind."""

import os

import pytest

from adaptwin.placement.strategies.registry import STRATEGIES

PROFILE = "h100-64gb-llama-3.1-8b-instruct"

HEAD = f"profile: {PROFILE}\nduration: 300\n"


def fleet(*adapters, more=""):
    return HEAD + more + "adapters:\n" + "".join(f"- {{{adapter}}}\n" for adapter in adapters)


ONE = "name: a0, rank: 8, rate: 0.5"
RANKS = "is above 512, the highest that vLLM serves (1, 8, 16, 32, 64, 128, 256, 320, 512)"
SHIPPED = "h100-64gb-llama-3.1-8b-instruct, h100-64gb-qwen-2.5-7b-instruct"

FLEETS = {
    "unknown key": (fleet(ONE, more="adaptres: 3\n"), "adaptres: unknown key (allowed: adapters, lengths, arrivals,"),
    "unknown key of an adapter": (fleet(ONE + ", rnk: 3"), "adapters[0].rnk: unknown key (allowed: name, rank, rate,"),
    "missing rank": (fleet(ONE, "name: a1, rate: 0.5"), "adapters[1].rank: missing"),
    "missing adapters": (HEAD, "adapters: missing"),
    "no adapters": (HEAD + "adapters: []\n", "adapters: lists no adapter"),
    "negative rate": (fleet("name: a0, rank: 8, rate: -0.5"), "adapters[0].rate: -0.5 must be at least 0"),
    "rate in words": (fleet("name: a0, rank: 8, rate: fast"), "adapters[0].rate: 'fast' is not a number"),
    "endless rate": (fleet("name: a0, rank: 8, rate: .inf"), "adapters[0].rate: inf is not valid"),
    "rank 1024": (fleet("name: a0, rank: 1024, rate: 1"), f"adapters[0].rank: 1024 {RANKS}"),
    "rank 513": (fleet(ONE, "name: b, rank: 513, rate: 1"), f"adapters[1].rank: 513 {RANKS}"),
    "rank below 0": (fleet(ONE, "name: b, rank: -8, rate: 1"), "adapters[1].rank: -8 must be at least 1, or 0 for"),
    "duplicate names": (fleet(ONE, ONE), "adapters: duplicate name 'a0': entries 0 and 1"),
    "empty name": (fleet("name: '', rank: 8, rate: 1"), "adapters[0].name: '' is not valid"),
    "empty file": ("", "the file is empty"),
    "a list": ("- 1\n- 2\n", "expected a mapping of fields, found a list"),
    "a word": ("hello\n", "expected a mapping of fields, found text"),
    "broken YAML": ("adapters: [\n- {name\n", "line 2: not valid YAML: "),
    "adapters by name": (HEAD + "adapters: {a0: 1}\n", "adapters: {'a0': 1} is not valid"),
    "unknown lengths": (fleet(ONE, more="lengths: pile\n"), "lengths: 'pile' is not a known distribution (sharegpt)"),
    "unknown arrivals": (fleet(ONE, more="arrivals: weibull\n"), "arrivals: 'weibull' is not a known arrival process"),
    "no duration": (fleet(ONE).replace("300", "0"), "duration: 0 must be above 0"),
    "unknown profile": (fleet(ONE).replace(PROFILE, "h200"), f"profile: 'h200' is neither a file nor one of {SHIPPED}"),
    "no profile": (fleet(ONE).removeprefix(f"profile: {PROFILE}\n"), "profile: missing: name one in the file or with"),
    "unknown strategy": (fleet(ONE, more="planning: {strategy: magic}\n"), "planning.strategy: 'magic' is not one of"),
    "unknown objective": (fleet(ONE, more="planning: {objective: fun}\n"), "planning.objective: 'fun' is not"),
    "negative headroom": (
        fleet(ONE, more="planning: {headroom: -1}\n"),
        "planning.headroom: -1.0 must be from 0 to 10",
    ),
    "wrong server": (fleet(ONE, more="server: {max_num_seqs: 0}\n"), "server.max_num_seqs: 0 must be at least 1"),
}


def one_line(done):
    """The only line of a failed call, without the name of the program."""
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("adaptwin: ")
    return done.err.removeprefix("adaptwin: ").rstrip("\n")


@pytest.mark.parametrize("case", FLEETS)
def test_a_wrong_fleet_is_refused_in_one_line(adaptwin, folder, case):
    text, message = FLEETS[case]
    (folder / "wrong.yaml").write_text(text, encoding="utf-8")
    before = sorted(os.listdir(folder))
    for command in ("plan", "simulate"):
        if "planning" in message and command == "simulate":
            continue
        done = adaptwin(command, "wrong.yaml", "--out", "out.yaml", "--json")
        assert one_line(done).startswith(f"wrong.yaml: {message}")
        assert done.code == 1
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,rank\na,8\n", "rate: missing column (needed: name,rank,rate; found: name,rank)"),
        ("name,rank,rate,colour\na,8,1,red\n", "colour: unknown column (allowed: name,rank,rate,input_mean"),
        ("name,rank,rate\na,8,1\na,8,1\n", "line 3: name: duplicate name 'a': lines 2 and 3"),
        ("name,rank,rate\na,600,1\n", f"line 2: rank: 600 {RANKS}"),
        ("name,rank,rate\na,8,-1\n", "line 2: rate: -1.0 must be at least 0"),
        ("name,rank,rate\na,8,\n", "line 2: rate: missing"),
        ("name,rank,rate\na,eight,1\n", "line 2: rank: 'eight' is not a number"),
        ("name,rank,rate\n", "has no rows"),
        ("", "the file is empty"),
    ],
)
def test_a_wrong_csv_is_refused_in_one_line(adaptwin, folder, text, message):
    (folder / "wrong.csv").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "wrong.csv", "--profile", PROFILE, "--out", "out.yaml")
    assert one_line(done).startswith(f"wrong.csv: {message}")
    assert done.code == 1
    assert not (folder / "out.yaml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "no.yaml"), "no.yaml: no such file"),
        (("simulate", "no.yaml"), "no.yaml: no such file"),
        (("verify", "no.yaml"), "no.yaml: no such file"),
        (("export", "no.yaml"), "no.yaml: no such file"),
        (("plan", "."), ".: cannot be read: Is a directory"),
        (("plan", "fleet.yaml", "--profile", "h200"), f"--profile: 'h200' is neither a file nor one of {SHIPPED}"),
        (("plan", "fleet.yaml", "--profile", "h200.yaml"), "h200.yaml: no such file"),
        (("plan", "fleet.yaml", "--strategy", "magic"), f"--strategy: 'magic' is not one of {', '.join(STRATEGIES)}"),
        (("plan", "fleet.yaml", "--objective", "fun"), "--objective: 'fun' is not one of min-gpus"),
        (("plan", "fleet.yaml", "--objective", "min-cost"), f"price_per_hour: profile {PROFILE} has none"),
        (
            ("plan", "fleet.yaml", "--price", "h200=2.5"),
            f"--price: 'h200' is not one of {PROFILE}",
        ),
        (
            ("plan", "fleet.yaml", "--spare", 1, "--objective", "min-latency", "--gpus", 2),
            "--spare: 1: min-latency uses all GPUs that it is given",
        ),
        (("plan", "fleet.yaml", "--out", "no/plan.yaml"), "no/plan.yaml: cannot be written: "),
        (("plan", "fleet.yaml", "--out", "fleet.yaml/plan.yaml"), "fleet.yaml/plan.yaml: cannot be written: "),
        (("plan", "fleet.yaml", "--report", "no/plan.html"), "no/plan.html: cannot be written: "),
        (("simulate", "fleet.yaml", "--out", "no/run.json"), "no/run.json: cannot be written: "),
        (("simulate", "fleet.yaml", "--max-loras", 0), "--max-loras: 0 slots, but adapter 'a0' needs one"),
        (("simulate", "fleet.yaml", "--max-lora-rank", 7), "--max-lora-rank: 7 is not one of 1, 8, 16"),
        (
            ("simulate", "fleet.yaml", "--max-lora-rank", 8),
            "--max-lora-rank: 8 is below the rank 16 of adapter 'a1'",
        ),
        (("simulate", "fleet.yaml", "--warmup", 900), "--warmup: 900.0 must be "),
        (("verify", "fleet.yaml"), "fleet.yaml: this is a fleet, not a plan; did you mean adaptwin plan or simulate?"),
        (("export", "fleet.yaml"), "fleet.yaml: this is a fleet, not a plan; did you mean adaptwin plan or simulate?"),
        (("export", "fleet.yaml", "--to", "helm"), "--to: 'helm' is not one of vllm"),
        (
            ("workload", "synth", "--adapters", 0, "--rate", 1, "--ranks", 8, "--out", "w.yaml"),
            "--adapters: 0 must be at",
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_wrong_call_is_refused_in_one_line(adaptwin, folder, words, message):
    before = sorted(os.listdir(folder))
    done = adaptwin(*words)
    assert one_line(done).startswith(message)
    assert done.code == 1
    assert sorted(os.listdir(folder)) == before


SYNTH = ("workload", "synth", "--adapters", "9", "--out", "y.yaml")
WRONG_CALLS = {
    ("plan",): "FLEET is missing; see adaptwin plan --help",
    ("frobnicate",): "'frobnicate' is not one of plan, simulate, ",
    ("paln", "fleet.yaml"): "'paln' is not one of plan, ",
    ("--frobnicate",): "--frobnicate: no such option; see adaptwin --help",
    ("plan", "fleet.yaml", "--headrom", "1"): "--headrom: no such option; did you mean --headroom?; see adaptwin plan ",
    (
        "plan",
        "fleet.yaml",
        "--headroom",
        "much",
    ): "--headroom: 'much' is not a share, such as 20% or 0.2; see adaptwin ",
    (
        "simulate",
        "fleet.yaml",
        "--max-loras",
        "1.5",
    ): "--max-loras: '1.5' is not a whole number; see adaptwin simulate ",
    ("simulate", "fleet.yaml", "--max-loras"): "--max-loras: needs a value; see adaptwin simulate --help",
    ("plan", "fleet.yaml", "--objective", "min-gpus", "--objective", "slo"): "--objective: is given twice, but takes",
    (*SYNTH, "--rate", "1", "--rate", "2"): "--rate: is given twice, but takes one value; see adaptwin workload synth",
    ("profiles", "--json=yes"): "--json: takes no value; see adaptwin profiles --help",
    ("plan", "fleet.yaml", "more.yaml"): "'more.yaml' is too much: all arguments of the command are there already; see",
    ("help",): "'help' is not one of plan, simulate, ",
    ("plan", "fleet.yaml", "--objective", "foo"): "--objective: 'foo' is not one of min-gpus, ",
    ("plan", "fleet.yaml", "--pin", "c=gpu-0"): "--pin: 'c' is not an adapter of the workload",
    ("plan", "fleet.yaml", "--price", "x=1"): "--price: 'x' is not one of ",
    ("workload", "nix"): "'nix' is not one of from-trace, from-log, ",
    ("workload", "synth", "--adapters", "2"): "--rate is missing; see adaptwin workload synth --help",
    (*SYNTH, "--rate", "1:30", "--ranks", "8"): "--rate: '1:30' is not a number; see adaptwin workload synth --help",
    (*SYNTH, "--rate", "1", "--ranks", "x"): "--ranks: 'x' is neither a list ",
}


@pytest.mark.parametrize("words", WRONG_CALLS, ids=" ".join)
def test_a_call_that_is_not_one_ends_with_1_and_one_line_that_names_the_option(adaptwin, folder, words):
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert one_line(done).startswith(WRONG_CALLS[words])


def test_a_file_that_is_not_text_is_refused(adaptwin, folder):
    (folder / "wrong.yaml").write_bytes(b"\xff\xfe\x00")
    assert one_line(adaptwin("plan", "wrong.yaml")).startswith("wrong.yaml: cannot be read: ")


# Questions without an answer


def test_an_adapter_too_big_for_any_gpu_ends_with_2(adaptwin, folder):
    text = fleet(
        ONE, "name: big, rank: 512, rate: 0.5", more="server: {gpu_memory_utilization: 0.54, max_model_len: 131072}\n"
    )
    (folder / "big.yaml").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "big.yaml", "--out", "out.yaml")
    assert one_line(done).startswith("big.yaml: adapters[1].rank: 512 of 'big' fits on no GPU: ")
    assert done.code == 2
    assert not (folder / "out.yaml").exists()


def test_traffic_beyond_every_server_ends_with_2(adaptwin, folder):
    text = fleet(ONE, "name: flood, rank: 8, rate: 50000").replace("300", "120")
    (folder / "flood.yaml").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "flood.yaml", "--out", "out.yaml", "--report", "out.html")
    assert one_line(done).startswith("flood.yaml: adapters[1].rate: 50000 requests/s of 'flood' cannot be served on")
    assert done.code == 2
    assert not list(folder.glob("out.*"))


def test_a_server_out_of_memory_ends_with_2(adaptwin, folder):
    done = adaptwin("simulate", "fleet.yaml", "--max-loras", 500, "--max-lora-rank", 512, "--out", "run.json")
    assert (
        one_line(done)
        == f"fleet.yaml: max_loras 500 at max_lora_rank 512 on {PROFILE}: no memory is left for the KV cache"
    )
    assert done.code == 2
    assert not (folder / "run.json").exists()


# Plans that do not hang together

PLACED = "adapters: {a0: 1.0, a1: 1.0, base: 1.0}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            PLACED,
            "adapters: {zz: 1.0, a0: 1.0, a1: 1.0, base: 1.0}",
            "servers[0].adapters: 'zz' is not in the plan's workload",
        ),
        (PLACED, "adapters: {a0: 1.0, a1: 0.5, base: 1.0}", "servers: the shares of 'a1' sum to 0.5, not to 1"),
        (PLACED, "adapters: {a0: 1.0, base: 1.0}", "servers: the shares of 'a1' sum to 0, not to 1"),
        (PLACED, "adapters: {a0: 1.0, a1: 1.5, base: 1.0}", "servers[0].adapters.a1: 1.5 must be at most 1"),
        (f"  profile: {PROFILE}", "  profile: h200", "servers[0].profile: 'h200' is not among the plan's profiles"),
        ("- {name: a1, rank", "- {name: a0, rank", "workload.adapters: duplicate name 'a0': entries 0 and 1"),
        ("max_cpu_loras: 2", "max_cpu_loras: 1", "servers[0].server: max_cpu_loras 1 is below max_loras 2"),
        ("objective: min-gpus", "objectve: min-gpus", "options.objectve: unknown key"),
    ],
)
def test_a_plan_that_does_not_hang_together_is_refused(adaptwin, planned, old, new, message):
    text = (planned / "plan.yaml").read_text(encoding="utf-8")
    assert old in text
    (planned / "plan.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    for words in (("verify", "plan.yaml"), ("export", "plan.yaml", "--out", "serve.sh")):
        done = adaptwin(*words)
        assert one_line(done).startswith(f"plan.yaml: {message}")
        assert done.code == 1
    assert not (planned / "serve.sh").exists()


def test_a_plan_whose_server_does_not_start_ends_with_2(adaptwin, planned):
    text = (planned / "plan.yaml").read_text(encoding="utf-8")
    text = text.replace("max_loras: 2, max_lora_rank: 16, max_cpu_loras: 2", "max_loras: 300, max_lora_rank: 64", 1)
    (planned / "plan.yaml").write_text(text, encoding="utf-8")
    done = adaptwin("verify", "plan.yaml")
    assert one_line(done).startswith("plan.yaml: max_loras 300 at max_lora_rank 64 on ")
    assert done.code == 2


def test_a_plan_whose_server_cannot_load_an_adapter_is_refused_with_its_file(adaptwin, planned):
    text = (planned / "plan.yaml").read_text(encoding="utf-8")
    (planned / "plan.yaml").write_text(text.replace("max_lora_rank: 16", "max_lora_rank: 8", 1), encoding="utf-8")
    done = adaptwin("verify", "plan.yaml")
    assert done.code == 1
    assert one_line(done).startswith("plan.yaml: ")


def test_a_plan_without_servers_is_refused(adaptwin, planned):
    text = (planned / "plan.yaml").read_text(encoding="utf-8")
    start, end = text.index("servers:"), text.index("profiles:")
    (planned / "plan.yaml").write_text(f"{text[:start]}servers: []\n{text[end:]}", encoding="utf-8")
    assert adaptwin("verify", "plan.yaml").code == 1


@pytest.mark.parametrize("text", [fleet(ONE, more="planning: {headroom: .inf}\n")])
def test_an_endless_headroom_is_refused(adaptwin, folder, text):
    (folder / "wrong.yaml").write_text(text, encoding="utf-8")
    done = adaptwin("plan", "wrong.yaml")
    assert done.code == 1
    assert one_line(done).startswith("wrong.yaml: planning.headroom: ")


def test_the_fleet_that_these_spoil_is_right(adaptwin, folder):
    (folder / "right.yaml").write_text(fleet(ONE), encoding="utf-8")
    assert adaptwin("plan", "right.yaml").code == 0


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Name,Rank,Rate\na,8,1\n", "found: Name,Rank,Rate); rename 'Name' to name"),
        ("a,8,1\nb,8,1\n", "found: a,8,1); the first line must name the columns"),
    ],
)
def test_a_header_that_is_not_one_is_explained(adaptwin, folder, text, hint):
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    assert one_line(adaptwin("plan", "rows.csv")).endswith(hint)
