"""adaptwin profiles: the shipped profiles, and how true they are."""

import json

from rich.console import Console

from adaptwin.cli.options import AsJson
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.report.profiles import profiles_table


def profiles_command(as_json: AsJson = False) -> None:
    """List the shipped profiles, and how true they are."""
    shipped = [load_profile(name) for name in shipped_profiles()]
    if as_json:
        print(json.dumps([profile.model_dump(mode="json") for profile in shipped], indent=1))
    else:
        Console().print(profiles_table(shipped))
