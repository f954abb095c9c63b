"""Meters: the counters of routers and servers that count requests and tokens, as queries of Prometheus."""

from typing import NamedTuple


class TrafficMeter(NamedTuple):
    """Counters of one program; each is a selector of Prometheus."""

    title: str
    labels: tuple[str, ...]  # that name the model which was asked for: the first that has a value counts
    requests: str
    prompt_tokens: str
    answer_tokens: str
    knows_adapters: bool = True

    def increase(self, selector: str, seconds: float) -> str:
        """Return the query for how much a counter grew in so many seconds, by the labels of the model."""
        return f"sum by ({', '.join(self.labels)}) (increase({selector}[{round(seconds)}s]))"


LITELLM_METER = TrafficMeter(  # litellm/types/integrations/prometheus.py of LiteLLM 1.108
    title="LiteLLM",
    labels=("requested_model",),
    requests='litellm_proxy_total_requests_metric_total{status_code=~"2.."}',
    prompt_tokens="litellm_input_tokens_metric_total",
    answer_tokens="litellm_output_tokens_metric_total",
)
ENVOY_METER = TrafficMeter(  # OpenTelemetry's conventions for gen_ai, as Envoy AI Gateway exports them to Prometheus
    title="Envoy AI Gateway",
    labels=("gen_ai_original_model", "gen_ai_request_model"),
    requests="gen_ai_server_request_duration_seconds_count",
    prompt_tokens='gen_ai_client_token_usage_token_sum{gen_ai_token_type="input"}',
    answer_tokens='gen_ai_client_token_usage_token_sum{gen_ai_token_type="output"}',
)
VLLM_METER = TrafficMeter(  # the requests of vLLM's metrics do not name the adapter
    title="vLLM",
    labels=("model_name",),
    requests='vllm:request_success_total{finished_reason!~"abort|error"}',
    prompt_tokens="vllm:prompt_tokens_total",
    answer_tokens="vllm:generation_tokens_total",
    knows_adapters=False,
)
METERS = (LITELLM_METER, ENVOY_METER, VLLM_METER)  # in the order in which they are asked for
