"""adaptwin profiles: the shipped profiles, with their measured errors."""

import json

from adaptwin.cli.options import AsJson
from adaptwin.profile.profile import load_profile, shipped_profiles


def profiles_command(as_json: AsJson = False) -> None:
    """List the shipped profiles, with their measured errors.

    A profile holds the costs of one GPU, model and vLLM version; 'adaptwin fit' makes one for your own server.
    """
    from rich.console import Console

    from adaptwin.report.profiles import profiles_table

    shipped = [load_profile(name) for name in shipped_profiles()]
    if as_json:
        print(json.dumps([profile.model_dump(mode="json") for profile in shipped], indent=1))
    else:
        Console().print(profiles_table(shipped))
