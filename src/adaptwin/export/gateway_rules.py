"""Rules of a gateway: one for each name that requests ask for, with the servers that take its requests."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import Destination, ServingPlan
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted

MOST_BACKENDS = 16  # of a rule of a Gateway API route
LONGEST_REQUEST = "1h"  # gateways end a request after 15 to 60 seconds unless they are told otherwise
_HEADER_VALUE = re.compile(r"[!-~]+( [!-~]+)*")  # what every HTTP header can carry: printable ASCII, single spaces


class GatewayRule(NamedTuple):
    """Where the requests go that ask for a name."""

    name: str
    places: tuple[Destination, ...]  # at most `MOST_BACKENDS`

    def headers(self, header: str) -> list[Manifest]:
        """Return the headers that a request of the rule has: the given one, with the name."""
        return [{"type": "Exact", "name": header, "value": self.name}]


def gateway_rules(serving: ServingPlan) -> list[GatewayRule]:
    """Return a rule for every adapter and base model, with the `MOST_BACKENDS` largest weights of each."""
    return [GatewayRule(name, _heaviest(places)) for name, places in serving.all_routes.items()]


def batches_of_rules(rules: Sequence[GatewayRule], most: int) -> list[Sequence[GatewayRule]]:
    """Return the rules in groups of at most `most`, for routes that hold no more."""
    return [rules[start : start + most] for start in range(0, len(rules), most)]


def said_of_gateway(serving: ServingPlan, options: ExportOptions) -> list[str]:
    """Say which Gateway the routes are for, and what its rules cannot hold: many servers, and names with odd signs."""
    routes = serving.all_routes.items()
    said = [
        f"Make a Gateway {options.gateway} in the namespace {options.namespace}, or name one by the option gateway.",
        *(
            f"{quoted(name)} is on {len(places)} servers and a rule takes {MOST_BACKENDS}: the smallest weights are "
            "left out, and their requests go to the other servers."
            for name, places in routes
            if len(places) > MOST_BACKENDS
        ),
    ]
    if odd := [name for name, _ in routes if not _HEADER_VALUE.fullmatch(name)]:
        said.append(
            f"Routes match a name in an HTTP header, which may not carry {len(odd)} of the names, such as "
            f"{quoted(odd[0])}: rename them to printable ASCII with single spaces."
        )
    return said


def _heaviest(places: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """Return the places with the largest weights, in their order."""
    kept = sorted(range(len(places)), key=lambda index: -places[index].weight)[:MOST_BACKENDS]
    return tuple(places[index] for index in sorted(kept))
