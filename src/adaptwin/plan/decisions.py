"""Decisions: what the planner chose instead of vLLM's defaults, and what each choice gains."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.twin.run import Verdict

Setting = Literal["max_num_seqs", "max_num_batched_tokens", "max_cpu_loras", "max_model_len", "merged"]


class DefaultPerformance(Spec):
    """The simulated performance of a server. Latencies in seconds; they are None where no request was answered."""

    verdict: Verdict = Field(description="worst verdict among the server and its adapters")
    itl_mean: float | None = Field(default=None, description="mean ITL, in seconds")
    itl_p99: float | None = Field(default=None, description="99th percentile of the ITL, in seconds")
    ttft_p99: float | None = Field(default=None, description="99th percentile of the TTFT, in seconds")


class Decision(Spec):
    """A setting of a server that the planner chose instead of vLLM's default."""

    setting: Setting = Field(description="name of the setting")
    chosen: int = Field(description="value that was chosen; 1 for merged")
    default: int = Field(description="value without the choice: vLLM's default; for max_cpu_loras, all adapters")
    without: DefaultPerformance | None = Field(
        default=None,
        description="performance of the server with the default and all else equal, with the arrivals of the forecast; "
        "None if it would not start",
    )


class Alternative(Spec):
    """The GPUs that the fleet would need without one of the planner's decisions."""

    without: Setting = Field(description="setting that all servers have at its default")
    gpus: int = Field(ge=0, description="number of GPUs")
    found_by: Literal["search", "prediction"] = Field(
        description="a search for a plan, which is not verified, or the predictions of the surrogate alone"
    )
