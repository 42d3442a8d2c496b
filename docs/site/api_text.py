"""The public names of a package as the site shows them, in Sphinx' own markup."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from sphinx.ext.napoleon import Config, NumpyDocstring

from docs.site.public_names import public_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

    from docs.site.public_names import Entry

# Sphinx' own title of such a section is Variables.
_CONFIG = Config(
    napoleon_use_rtype=False, napoleon_custom_sections=[("Attributes", "params_style")]
)


def api_text(package: str, app: Sphinx) -> str:
    """Return a block of reStructuredText within Markdown.

    Parameters
    ----------
    app
        Translates the titles of a docstring's sections.
    """
    lines = [
        line for entry in public_names(package) for line in _lines(entry, package, app)
    ]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def _lines(entry: Entry, package: str, app: Sphinx) -> Iterator[str]:
    if entry.kind in {"data", "property"}:
        yield f".. py:{entry.kind}:: {entry.name}"
        option = "value" if entry.kind == "data" else "type"
        yield f"   :{option}: {entry.signatures[0]}"
    else:
        first, *others = (f"{entry.name}{signature}" for signature in entry.signatures)
        yield f".. py:{entry.kind}:: {first}"
        yield from (f"{' ' * len(f'.. py:{entry.kind}:: ')}{other}" for other in others)
    yield from (f"   :{flag}:" for flag in entry.flags if flag != "contextmanager")
    if entry.kind not in {"method", "property"}:
        yield f"   :module: {package}"
    yield ""
    yield from _indented(_told(entry, app))
    for member in entry.members:
        yield from _indented("\n".join(_lines(member, package, app)))


def _told(entry: Entry, app: Sphinx) -> str:
    text = entry.text
    if "contextmanager" in entry.flags:
        text += "\n\nUsed as a context manager, in a ``with`` statement."
    return str(NumpyDocstring(text, _CONFIG, app, entry.kind, entry.name))


def _indented(text: str) -> Iterator[str]:
    yield from textwrap.indent(text, "   ").splitlines()
    yield ""
