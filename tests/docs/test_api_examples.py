"""Every public name has an example that runs: on the page of its package, or its docstring."""

from __future__ import annotations

import ast
import doctest
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docs.site.public_names import PACKAGES, public_names

if TYPE_CHECKING:
    from collections.abc import Iterator

API = Path(__file__).parents[2] / "docs" / "reference" / "api"
_FENCE = re.compile(r"^```(py|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PARSER = doctest.DocTestParser()
_MARKS = {
    "lowmem": [pytest.mark.process, pytest.mark.keras, pytest.mark.slow],
    "lowmem.stores": [pytest.mark.process, pytest.mark.slow],
    "lowmem.testing": [pytest.mark.process, pytest.mark.slow],
    "lowmem.training": [pytest.mark.keras, pytest.mark.slow],
    "lowmem.worker": [pytest.mark.process, pytest.mark.slow],
}


def page_of(package: str) -> str:
    return (API / f"{package.rpartition('.')[2]}.md").read_text(encoding="utf-8")


def files_of(page: str) -> Iterator[tuple[str, str]]:
    """Yield the files that a page shows; a block's first line is a file's name."""
    for kind, text in _FENCE.findall(page):
        if kind == "py":
            yield text.splitlines()[0].removeprefix("# "), text


def typed(page: str) -> list[doctest.Example]:
    """Return what a page types at the prompt."""
    texts = [text for kind, text in _FENCE.findall(page) if kind == "pycon"]
    return [example for text in texts for example in _PARSER.get_examples(text)]


def used(page: str, package: str) -> set[str]:
    """Return the names of a package that the examples of a page use, not only import."""
    sources = [text for _, text in files_of(page)]
    sources.append("".join(example.source for example in typed(page)))
    nodes = [node for text in sources for node in ast.walk(ast.parse(text))]
    imported = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    }
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    of_package = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == package
    }
    return imported & called | of_package


def without_example(package: str, page: str) -> list[str]:
    told = used(page, package)
    names = public_names(package)
    return [one.name for one in names if not (one.has_example or one.name in told)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_without_an_example(package):
    assert without_example(package, page_of(package)) == []


def test_a_name_without_an_example_is_noticed():
    page = page_of("lowmem.memory")
    assert without_example("lowmem.memory", page.replace("clean_up() ", "0 ")) == [
        "clean_up"
    ]
    assert set(without_example("lowmem.memory", "")) == {"clean_up", "read_machine"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_example_shows_a_name_that_is_not_there(package):
    assert not re.search(
        r"^(Attribute|Name|Import)Error", page_of(package), re.MULTILINE
    )


@pytest.mark.parametrize(
    "package", [pytest.param(name, marks=_MARKS.get(name, [])) for name in PACKAGES]
)
def test_the_examples_of_a_package_return_what_its_page_shows(
    package, tmp_path, monkeypatch
):
    page = page_of(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in files_of(page):
        Path(name).write_text(text)
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    assert typed(page)
    test = doctest.DocTest(typed(page), {"__name__": "page"}, package, None, 0, page)
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    assert not runner.run(test, out=told.append).failed, "".join(told)
