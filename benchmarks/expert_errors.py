"""The only public run of a model with experts, as far as it can be compared: two GPUs that share the experts."""

import json

import numpy as np
import polars as pl

from adaptwin import Server, simulate
from adaptwin.profile.derive import derived, measured_profiles
from adaptwin.profile.hardware.communication import exchange
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.profile.hardware.model_config import read_model
from public_runs import REPLAY_GPU, REPLAYS, base_only

FOLDER = REPLAYS / "Qwen3-30B-A3B-Instruct-2507" / "vllm"
EXCHANGES_PER_LAYER = 2  # of tokens to the GPUs of their experts, and back


def expert_error() -> str | None:
    """Return how far the time per token is off, in per cent; None if the run does not lie beside the project.

    The run had two servers with a GPU each (data parallelism), which sent tokens to each other's half of the experts.
    Here each GPU serves every other request with half of the experts: the tokens of both servers use as many of these
    as those of one would with twice the share. The exchanges count as all-reduces of the tokens of both.
    """
    if not FOLDER.exists():
        return None
    settings = json.loads((FOLDER / "meta.json").read_text())
    lines = (FOLDER / "requests.jsonl").read_text().splitlines()
    rows = pl.DataFrame([json.loads(line) for line in lines]).sort("queued_ts")
    queued, first, last = (rows[name].to_numpy() for name in ("queued_ts", "first_token_ts", "last_token_ts"))
    answers, prompts, sent = rows["output_toks"].to_numpy(), rows["input_toks"].to_numpy(), queued - queued[0]
    sheet, model = load_gpu(REPLAY_GPU), read_model(settings["model"], settings["vllm_version"])
    half = model._replace(shape=model.shape.model_copy(update={"experts": model.shape.experts // 2}))
    profile = derived(sheet, half, measured_profiles(), settings["vllm_version"])
    each, count = exchange(sheet, 2), EXCHANGES_PER_LAYER * model.shape.layers
    sends = {
        "communication": count * each.seconds,
        "communication_per_token": count * 2 * model.shape.hidden * model.shape.bytes_per_value / each.bandwidth,
    }
    profile = profile.model_copy(update={"step_cost": profile.step_cost.model_copy(update=sends)})
    engine = settings["engine_kwargs"]
    server = Server(
        max_loras=0,
        max_num_seqs=engine["max_num_seqs"],
        max_num_batched_tokens=engine["max_num_batched_tokens"],
        max_model_len=40_960,
    )
    own = slice(None, None, 2)
    duration = float(sent[-1]) + 1e-3
    run = simulate(profile, server, base_only(sent[own], prompts[own], answers[own], duration=duration), window="drain")
    return f"{100 * (run.tpot.mean / float(np.mean((last - first) / (answers - 1))) - 1):+.0f}"
