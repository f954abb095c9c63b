"""The content security policy of a report: it runs its own scripts, known by their hashes, and loads nothing."""

import base64
import hashlib
import re
from functools import lru_cache

from plotly.offline import get_plotlyjs

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; img-src data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


def policy_of_report(page: str) -> str:
    """Return the policy under which a browser runs the script of a report and the library that it starts."""
    own = _SCRIPT.findall(page)[-1:]  # the page ends with it; nothing before it is ours
    sources = {*map(_source_by_hash, own), _source_of_library()}
    return _POLICY.format(scripts=" ".join(sorted(sources)))


@lru_cache(maxsize=1)
def _source_of_library() -> str:
    return _source_by_hash(get_plotlyjs())


def _source_by_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
