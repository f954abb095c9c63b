"""The content security policy of a report: it runs its own scripts, known by their hashes, and loads nothing."""

import base64
import hashlib
import re

from plotly.offline import get_plotlyjs

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; img-src data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


def policy_of_report(page: str) -> str:
    """Return the policy under which a browser runs the script of a report and the library that it starts."""
    own = _SCRIPT.findall(page)[-1:]  # the page ends with it; nothing before it is ours
    scripts = {*own, get_plotlyjs()}
    return _POLICY.format(scripts=" ".join(sorted(map(_source_by_hash, scripts))))


def _source_by_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
