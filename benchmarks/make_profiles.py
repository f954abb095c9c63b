"""Rebuild the two shipped profiles: memory from the law and the shapes, the step cost fitted to the calibration runs.

Reports the error on the validation runs, which the fit never sees, and writes it into the profile.
"""

import argparse
import sys

from adaptwin.calibration.compare import compare, profile_error
from adaptwin.calibration.fit import fit_step_cost
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import MemoryModel
from adaptwin.profile.model import ModelShape
from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.profile.step_cost import StepCost
from h100_runs import MODELS, PROJECT, measured_runs, require_data

SHAPES = {
    "llama-3.1-8b-instruct": ModelShape(
        name="meta-llama/Llama-3.1-8B-Instruct", hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128,
        intermediate=14336, vocabulary=128256, max_model_len=131072, lora_embeddings=True,
    ),
    "qwen-2.5-7b-instruct": ModelShape(
        name="Qwen/Qwen2.5-7B-Instruct", hidden=3584, layers=28, heads=28, kv_heads=4, head_dim=128,
        intermediate=18944, vocabulary=152064, max_model_len=32768,
    ),
}  # fmt: skip
GPU_BYTES = 63.43 * 1024**3
# KV tokens = first - second x slots - third x slots x rank: linear fits to the measured capacities.
MEMORY_LAW = {"llama-3.1-8b-instruct": (307529, 48.6, 43.98), "qwen-2.5-7b-instruct": (702507, 2.9, 87.91)}
# Medians of the measured adapter loads: seconds.
LOAD_COST = {
    "llama-3.1-8b-instruct": LoadCost(
        gpu_base=0.0068, gpu_per_rank=0.0, gpu_per_padding=7e-5, disk_base=0.045, disk_per_rank=0.0025
    ),
    "qwen-2.5-7b-instruct": LoadCost(
        gpu_base=0.0029, gpu_per_rank=2e-5, gpu_per_padding=2e-5, disk_base=0.0058, disk_per_rank=0.00047
    ),
}
SCHEDULER_COST = SchedulerCost(base=1.9e-5, per_running=4.1e-6, per_skipped=1.2e-7)
# The pause between scrapes grows with the combinations of adapters that the twin counts: see docs/calibration.md.
SCRAPE_COST = ScrapeCost(per_label_set=2.2e-5, per_label=1.6e-7)
REQUEST_LATENCY = 0.012  # what the calmest runs need beyond their prefill: API server, tokenizer, client
START = StepCost(
    base=0.0105, per_token=4e-5, per_prefill_token=2e-5, per_context_token=3e-8, lora_base=0.003, lora_per_slot=2e-5,
    lora_per_token=1e-5, lora_per_token_slot=1e-7, lora_per_adapter=3e-5, lora_per_token_adapter=1e-6, per_rank=2e-3,
)  # fmt: skip


def main() -> None:
    """Fit, report and write both profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--model", choices=MODELS, action="append", help="one model only")
    arguments = parser.parse_args()
    require_data()
    for model in arguments.model or MODELS:
        name = MODELS[model]
        start = unfitted(model, name)
        fitted = fit_step_cost(
            start,
            measured_runs(model, "calibration"),
            iterations=arguments.iterations,
            progress=lambda iteration, cost: print(f"  iteration {iteration}: cost {cost:.3f}", file=sys.stderr),
        )
        print(name, "calibration:", profile_error(compare(fitted, measured_runs(model, "calibration"))))
        error = profile_error(compare(fitted, measured_runs(model, "validation")))
        print(name, "validation: ", error)
        path = PROJECT / "src" / "adaptwin" / "profile" / "data" / f"{name}.yaml"
        fitted.model_copy(update={"error": error}).write(path)


def unfitted(model: str, name: str) -> Profile:
    """The profile before its step cost is fitted."""
    shape = SHAPES[model]
    tokens, per_slot, per_slot_rank = MEMORY_LAW[model]
    kv_bytes = shape.kv_bytes_per_token
    return Profile(
        name=name,
        hardware="NVIDIA H100 64 GB (MareNostrum 5)",
        model=shape,
        vllm_version="0.8.5",
        source="657 runs of FerranAgulloLopez/GPULLMAdapterOptimization (arXiv 2508.08343), calibration split",
        request_latency=REQUEST_LATENCY,
        memory=MemoryModel(
            gpu_bytes=GPU_BYTES,
            weights_bytes=shape.weights_bytes,
            activation_bytes=round(0.9 * GPU_BYTES - shape.weights_bytes - tokens * kv_bytes),
            kv_bytes_per_token=kv_bytes,
            slot_bytes=round(per_slot * kv_bytes),
            slot_bytes_per_rank=round(per_slot_rank * kv_bytes),
        ),
        step_cost=START,
        load_cost=LOAD_COST[model],
        scheduler_cost=SCHEDULER_COST,
        scrape_cost=SCRAPE_COST,
    )


if __name__ == "__main__":
    main()
