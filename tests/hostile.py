"""Hostile names for property tests: shell, options, markup, formulas, terminal sequences and invisible characters."""

from hypothesis import strategies as st

HOSTILE = (
    "--api-key",
    "-x",
    "a=b",
    "a,b",
    "two words",
    " ",
    "'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "a & touch pwned #",
    '"$ADAPTERS"',
    "back\\slash\\",
    "../../etc/passwd",
    "*",
    "~",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "<!--",
    "]]>",
    "{{ 7 * 7 }}",
    "%{y}",
    "[bold]x[/bold]",
    "[/red]",
    ":smile:",
    "=1+2",
    "+1",
    "@SUM(A1)",
    "null",
    "yes",
    "1:30",
    "- a",
    "a: b",
    "#x",
    "&a",
    "!!int 1",
    "ünïcode",
    "日本語",
    "right\u202eleft",
    "zero\u200bwidth",
    "\ufeffmark",
    "\ufffe",
    "x\u3164y",
)
INVISIBLE = ("\u202e", "\u200b", "\ufeff", "\u2066", "\xad", "\u3164")
CONTROL = ("\x00", "\x07", "\x08", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029")

NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=2, max_size=3).map("".join),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20),
)
