"""Export to LiteLLM: the configuration of its proxy, which routes every adapter to its planned servers."""

from adaptwin.export.litellm_config import API_KEY, MASTER_KEY, model_list, proxy_config
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys

LITELLM_FILE = "litellm.yaml"


def litellm_config(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return the configuration of LiteLLM's proxy."""
    labels = distinct_labels(server.name for server in serving.servers)
    urls = {name: f"http://{label}:{options.port}" for name, label in labels.items()}
    said = [
        "LiteLLM routes only: start the servers with another export, such as vllm.",
        f"The proxy asks its clients for the key in its environment variable {MASTER_KEY}, such as sk- and 64 letters.",
        *said_of_standbys(serving, "Start a failed server again there"),
    ]
    if assumed := [name for name in urls if name not in options.urls]:
        said.append(f"Addresses are assumed for {len(assumed)} servers, such as {urls[assumed[0]]}; give them by url.")
    if options.api_key:
        said.append(f"The proxy sends the API key in its environment variable {API_KEY}.")
    return Written({LITELLM_FILE: [proxy_config(model_list(serving, urls, options))]}, said)


LITELLM = Stack(
    title="LiteLLM's proxy: a router",
    version="litellm 1.108",
    pins="one entry of `model_list` for each adapter and server",
    weights="exact: `weight` with `simple-shuffle`",
    merged="an entry that leads to the merged model's server",
    names="as they are; `*` is refused, as it stands for a pattern",
    write=litellm_config,
)
