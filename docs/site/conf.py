"""How Sphinx makes the site: ``make docs``.

The pages are those of docs/, as they lie. Where a page has a mark such as
``<!-- site: findings -->``, the site shows there what follows from other files; who reads
the page where the code lies sees none of it. A link to the README leads to the front page,
which is made of it. Nothing of lowmem is imported.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from docs.site.api_text import api_text  # noqa: E402 - found by the line above
from docs.site.definition_lists import with_plain_signatures  # noqa: E402
from docs.site.sources import findings_text, notebooks_text  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

    from sphinx.application import Sphinx

project = "lowmem"
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
version = release = _PROJECT["project"]["version"]

extensions = ["myst_parser"]
exclude_patterns = ["site"]
# As GitHub makes them.
myst_heading_anchors = 4
# A name in single quotes of a docstring: linked where it is public, else code.
default_role = "py:obj"
add_module_names = False
maximum_signature_line_length = 88
python_display_short_literal_types = True
highlight_language = "none"
smartquotes = False

html_theme = "furo"
html_title = f"lowmem {version}"
html_copy_source = False
html_show_sourcelink = False
# A search result's first lines are fetched, which a browser refuses to pages of a disk.
html_show_search_summary = False
html_static_path = ["static"]
html_js_files = ["scrolled.js"]
html_css_files = ["signatures.css"]

_TEXTS = {"findings": findings_text, "notebooks": notebooks_text}


def setup(app: Sphinx) -> None:
    """Fill the marks of a page before it is read, and mend what the theme made of it."""
    app.connect("source-read", _fill)
    # After the theme, which makes the navigation at the usual 500.
    app.connect("html-page-context", _level_headings, priority=900)
    app.connect("html-page-context", _list_parameters, priority=900)


def _fill(app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = re.sub(r"\]\(\.\./((?:\.\./)*)README\.md", r"](\1index.md", source[0])
    before, mark, rest = source[0].partition("<!-- site: ")
    if not mark:
        return
    words, _, after = rest.partition(" -->")
    kind, _, package = words.partition(" ")
    text = api_text(package, app) if kind == "api" else _TEXTS[kind]()
    source[0] = f"{before}{text}{after}"


def _level_headings(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object
) -> None:
    """Give the captions of the navigation a level: Sphinx calls them headings of none."""
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def _list_parameters(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object
) -> None:
    """Make a signature of several lines a list of its parameters."""
    # A page that is made of a template alone, as of the search, has none.
    if "body" in context:
        context["body"] = with_plain_signatures(context["body"])
