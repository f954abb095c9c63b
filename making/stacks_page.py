"""docs/reference/serving-stacks.md: what each serving stack can express of a plan, and what is done instead."""

from adaptwin.export.registry import STACKS, stack_of
from measured_page import generated_by
from reference_text import code, paragraph, prose, table

STACKS_PAGE = "serving-stacks.md"

WHAT = """`adaptwin export plan.yaml --to STACK` writes the files that run a plan on a serving stack.
[How to export a plan](../how-to/export.md) shows how. This page says what each stack can express of a plan, and what
the files do instead where it cannot."""

HOW = """All stacks get every setting that the twin assumed as a flag or field, so that no default of another version
of vLLM takes its place; secrets by reference only; and names that are legal there. A split adapter is one whose
requests go to several servers. A server with merged weights serves one adapter, whose weights are merged into those of
the model. Where a stack itself has no weights, LiteLLM's proxy stands in front of it, with an entry for each adapter
and server."""

VALIDITY = """The files are checked in tests against reduced copies of the stacks' own schemas, with unknown fields
refused (`tests/schemas`); in `make test-live`, vLLM's own argument parser reads the commands, Ray's own class takes the
configurations, and LiteLLM's proxy routes to two real vLLM servers. No cluster and no other stack was run."""


def stacks_page() -> str:
    """Return the page."""
    stacks = {name: stack_of(name) for name in STACKS}
    rows = [[code(name), prose(stack.title), prose(stack.version)] for name, stack in stacks.items()]
    abilities = [
        [code(name), *map(prose, (stack.pins, stack.weights, stack.merged, stack.names))]
        for name, stack in stacks.items()
    ]
    parts = [
        "# Serving stacks",
        paragraph(WHAT),
        table(["`--to`", "stack", "schema or facts read of"], rows),
        paragraph(HOW),
        table(
            ["`--to`", "how an adapter is kept on its servers", "split adapters", "merged weights", "names"], abilities
        ),
        paragraph(VALIDITY),
        generated_by("reference", after="a change to an exporter"),
    ]
    return "\n\n".join(parts) + "\n"
