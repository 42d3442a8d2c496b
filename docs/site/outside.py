"""Find what a page of the site would load from elsewhere: ``python -m docs.site.outside``.

Links that a reader may follow are no matter; scripts, styles, fonts and pictures that a
browser asks for unasked are.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Which attribute of which element a browser follows by itself.
_LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# A link of these kinds is for who asks, not for the browser.
_MEANT_FOR_OTHERS = {
    "canonical",
    "author",
    "license",
    "next",
    "prev",
    "index",
    "search",
}
_STYLE = re.compile(
    r"""(?:url\(|@import)\s*['"]?\s*((?:https?:)?//[^'")\s]+)""", re.IGNORECASE
)
# First, or after a comma, as in a set of pictures.
_ADDRESS = re.compile(r"(?:^|,)\s*(?:https?:)?//", re.IGNORECASE)
# What a script can ask for by itself.
_SCRIPT = re.compile(
    r"""(?:fetch|import|importScripts|open|WebSocket|EventSource|sendBeacon|src\s*=)"""
    r"""\s*\(?\s*['"`](?:GET['"`],\s*['"`])?((?:https?:|wss?:)?//[^'"`\s]+)"""
)


def outside(folder: Path) -> list[str]:
    """Return ``file: address`` of everything that a built site loads from elsewhere."""
    found = []
    for path in sorted(folder.rglob("*")):
        find = _FINDERS.get(path.suffix)
        if find is not None:
            text = path.read_text(encoding="utf-8")
            found += [
                f"{path.relative_to(folder)}: {address}" for address in find(text)
            ]
    return found


class _Page(HTMLParser):
    """Gathers the addresses that one page loads, those of its own styles too."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._within = tag if tag in {"script", "style"} else ""
        self.found += _STYLE.findall(given.get("style", ""))
        if set(given.get("rel", "").split()) & _MEANT_FOR_OTHERS:
            return
        values = [given[name] for name in _LOADING.get(tag, ()) if name in given]
        self.found += [value for value in values if _ADDRESS.search(value)]

    def handle_endtag(self, _tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "style":
            self.found += _STYLE.findall(data)
        if self._within == "script":
            self.found += _SCRIPT.findall(data)


def _of_page(text: str) -> list[str]:
    page = _Page()
    page.feed(text)
    return page.found


_FINDERS: dict[str, Callable[[str], list[str]]] = {
    ".css": _STYLE.findall,
    ".html": _of_page,
    ".js": _SCRIPT.findall,
    ".svg": _of_page,
}


def main() -> None:
    """End with 1 where a page loads anything from elsewhere."""
    folder = Path(sys.argv[1])
    found = outside(folder)
    if found:
        sys.exit("\n".join(["pages load from elsewhere:", *found]))
    n_pages = len(list(folder.rglob("*.html")))
    if not n_pages:
        sys.exit(f"{folder} holds no page, expected a built site.")
    print(f"{folder}: {n_pages} pages, none loads anything from elsewhere")


if __name__ == "__main__":
    main()
