"""Meters: the counters of routers and servers that count requests and tokens, for Prometheus and for /metrics pages."""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from adaptwin.calibration.sources.metrics_page import MetricSample

_NO_MODEL = ("", "None", "unknown")  # of requests that name no model: LiteLLM writes None, Envoy AI Gateway unknown


class LabelCondition(NamedTuple):
    """What the value of a label must be; a label that is not there has the empty value, as in Prometheus."""

    label: str
    sign: Literal["=", "=~", "!~"]  # equal, matches a regular expression as a whole, does not match it
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet the condition."""
        found = labels.get(self.label, "")
        if self.sign == "=":
            return found == self.value
        return (re.fullmatch(self.value, found) is not None) == (self.sign == "=~")


class TrafficCounter(NamedTuple):
    """A counter: the metrics that may hold it, of which a program has one, and the conditions on their labels."""

    names: tuple[str, ...]
    conditions: tuple[LabelCondition, ...] = ()

    @property
    def selector(self) -> str:
        """The selector of Prometheus."""
        conditions = list(self.conditions)
        if len(self.names) > 1:
            conditions = [LabelCondition("__name__", "=~", "|".join(self.names)), *conditions]
        text = ",".join(f'{label}{sign}"{value}"' for label, sign, value in conditions)
        return (self.names[0] if len(self.names) == 1 else "") + (f"{{{text}}}" if text else "")

    def takes(self, sample: MetricSample) -> bool:
        """Whether a value of a page of /metrics belongs to the counter."""
        return sample.name in self.names and all(each.holds(sample.labels) for each in self.conditions)


class TrafficMeter(NamedTuple):
    """Counters of one program."""

    title: str
    labels: tuple[str, ...]  # that name the model which was asked for: the first that has a value counts
    requests: TrafficCounter
    prompt_tokens: TrafficCounter
    answer_tokens: TrafficCounter
    knows_adapters: bool = True

    def increase(self, counter: TrafficCounter, seconds: float) -> str:
        """Return the query for how much a counter grew in so many seconds, by the labels of the model."""
        return f"sum by ({', '.join(self.labels)}) (increase({counter.selector}[{round(seconds)}s]))"

    def model_of(self, labels: Mapping[str, str]) -> str:
        """Return the name of the model that was asked for; empty if the labels name none."""
        return next((labels[label] for label in self.labels if labels.get(label, "") not in _NO_MODEL), "")


# LiteLLM 1.108: litellm/types/integrations/prometheus.py has the names and labels, to which prometheus_client adds
# _total. Requests of early versions have no status_code, those that failed among them.
LITELLM_METER = TrafficMeter(
    title="LiteLLM",
    labels=("requested_model",),
    requests=TrafficCounter(
        ("litellm_proxy_total_requests_metric_total",), (LabelCondition("status_code", "=~", "2..|"),)
    ),
    prompt_tokens=TrafficCounter(("litellm_input_tokens_metric_total",)),
    answer_tokens=TrafficCounter(("litellm_output_tokens_metric_total",)),
)

# Envoy AI Gateway 1.1: internal/metrics/genai.go has the names of OpenTelemetry and metrics_impl.go the labels, with
# error.type for requests that failed. Its own page adds the units (token and s) to the names; collectors that get the
# metrics by OTLP may leave them out.
ENVOY_METER = TrafficMeter(
    title="Envoy AI Gateway",
    labels=("gen_ai_original_model", "gen_ai_request_model"),
    requests=TrafficCounter(
        ("gen_ai_server_request_duration_seconds_count", "gen_ai_server_request_duration_count"),
        (LabelCondition("error_type", "=", ""),),
    ),
    prompt_tokens=TrafficCounter(
        ("gen_ai_client_token_usage_token_sum", "gen_ai_client_token_usage_sum"),
        (LabelCondition("gen_ai_token_type", "=", "input"),),
    ),
    answer_tokens=TrafficCounter(
        ("gen_ai_client_token_usage_token_sum", "gen_ai_client_token_usage_sum"),
        (LabelCondition("gen_ai_token_type", "=", "output"),),
    ),
)

VLLM_METER = TrafficMeter(  # the requests of vLLM's metrics do not name the adapter
    title="vLLM",
    labels=("model_name",),
    requests=TrafficCounter(("vllm:request_success_total",), (LabelCondition("finished_reason", "!~", "abort|error"),)),
    prompt_tokens=TrafficCounter(("vllm:prompt_tokens_total",)),
    answer_tokens=TrafficCounter(("vllm:generation_tokens_total",)),
    knows_adapters=False,
)
METERS = (LITELLM_METER, ENVOY_METER, VLLM_METER)  # in the order in which they are asked for
