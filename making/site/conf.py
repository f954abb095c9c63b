"""Settings of Sphinx for the documentation site; making/documentation_site.py builds it."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "adaptwin"
html_title = "adaptwin"
root_doc = "index"
extensions = ["myst_parser"]

# The pages are in GitHub's Markdown; what MyST adds to it is off.
myst_heading_anchors = 6
myst_disable_syntax = ["myst_role", "myst_target", "myst_line_comment", "myst_block_break"]
smartquotes = False

html_theme = "furo"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Tell Sphinx of a language of the pages that Pygments does not know."""
    app.add_lexer("csv", TextLexer)
