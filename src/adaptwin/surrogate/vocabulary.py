"""Vocabulary: each feature in plain words, with its unit and its scale."""

import math
from typing import Literal, NamedTuple

FeatureScale = Literal["plain", "log", "log of one plus"]


class Word(NamedTuple):
    """A feature in plain words.

    The unit is empty for ratios. Three units set how a value is written: "s" for seconds, "share" for per cent,
    "whole" for whole numbers. The unit "switch" stands for on or off.
    """

    phrase: str
    unit: str = ""
    scale: FeatureScale = "plain"

    def natural(self, value: float) -> float:
        """Convert a value of the feature to the quantity itself, in its unit."""
        if self.scale == "plain":
            return value
        return math.exp(value) if self.scale == "log" else math.expm1(value)


VOCABULARY: dict[str, Word] = {
    "utilisation": Word("utilisation", "", "log"),
    "fullness": Word("seats taken in the batch", "share", "log"),
    "kv_fullness": Word("KV cache in use", "share", "log"),
    "kv_bound": Word("requests the KV cache holds", "per seat", "log"),
    "step_fullness": Word("token budget in use", "share", "log"),
    "step_size": Word("tokens in a step", "x the largest CUDA graph", "log"),
    "slot_pressure": Word("adapters wanting a slot", "per slot", "log"),
    "slot_pressure_later": Word("adapters wanting a slot if 4 x slower", "per slot", "log"),
    "staying": Word("adapters that keep their slot", "per slot", "log"),
    "slots_full": Word("chance that no slot is free", "share"),
    "slot_wait": Word("wait for a slot", "s", "log of one plus"),
    "slot_wait_lifetimes": Word("wait for a slot in lifetimes", "", "log of one plus"),
    "slot_waiting": Word("requests whose adapter waits", "share"),
    "slot_reached": Word("requests that get a slot", "share"),
    "slot_supply": Word("slots per adapter", "", "log"),
    "reloads": Word("adapters loaded", "per second", "log of one plus"),
    "stalled": Word("time spent loading adapters", "share"),
    "pace": Word("time per token", "s", "log"),
    "running": Word("running requests", "", "log"),
    "crowding": Word("running requests per adapter", "", "log"),
    "slots": Word("slots", "whole", "log of one plus"),
    "adapters": Word("adapters", "whole", "log of one plus"),
    "rank": Word("max_lora_rank", "whole", "log"),
    "prompt": Word("mean prompt", "tokens", "log"),
    "answer": Word("mean answer", "tokens", "log"),
    "prompt_spread": Word("spread of prompt lengths"),
    "answer_spread": Word("spread of answer lengths"),
    "chunks": Word("mean prompt over the token budget", "", "log"),
    "lora_share": Word("requests with an adapter", "share"),
    "hottest": Word("requests of the busiest adapter", "share", "log"),
    "evenness": Word("adapters, if equally popular", "", "log"),
    "burstiness": Word("burstiness of arrivals", "", "log"),
    "swing": Word("swings of the arrival rate"),
    "lifetimes": Word("window in lifetimes", "", "log"),
    "requests": Word("requests in the window", "", "log"),
    "rejected": Word("requests that are too long", "share"),
    "capacity_tokens": Word("tokens of a full batch", "per second", "log"),
    "hit_share": Word("prompt tokens that are cached", "share"),
    "is_async": Word("asynchronous scheduling", "switch"),
    "full_pace": Word("time per token of a full batch", "x the time per token", "log"),
    "long_step": Word("99th percentile of step times", "x the time per token", "log"),
    "prompt_step": Word("step that computes a prompt", "x the time per token", "log"),
    "fixed_share": Word("time per token that an empty batch takes", "share"),
    "adapter_share": Word("time per token that adapters take", "share"),
    "arithmetic": Word("arithmetic of a step over reading weights", "", "log"),
    "load_steps": Word("time to load an adapter", "x the time per token", "log of one plus"),
}
