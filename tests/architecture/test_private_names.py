"""Names that other libraries do not promise to keep are used in one file alone.

Imports are looked at here; attributes that begin with an underscore are ruff's rule
SLF001, whose exceptions are counted.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("lowmem", "lowmem_jobs", "__future__")
# Where private names may be used: each of its names has a test of its own.
PLACES = {"lowmem/training/keras_private.py"}
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


def test_private_names_of_other_libraries_are_imported_in_one_place():
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources()
        if (names := private_imports(path.read_text()))
    }
    assert set(found) == PLACES, found


def test_private_attributes_of_other_libraries_are_used_in_one_place():
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
