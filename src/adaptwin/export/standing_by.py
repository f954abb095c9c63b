"""What stacks that start servers by themselves make of standbys and failovers."""

from adaptwin.export.serving_plan import ServingPlan


def said_of_standbys(serving: ServingPlan, how: str) -> list[str]:
    """Say what standbys become: free GPUs, on which the stack starts a failed server again as `how` says."""
    if not serving.standbys:
        return []
    names = ", ".join(server.name for server in serving.standbys)
    gpus = sum(server.gpus for server in serving.standbys)
    return [f"Standby {names}: keep {gpus} GPU{'s' if gpus > 1 else ''} free. {how}, with the same adapters."]
