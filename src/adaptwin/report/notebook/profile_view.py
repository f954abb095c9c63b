"""A profile as a notebook shows it."""

from adaptwin.profile.profile import Profile
from adaptwin.report.kv_cache import usual_kv_tokens
from adaptwin.report.notebook.html_table import HtmlTable, html_view
from adaptwin.report.profile_error import error_in_words
from adaptwin.report.style.words import money


def profile_facts(profile: Profile) -> list[str]:
    """Return what a profile is in a line: its name, GPU, model and version of vLLM, and how far to trust it."""
    facts = [profile.name, profile.server_hardware, profile.model.name, f"vLLM {profile.vllm_version}", profile.grade]
    return facts if profile.price_per_hour is None else [*facts, f"{money(profile.price_per_hour)} per hour and GPU"]


def profile_html(profile: Profile) -> str:
    """Return a profile as HTML: its facts, and a table of memory, accuracy and source."""
    about = "about " if profile.memory.estimated else ""
    rows = [
        ("GPU memory", f"{profile.gpu_gib:.1f} GiB"),
        ("KV cache", f"{about}{usual_kv_tokens(profile):,} tokens without adapters, at the defaults of vLLM"),
        ("longest context", f"{profile.model.max_model_len:,} tokens"),
        ("accuracy", error_in_words(profile)),
        ("source", profile.source),
    ]
    return html_view("Profile", profile_facts(profile), HtmlTable(("", ""), rows, numbers=False))
