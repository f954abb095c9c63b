"""shipped: the profiles, surrogates and data sheets that come with adaptwin, read and compared with fingerprints."""

from functools import partial

from adaptwin.installation.finding import InstallationFinding, found

_SHIP_AGAIN = "pip install --force-reinstall --no-deps adaptwin"


def shipped() -> list[InstallationFinding]:
    """Return whether all that is shipped can be read, and is as it was when it was measured or trained."""
    from adaptwin.profile.profile import shipped_profiles
    from adaptwin.surrogate.surrogate import shipped_surrogates

    return [
        *(found(name, partial(_shipped_profile, name), _SHIP_AGAIN) for name in shipped_profiles()),
        *(found(name, partial(_shipped_surrogate, name), _SHIP_AGAIN) for name in shipped_surrogates()),
        found("data sheets", _data_sheets, _SHIP_AGAIN),
    ]


def _shipped_profile(name: str) -> InstallationFinding:
    """A profile of which one constant was changed would still be read, but its errors would be those of another."""
    from adaptwin.profile.profile import load_profile

    profile = load_profile(name)
    if profile.is_measured or profile.is_derived:
        return InstallationFinding(name, "ok", f"profile, fingerprint {profile.fingerprint}")
    says = f"profile with other constants than were measured (fingerprint {profile.fingerprint})"
    return InstallationFinding(name, "wrong", says, _SHIP_AGAIN)


def _shipped_surrogate(name: str) -> InstallationFinding:
    """A surrogate holds the profile that its predictions are for; its name is that of a shipped profile."""
    from adaptwin.profile.profile import load_profile
    from adaptwin.surrogate.surrogate import load_surrogate

    held, own = load_surrogate(name).profile.fingerprint, load_profile(name).fingerprint
    if held == own:
        return InstallationFinding(name, "ok", f"surrogate, fingerprint {held}")
    says = f"surrogate for a profile with fingerprint {held}, but that of the profile is {own}"
    return InstallationFinding(name, "wrong", says, _SHIP_AGAIN)


def _data_sheets() -> InstallationFinding:
    from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
    from adaptwin.profile.hardware.model_config import read_model, shipped_models

    gpus = [load_gpu(name) for name in shipped_gpus()]
    models = [read_model(name) for name in shipped_models()]
    return InstallationFinding("data sheets", "ok", f"{len(gpus)} GPUs and {len(models)} models")
