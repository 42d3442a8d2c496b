"""What authors of jobs import: named once, light to import, and enough for our own jobs."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.architecture.test_boundaries import loaded_by

ROOT = Path(__file__).parents[2]
PUBLIC = (
    "lowmem",
    "lowmem.base",
    "lowmem.mapping",
    "lowmem.memory",
    "lowmem.stores",
    "lowmem.testing",
    "lowmem.training",
    "lowmem.worker",
)
JOBS = sorted((ROOT / "jobs").rglob("*.py"))


def package_file(package):
    return ROOT.joinpath(*package.split("."), "__init__.py")


def imported(tree):
    """Yield (module, name) of each import of lowmem's, those for a type checker too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name


def not_public(text):
    """Return what code imports of lowmem that is not public."""
    return [
        f"{module}: {name}"
        for module, name in imported(ast.parse(text))
        if module.split(".")[0] == "lowmem"
        and (module not in PUBLIC or name not in import_module(module).__all__)
    ]


@pytest.mark.parametrize("path", JOBS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_built_in_job_imports_public_names_alone(path):
    assert not_public(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "from lowmem.stores.row_reader import RowReader",
        "from lowmem.stores import row_reader",
        "from lowmem.protocol import job",
        "import lowmem.stores.row_reader",
        "if TYPE_CHECKING:\n    from lowmem.worker.job_context import WorkerContext",
        "def f():\n    from lowmem import cli",
    ],
)
def test_an_import_of_what_is_not_public_is_seen(line):
    assert not_public(line)


@pytest.mark.parametrize("package", PUBLIC)
def test_a_public_package_names_each_name_once_and_where_it_is_defined(package):
    tree = ast.parse(package_file(package).read_text())
    for_types = {
        name: module
        for module, name in imported(tree)
        if module.startswith("lowmem.") and module != "lowmem.base.lazy"
    }
    (table,) = (n for n in ast.walk(tree) if isinstance(n, ast.Dict))
    on_use = {
        name: module
        for module, names in ast.literal_eval(table).items()
        for name in names
    }
    # What IPython asks for is nobody's to import.
    on_use.pop("load_ipython_extension", None)
    assert on_use == for_types
    assert sorted(on_use) == sorted(import_module(package).__all__)


@pytest.mark.parametrize("package", [p for p in PUBLIC if p != "lowmem.training"])
def test_every_public_name_loads_and_another_is_refused(package):
    module = import_module(package)
    for name in module.__all__:
        # Keras has tests of its own.
        if name not in {"ExactResume", "ZarrSequence", "fit"}:
            assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018 - reading it is the test


@pytest.mark.process
@pytest.mark.slow
def test_importing_the_public_packages_and_asking_a_store_loads_no_array_library():
    asked = (
        "from lowmem import Job, Option, Calibration; "
        "from lowmem.base import DataError, sync_file; "
        "from lowmem.memory import read_machine; "
        "from lowmem.stores import fingerprint, images_to_use, plan_reading; "
        "from lowmem.worker import Helper"
    )
    assert loaded_by(f"import {', '.join(PUBLIC)}; {asked}") == []


def test_the_page_for_authors_names_the_public_names_and_no_others():
    page = (ROOT / "docs" / "jobs.md").read_text()
    rows = re.findall(r"^\| `(lowmem[.\w]*)` \|[^|]*\| (.*) \|$", page, re.MULTILINE)
    named = {package: re.findall(r"`(\w+)`", names) for package, names in rows}
    assert named == {package: import_module(package).__all__ for package in PUBLIC}


def test_a_notebook_completes_public_names_before_they_are_loaded():
    for package in PUBLIC:
        module = import_module(package)
        assert set(module.__all__) <= set(dir(module)), package
