"""Kinds of files: a valid file of each, and the function that reads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from adaptwin import Adapter, Lengths, Server, Workload, load_profile, load_surrogate, make_plan, simulate
from adaptwin.calibration.measurements import MeasuredRun, Measurements
from adaptwin.dataset.dataset import DATASET_COLUMNS, DESIGN_FILE, Dataset, table_of, write_partition
from adaptwin.dataset.design import Design, load_design
from adaptwin.dataset.shipped_designs import shipped_designs
from adaptwin.plan.fleet import read_fleet
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.model_tree import Leaf, ModelTree
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.run import Run
from adaptwin.workload.arrivals import read_rates
from adaptwin.workload.sources.adapters_csv import read_adapter_rates
from adaptwin.workload.sources.lengths_text import parse_lengths
from adaptwin.workload.sources.peft import read_peft_folder
from adaptwin.workload.sources.request_log.request_log import read_request_log
from adaptwin.workload.sources.traces import read_trace

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FLEET = f"""\
profile: [{PROFILE}]
duration: 300
seed: 1
lengths: {{lognormal: {{input_mean: 300, input_cv: 1.0, output_mean: 200, output_cv: 1.0}}}}
arrivals: gamma:cv=2
planning: {{headroom: 20%, ttft_p99: 2s, constraints: {{pinned: {{a: gpu-0}}, apart: [[a, b]]}}, spare: 1}}
server: {{max_num_seqs: 256, async_scheduling: yes, gpu_memory_utilization: 0.9}}
adapters:
- {{name: a, rank: 8, rate: 0.5, artifact: acme/a, slo_ttft: 2, slo_itl: 50ms, target_modules: [q_proj]}}
- {{name: b, rank: 16, rate: 1e-1, lengths: {{empirical: [[12, 80], [300, 40]], are_limits: true}}}}
- {{name: c, rank: 0, rate: 0.2, arrivals: [0.5, 1.5, 100]}}
"""
VLLM_LINE = (
    "INFO 09-03 03:00:{second:02} [logger.py:43] Received request cmpl-{second}: prompt: 'hi', "
    "params: SamplingParams(n=1, max_tokens=16), prompt_token_ids: [1, 22172, 3], "
    "lora_request: LoRARequest(lora_name='{adapter}', lora_int_id=1), prompt_adapter_request: None."
)


class FileKind(NamedTuple):
    """A kind of file: its name in a folder of its own, and the function that reads the file."""

    name: str
    read: Callable[[Path], Any]
    is_parquet: bool = False


def _read_log(path: Path) -> Any:
    return read_request_log([path], lengths_needed=False)


KINDS = {
    "fleet": FileKind("fleet.yaml", read_fleet),
    "fleet as JSON": FileKind("fleet.json", read_fleet),
    "adapters": FileKind("adapters.csv", read_fleet),
    "adapters, tabs": FileKind("adapters.tsv", read_fleet),
    "rates of adapters": FileKind("rates.csv", read_adapter_rates),
    "rates over time": FileKind("factors.csv", read_rates),
    "lengths": FileKind("lengths.csv", lambda path: parse_lengths(str(path))),
    "trace": FileKind("trace.csv", read_trace),
    "trace as JSON lines": FileKind("trace.jsonl", read_trace),
    "log": FileKind("log.csv", _read_log),
    "log as JSON lines": FileKind("log.jsonl", _read_log),
    "log as JSON": FileKind("log.json", _read_log),
    "log as Parquet": FileKind("log.parquet", _read_log, True),
    "log of vLLM": FileKind("vllm.log", _read_log),
    "profile": FileKind("profile.yaml", Profile.read),
    "profile as JSON": FileKind("profile.json", Profile.read),
    "plan": FileKind("plan.yaml", Plan.read),
    "plan as JSON": FileKind("plan.json", Plan.read),
    "surrogate": FileKind("surrogate.json", Surrogate.read),
    "design": FileKind("a_design.yaml", Design.read),
    "run": FileKind("run.json", Run.read),
    "adapter of PEFT": FileKind("peft/adapter_config.json", lambda path: read_peft_folder(path.parent, rate=1.0)),
    "setup": FileKind("measured/setup.yaml", lambda path: Measurements.read(path.parent)),
    "measured runs": FileKind("measured/runs.json", lambda path: Measurements.read(path.parent)),
    "measured steps": FileKind("measured/steps.csv", lambda path: Measurements.read(path.parent)),
    "measured loads": FileKind("measured/loads.parquet", lambda path: Measurements.read(path.parent), True),
    "dataset": FileKind("runs/part-00000.parquet", lambda path: Dataset.read(path.parent), True),
}


def write_all(folder: Path) -> None:
    """Write a valid file of each kind to the folder."""
    (folder / "fleet.yaml").write_text(FLEET)
    fleet = read_fleet(folder / "fleet.yaml")
    fleet.write(folder / "fleet.json")
    rows = [
        "name,rank,rate,input_mean,output_mean,artifact,slo_ttft_ms",
        "a,8,0.5,250,231,acme/a,2000",
        "b,16,1e-1,,,,",
    ]
    (folder / "adapters.csv").write_text("\n".join([*rows, '"c, d",0,0.25,,,"say ""x""",500ms', ""]))
    (folder / "adapters.tsv").write_text("\n".join(rows).replace(",", "\t"))
    (folder / "rates.csv").write_text("name,rate\na,0.5\nb,2\nc,1e-3\n")
    (folder / "factors.csv").write_text("start,factor\n0,1\n60,0.5\n120,2.25\n")
    (folder / "lengths.csv").write_text("input,output\n12,80\n300,40\n5,5\n")
    times = "".join(f"2023-11-16 18:15:{s:02}.680,{100 + s},{50 + s}\n" for s in range(20))
    (folder / "trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + times)
    lines = [{"timestamp": 500 * n, "input_length": 30 + n, "output_length": n + 1} for n in range(20)]
    (folder / "trace.jsonl").write_text("\n".join(map(json.dumps, lines)))
    _write_logs(folder)
    _write_profiles(folder)
    _write_results(folder)
    _write_folders(folder)


def _write_logs(folder: Path) -> None:
    log = pl.DataFrame(
        {
            "start_time": [f"2026-08-06T14:30:{second:02}.25+02:00" for second in range(20)],
            "path": ["/v1/chat/completions"] * 20,
            "status": ["200", "502"] * 10,
            "model": ["acme/a", "b", "c, d", "e"] * 5,
            "prompt_tokens": range(20),
            "completion_tokens": range(1, 21),
        }
    )
    log.write_csv(folder / "log.csv")
    log.write_ndjson(folder / "log.jsonl")
    log.write_parquet(folder / "log.parquet")
    (folder / "log.json").write_text(json.dumps({"data": log.to_dicts()}))
    lines = [VLLM_LINE.format(second=second, adapter="ab"[second % 2]) for second in range(20)]
    (folder / "vllm.log").write_text("\n".join(lines))


def _write_profiles(folder: Path) -> None:
    profile = load_profile(PROFILE)
    profile.write(folder / "profile.yaml")
    profile.write(folder / "profile.json")
    surrogate = load_surrogate(PROFILE)
    leaf = Leaf(constant=0.5, weights={}, low=0.0, high=1.0, rows=9)
    name = surrogate.region.features[0]
    tree = ModelTree(features=(name, "", ""), thresholds=(0.5, 0.0, 0.0), right=(2, 0, 0), leaves=(leaf, leaf))
    small = surrogate.model_copy(update={"trees": dict.fromkeys(surrogate.trees, tree), "scores": {}})
    small.write(folder / "surrogate.json")
    load_design(next(iter(shipped_designs()))).write(folder / "a_design.yaml")


def _write_results(folder: Path) -> None:
    workload = Workload([Adapter("a", 8, 0.5), Adapter("b", 16, 0.2)], duration=300.0)
    profile = load_profile(PROFILE)
    plan = make_plan(profile, workload, headroom=0.2, spare=1)
    plan.write(folder / "plan.yaml")
    plan.write(folder / "plan.json")
    simulate(profile, Server(max_loras=2), workload, record=True).write(folder / "run.json")


def _write_folders(folder: Path) -> None:
    (folder / "peft").mkdir()
    adapter = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "use_dora": False}
    adapter |= {"base_model_name_or_path": "acme/x", "rank_pattern": {"q_proj": 16}, "bias": "none", "x": None}
    (folder / "peft/adapter_config.json").write_text(json.dumps(adapter, indent=1))
    shutil.copytree(EXAMPLES / "measurements", folder / "measured")
    (folder / "measured/loads.csv").unlink()
    loads = {"source": ["host", "disk"], "rank": [8, 16], "max_lora_rank": [16, 16], "seconds": [0.01, 0.2]}
    pl.DataFrame(loads).write_parquet(folder / "measured/loads.parquet")
    workload = Workload([Adapter("a", 8, 0.5)], lengths=Lengths.fixed(250, 231))
    run = MeasuredRun(name="one", server=Server(), workload=workload, throughput=200.0, itl_mean=0.02)
    form = [run.file_form(), {**run.file_form(), "name": "two"}]
    (folder / "measured/runs.json").write_text(json.dumps(form, indent=1))
    (folder / "runs").mkdir()
    Design(profiles=(PROFILE,)).write(folder / "runs" / DESIGN_FILE)
    text = dict.fromkeys(DATASET_COLUMNS)
    write_partition(folder / "runs/part-00000.parquet", table_of([text] * 20), {"adaptwin.seed": "0"})
