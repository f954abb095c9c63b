"""adaptwin profiles: the shipped profiles, with their measured errors."""

from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show, show_json
from adaptwin.profile.profile import load_profile, shipped_profiles


def profiles_command(as_json: AsJson = False) -> None:
    """List the shipped profiles, with their measured errors.

    A profile holds the costs of one GPU, model and vLLM version; 'adaptwin fit' makes one for your own server.
    """
    from adaptwin.report.profiles import profiles_table

    shipped = [load_profile(name) for name in shipped_profiles()]
    if as_json:
        show_json([profile.model_dump(mode="json") for profile in shipped])
    else:
        show(profiles_table(shipped))
