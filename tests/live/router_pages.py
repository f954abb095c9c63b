"""Pages of /metrics in the style of routers, by counts of requests and tokens of each model."""

from collections.abc import Mapping

Counts = Mapping[str, tuple[float, float, float]]  # requests, prompt tokens and answer tokens, by model


def litellm_page(counts: Counts) -> str:
    """Return a page of LiteLLM's proxy: two users, requests that failed, and those that name no model."""
    requests, inputs, outputs = (
        f"litellm_{name}_metric_total" for name in ("proxy_total_requests", "input_tokens", "output_tokens")
    )
    lines = [
        "# HELP litellm_proxy_total_requests_metric_total Total number of requests made to the proxy server",
        "# TYPE litellm_proxy_total_requests_metric_total counter",
        f'{requests}{{requested_model="None",route="/v1/models",status_code="200",user="u"}} 77.0',
    ]
    for name, (asked, prompt, answer) in counts.items():
        model = f'requested_model="{name}",team="None"'
        for user, share in (("a", 0.25), ("b", 0.75)):
            lines.append(f'{requests}{{{model},status_code="200",user="{user}"}} {asked * share}')
            lines.append(f'{inputs}{{model="hosted_vllm/{name}",{model},user="{user}"}} {prompt * share}')
            lines.append(f'{outputs}{{model="hosted_vllm/{name}",{model},user="{user}"}} {answer * share}')
        lines.append(f'{requests}{{{model},status_code="429",user="a"}} 1000.0')
        lines.append(f'litellm_proxy_total_requests_metric_created{{{model},status_code="200",user="a"}} 1.7e+09')
    return "\n".join(lines) + "\n"


def envoy_page(counts: Counts, *, has_units: bool = True) -> str:
    """Return a page of Envoy AI Gateway, or of a collector that leaves the units out of the names."""
    duration = f"gen_ai_server_request_duration{'_seconds' if has_units else ''}"
    tokens = f"gen_ai_client_token_usage{'_token' if has_units else ''}"
    lines = [f"# TYPE {duration} histogram"]
    for name, (asked, prompt, answer) in counts.items():
        model = f'gen_ai_operation_name="chat",gen_ai_original_model="{name}",gen_ai_request_model="base"'
        lines.append(f'{duration}_bucket{{{model},le="+Inf"}} {asked:g}')
        lines.append(f"{duration}_sum{{{model}}} {2.5 * asked}")
        lines.append(f"{duration}_count{{{model}}} {asked:g}")
        lines.append(f'{duration}_count{{error_type="_OTHER",{model}}} 1000')
        for kind, count in (("input", prompt), ("output", answer), ("cached_input", prompt)):
            lines.append(f'{tokens}_sum{{{model},gen_ai_token_type="{kind}"}} {count:g}')
            lines.append(f'{tokens}_count{{{model},gen_ai_token_type="{kind}"}} {asked:g}')
    return "\n".join(lines) + "\n"


def vllm_page(counts: Counts) -> str:
    """Return a page of a vLLM server, with requests that were aborted."""
    lines = []
    for name, (asked, prompt, answer) in counts.items():
        model = f'engine="0",model_name="{name}"'
        lines += [
            f'vllm:request_success_total{{{model},finished_reason="{reason}"}} {count}'
            for reason, count in (("stop", asked - 1), ("length", 1), ("abort", 500), ("error", 500))
        ]
        lines.append(f"vllm:prompt_tokens_total{{{model}}} {prompt}")
        lines.append(f"vllm:generation_tokens_total{{{model}}} {answer}")
    return "\n".join(lines) + "\n"
