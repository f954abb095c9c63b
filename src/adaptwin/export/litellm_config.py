"""The model list of LiteLLM's proxy: one entry for each adapter and server, with the weights of the plan."""

from collections.abc import Callable, Iterator

from adaptwin.errors import SpecError
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import Destination, ServingPlan
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted

AskedFor = Callable[[Destination], str]  # the name by which the stack's endpoint knows an adapter

API_KEY = "VLLM_API_KEY"  # environment variables of the proxy
MASTER_KEY = "LITELLM_MASTER_KEY"


def asked_of_vllm(place: Destination) -> str:
    """Return the name that vLLM itself knows an adapter by."""
    return place.model


def model_list(
    serving: ServingPlan, urls: dict[str, str], options: ExportOptions, asked: AskedFor = asked_of_vllm
) -> list[Manifest]:
    """Return the entries of the proxy's ``model_list``; raises `SpecError` for a name that it takes for a pattern.

    Args:
        serving: Servers and routes.
        urls: Address of each server by name, without ``/v1``; those of `options` take precedence.
        options: Addresses, and whether the servers ask for an API key.
        asked: Returns the name by which a server is asked for an adapter.
    """
    return list(_routing_entries(serving, {**urls, **options.urls}, options, asked))


def _routing_entries(
    serving: ServingPlan, urls: dict[str, str], options: ExportOptions, asked: AskedFor
) -> Iterator[Manifest]:
    usual = API_KEY if options.api_key else None
    for name, places in serving.all_routes.items():
        if "*" in name:
            raise SpecError(f"LiteLLM takes {quoted(name)} for a pattern of names: rename the adapter", "name")
        for place in places:
            yield {
                "model_name": name,
                "litellm_params": {
                    "model": f"hosted_vllm/{asked(place)}",
                    "api_base": f"{urls[place.server.name]}/v1",
                    **({"api_key": f"os.environ/{variable}"} if (variable := _variable(place, usual, options)) else {}),
                    "weight": place.weight,
                },
                "model_info": {"id": f"{name}@{place.server.name}"},
            }


def _variable(place: Destination, usual: str | None, options: ExportOptions) -> str | None:
    """Return the environment variable of the proxy with the API key of a server; None if it asks for none."""
    return options.api_key_envs.get(place.server.name, usual)


def proxy_config(models: list[Manifest]) -> Manifest:
    """Return the configuration of the proxy: weighted choice among the servers of an adapter.

    The proxy asks for a key, which stands in its environment. LiteLLM 1.108 does not start without one.
    """
    return {
        "model_list": models,
        "router_settings": {"routing_strategy": "simple-shuffle"},
        "general_settings": {"master_key": f"os.environ/{MASTER_KEY}"},
    }
