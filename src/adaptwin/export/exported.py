"""export: a plan as the files of a serving stack."""

from typing import NamedTuple

from adaptwin.errors import SpecError, not_one_of
from adaptwin.export.comments import comments
from adaptwin.export.needed_secrets import said_of_secrets
from adaptwin.export.options import ExportOptions
from adaptwin.export.registry import STACKS, stack_of
from adaptwin.export.serving_plan import SAID_OF_FAILOVER, ServingPlan, serving_plan_of
from adaptwin.export.yaml_text import yaml_text
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans


class Exported(NamedTuple):
    """The files of a plan for a serving stack."""

    files: dict[str, str]  # text by file name
    said: list[str]  # what the stack cannot express and what was done instead, and what is left to do


def export(plan: Plan | Plans, stack: str = "vllm", options: ExportOptions | None = None) -> dict[str, str]:
    """Return the files that run a plan on a serving stack: text by file name.

    Args:
        plan: A plan, or the plans of a fleet with several base models.
        stack: Name of the stack, such as ``kserve``; one of `adaptwin.export.registry.STACKS`.
        options: Images, folders, secrets and addresses; None: the defaults of `ExportOptions`.

    Raises:
        SpecError: The stack is not known, two names become one there, or an option names no server of the plan.
    """
    return exported(plan, stack, options).files


def exported(plan: Plan | Plans, stack: str = "vllm", options: ExportOptions | None = None) -> Exported:
    """Return the files that run a plan on a serving stack, and what it cannot express; see `export`."""
    if stack not in STACKS:
        raise SpecError(not_one_of(stack, STACKS), "stack")
    plans = plan.plans if isinstance(plan, Plans) else (plan,)
    return exported_plan(serving_plan_of(plans), stack, options or ExportOptions())


def exported_plan(serving: ServingPlan, stack: str, options: ExportOptions) -> Exported:
    """Return the files that run servers and routes on a serving stack, one of `STACKS`; see `export`."""
    if unknown := sorted(set(options.urls) - {server.name for server in serving.all_servers}):
        raise SpecError(not_one_of(unknown[0], [server.name for server in serving.all_servers]), "urls")
    files, said = stack_of(stack).write(serving, options)
    said = [*said, *said_of_secrets(content for content in files.values() if not isinstance(content, str))]
    head = comments([*serving.said, *said])
    if serving.has_failover:
        said.append(SAID_OF_FAILOVER)  # which stands in the files already
    return Exported(
        {name: content if isinstance(content, str) else head + yaml_text(content) for name, content in files.items()},
        said,
    )
