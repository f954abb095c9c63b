"""Reader of exports to Envoy AI Gateway: rules by model name, and the addresses behind their backends."""

from tests.export.read_back import ReadBack, of_kind

from adaptwin.export.names import dns_label


def read_envoy_ai_gateway(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read the weights of every name's backends, whose addresses are those of the export to Kubernetes."""
    by_host = {f"{dns_label(server, 52)}.default.svc.cluster.local": server for server in servers}
    hosts = {
        backend["metadata"]["name"]: by_host[endpoint["fqdn"]["hostname"]]
        for backend in of_kind(files, "Backend")
        for endpoint in backend["spec"]["endpoints"]
        if endpoint["fqdn"]["port"] == 8000
    }
    backends = {
        each["metadata"]["name"]: hosts[each["spec"]["backendRef"]["name"]]
        for each in of_kind(files, "AIServiceBackend")
    }
    routes: dict[str, dict[str, float]] = {}
    for route in of_kind(files, "AIGatewayRoute"):
        for rule in route["spec"]["rules"]:
            ((header,),) = (match["headers"] for match in rule["matches"])
            assert header["name"] == "x-ai-eg-model"
            assert header["value"] not in routes
            routes[header["value"]] = {backends[each["name"]]: each["weight"] for each in rule["backendRefs"]}
            assert len(routes[header["value"]]) == len(rule["backendRefs"])
    return ReadBack(None, routes, None)
