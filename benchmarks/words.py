"""How long the sentences of the README and of every page are.

    python benchmarks/words.py                       # the README and docs/
    python benchmarks/words.py --list docs/exec.md   # each sentence, longest first

Left out: blocks of code, tables, headings and pictures. Code within a sentence counts as one
word, and so does a link's address. An item of a list begins a sentence; a label of one or two
words (`**Time.**`) is none.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# Written by `make matrix`.
GENERATED = ("docs/support.md", "docs/input-cases.md")
SHORTEST = 3  # words: below it is a label


class Lengths(NamedTuple):
    """The sentences of one page: how many, and their words."""

    count: int
    median: float
    longest: int


def pages() -> list[str]:
    """Return the names of all pages below the root, but the generated one."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if name not in GENERATED]


def prose(text: str) -> str:
    """Return the text without blocks, tables, headings and the marks of Markdown."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "\n", text)
    text = re.sub(r"(?m)^ *(\||#|!\[).*$", "\n", text)
    text = re.sub(r"``.+?``|`[^`]*`", "Code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return text.replace("**", "").replace("*", "")


def sentences(text: str) -> list[str]:
    """Return the sentences of a page, each on one line."""
    paragraphs = re.split(r"\n\s*\n|\n(?= *(?:-|\d+\.) )", prose(text))
    found = [
        " ".join(sentence.split())
        for paragraph in paragraphs
        for sentence in re.split(r"""(?<=[^.][.?!])[)"]*\s+""", paragraph)
    ]
    return [sentence for sentence in found if n_words(sentence) >= SHORTEST]


def n_words(sentence: str) -> int:
    """Return how many words a sentence has; marks that stand alone are none."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def lengths(text: str) -> Lengths:
    """Return how long the sentences of a page are."""
    each = [n_words(sentence) for sentence in sentences(text)]
    return Lengths(len(each), median(each), max(each))


def main() -> None:
    """Print one line a page, or the sentences of some pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="all pages, if none is named")
    parser.add_argument("--list", action="store_true", help="show the sentences")
    given = parser.parse_args()
    print(f"{'sentences':>9} {'median':>7} {'longest':>8}")
    for name in given.pages or pages():
        text = (ROOT / name).read_text(encoding="utf-8")
        found = lengths(text)
        print(f"{found.count:9} {found.median:7} {found.longest:8}  {name}")
        if given.list:
            for sentence in sorted(sentences(text), key=n_words, reverse=True):
                print(f"{n_words(sentence):9} {sentence}")


if __name__ == "__main__":
    main()
