"""GAPS: what the twin leaves out. docs/explanation/limits.md says more, and a test compares them."""

from typing import Literal, NamedTuple

Effect = Literal["safe", "risky", "excluded"]
EFFECTS: dict[Effect, str] = {
    "excluded": "a plan does not apply to such servers",
    "risky": "real servers may do worse than the plan says",
    "safe": "real servers do better than the plan says",
}


class Gap(NamedTuple):
    """Something that the twin leaves out, and what that means for a plan."""

    what: str
    effect: Effect


GAPS = (
    Gap("speculative decoding", "excluded"),
    Gap("pipeline, data and expert parallelism", "excluded"),
    Gap("multimodal models, encoders, prompt embeddings", "excluded"),
    Gap("priority scheduling", "excluded"),
    Gap("KV connectors", "excluded"),
    Gap("several choices per request", "risky"),
    Gap("structured output, log probabilities, tool parsers", "risky"),
    Gap("limits on long prefills", "risky"),
    Gap("several API-server processes", "risky"),
    Gap("eager mode, other CUDA graph sizes, compilation settings", "risky"),
    Gap("the V0 engine, engines other than vLLM", "excluded"),
    Gap("adapters that change some layers only", "safe"),
    Gap("DoRA, modules trained in full, biases", "excluded"),
    Gap("embeddings of an adapter's own", "excluded"),
    Gap("weights that come over a network", "risky"),
    Gap("the order in which vLLM visits the adapters of a step", "risky"),
    Gap("several servers on one GPU", "excluded"),
    Gap("several servers on one machine", "risky"),
    Gap("a router", "risky"),
    Gap("the time that a server takes to start", "risky"),
    Gap("failures other than those of whole GPUs", "risky"),
    Gap("autoscaling", "safe"),
    Gap("metrics scraping", "risky"),
)
