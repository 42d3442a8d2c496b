"""Definition lists as HTML has them: ``python -m docs.site.definition_lists build/site``.

A reader's software tells of such a list by its terms. So each group is a term (dt) or more
and then what is said of it (dd), and nothing else is in a list, see the HTML standard, 4.4.9.
Sphinx writes a signature of several lines as a list without any term: that is made a plain
list.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Parameters hold no list of their own.
_SIGNATURE = re.compile(r"<dl>(\s*(?:<dd>.*?</dd>\s*)+)</dl>", re.DOTALL)
_ITEM = re.compile(r"(</?)dd>")
_ALONE = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)
# They may stand anywhere, and show nothing.
_UNSEEN = frozenset({"script", "template"})


def with_plain_signatures(html: str) -> str:
    """Return a page on which the parameters of a signature are the items of a list.

    Examples
    --------
    >>> with_plain_signatures("<dl><dd>a: int,</dd><dd>b</dd></dl>")
    '<ul class="sig-lines"><li>a: int,</li><li>b</li></ul>'
    >>> with_plain_signatures("<dl><dt>a</dt><dd>b</dd></dl>")
    '<dl><dt>a</dt><dd>b</dd></dl>'
    """

    def plain(found: re.Match[str]) -> str:
        items = _ITEM.sub(r"\1li>", found[1])
        return f'<ul class="sig-lines">{items}</ul>'

    return _SIGNATURE.sub(plain, html)


def faults(html: str) -> list[str]:
    """Return what is wrong with the definition lists of a page, a line each.

    Examples
    --------
    >>> faults("<dl><dt>a</dt><dt>b</dt><dd>c</dd><dd>d</dd></dl>")
    []
    >>> faults("<dl><dd>a</dd></dl><dl><dt>b</dt></dl>")
    ['line 1: a list of dd', 'line 1: a list of dt']
    >>> faults("<dl><dt>a</dt><dd>b</dd><p>c</p></dl><p><dd>d</dd></p>")
    ['line 1: a list of dt dd p', 'line 1: dd in p']
    """
    page = _Page()
    page.feed(html)
    page.close()
    return page.found


class _Page(HTMLParser):
    """One page while it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        # Elements that are open, each with those that are directly in it.
        self._open: list[tuple[str, list[str]]] = [("", [])]

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        parent, within = self._open[-1]
        if tag not in _UNSEEN:
            within.append(tag)
        if tag in {"dt", "dd"} and parent not in {"dl", "div"}:
            self._say(f"{tag} in {parent}")
        if tag not in _ALONE:
            self._open.append((tag, []))

    def handle_startendtag(self, tag: str, _attrs: object) -> None:
        # As of a drawing, it is closed where it is opened.
        self._open[-1][1].append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {name for name, _ in self._open}:
            return
        while self._open[-1][0]:
            name, within = self._open.pop()
            if name == "dl" and not _is_a_list(within):
                self._say(f"a list of {' '.join(within) or 'nothing'}")
            if name == tag:
                return

    def _say(self, what: str) -> None:
        self.found.append(f"line {self.getpos()[0]}: {what}")


def _is_a_list(within: list[str]) -> bool:
    """Return whether these are groups of terms and of what is said of them, or divisions."""
    if set(within) == {"div"}:
        return True
    return re.fullmatch(r"(?:(?:dt )+(?:dd )+)+", " ".join([*within, ""])) is not None


if __name__ == "__main__":
    _site = Path(sys.argv[1])
    _found = [
        f"{path.relative_to(_site)}, {fault}"
        for path in sorted(_site.rglob("*.html"))
        for fault in faults(path.read_text(encoding="utf-8"))
    ]
    if _found:
        sys.exit("Definition lists that are none:\n" + "\n".join(_found))
    print(f"{_site}: every definition list has its terms")
