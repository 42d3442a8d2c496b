"""Names that other libraries do not promise to keep are used in one file alone.

Imports are looked at here; attributes that begin with an underscore are ruff's rule
SLF001, whose exceptions are counted.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("lowmem", "lowmem_jobs", "__future__")
# Where private names may be used: each of its names has a test of its own.
PLACES = {
    "jobs/lowmem_jobs/ingest/pillow_private.py",
    "lowmem/training/keras_private.py",
}
# Parts of public packages that their projects call internal.
INTERNAL = (
    "keras.src",
    "zarr.core",
    "numpy.core",
    "tensorflow.python",
    "jax.interpreters",
)


def sources():
    for folder in ("lowmem", "jobs/lowmem_jobs"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def private_imports(text: str) -> list[str]:
    """Return the private modules and names that code imports when it runs."""
    found = []
    for node in _when_run(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [name for name in names if _is_private(name)]
    return found


def _when_run(tree: ast.AST):
    """Yield all nodes but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _when_run(node)


def _is_private(name: str) -> bool:
    if name.split(".", maxsplit=1)[0] in OURS:
        return False
    has_underscore = any(part.startswith("_") for part in name.split("."))
    return has_underscore or name.startswith(tuple(f"{part}." for part in INTERNAL))


def test_private_names_of_other_libraries_are_imported_in_one_place_each():
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources()
        if (names := private_imports(path.read_text()))
    }
    assert set(found) == PLACES, found


def test_private_attributes_of_other_libraries_are_used_in_one_place_each():
    """What else is excused by ruff's comment is documented, or of the same class."""
    excused = [
        f"{path.relative_to(ROOT).as_posix()}: {line.strip()}"
        for path in sources()
        for line in path.read_text().splitlines()
        if "noqa: SLF001" in line and path.relative_to(ROOT).as_posix() not in PLACES
    ]
    others = [
        line
        for line in excused
        if not any(
            word in line for word in ("sys._", "self._outer._", "other._take_rows")
        )
    ]
    assert others == []


def inherited(text: str, ours: set[str]) -> list[str]:
    """Return the private attributes that code reads of itself and nobody of us defines."""
    return sorted(
        {
            node.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and _is_of_itself(node.value)
            and re.match(r"_[a-z]", node.attr)
            and node.attr not in ours
        }
    )


def _is_of_itself(value: ast.expr) -> bool:
    if isinstance(value, ast.Name):
        return value.id in {"self", "cls"}
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "super"


def defined(text: str) -> set[str]:
    """Return the private names that code gives to attributes, methods and fields."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if name.startswith("_")}


def test_private_attributes_of_a_base_class_elsewhere_are_not_used():
    """Ruff lets `self._x` pass, whoever defines it."""
    texts = {path: path.read_text() for path in sources()}
    ours = set().union(*(defined(text) for text in texts.values()))
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path, text in texts.items()
        if (names := inherited(text, ours))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("def f(self): return self._variables", ["_variables"]),
        ("def f(self): return super()._variables", ["_variables"]),
        ("def f(self): return super().variables", []),
        ("def f(self): return self.__dict__", []),
        ("def f(self): self._own = 1; return self._own", []),
    ],
)
def test_a_private_attribute_of_a_base_class_is_seen(line, seen):
    assert inherited(line, defined(line)) == seen


@pytest.mark.parametrize(
    "line",
    [
        "from keras.src.random.seed_generator import global_seed_generator",
        "import zarr.core.metadata",
        "def f():\n    from zarr.core.metadata import ArrayV2Metadata",
        "from numpy._core import multiarray",
        "from psutil import _common",
    ],
)
def test_a_private_import_is_seen(line):
    assert private_imports(line)


@pytest.mark.parametrize(
    "line",
    [
        "from keras import layers",
        "if TYPE_CHECKING:\n    from zarr.core.metadata import ArrayV2Metadata",
        "from lowmem.base import files",
        "from __future__ import annotations",
    ],
)
def test_a_public_import_is_let_pass(line):
    assert private_imports(line) == []
