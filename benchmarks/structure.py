"""How many concepts the code has, at any commits, side by side.

    python benchmarks/structure.py                  # the files as they stand
    python benchmarks/structure.py v0.1 HEAD        # two commits

What is counted, in `lowmem/` and `jobs/`:

- code: lines without blanks, comments and docstrings.
- names twice: names of modules that two or more files have, and how many files those are;
  `job` and `work`, the two files of every job, are left out.
- circles: groups of modules that import each other, directly or not, what is imported
  for types alone included; and how many modules those are.
- folds: functions and classes that tell three or more kinds of journal records apart,
  beside the records' own module.
- watch loops: functions that ask when the next reading of memory is due.
- starts: modules that import what starts processes.
- makers of pipes: modules that make pipes or pairs of sockets to other processes.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
TREES = ("lowmem", "jobs")
RECORDS = {
    "JobBegun", "RunBegun", "AttemptBegun", "CycleEnded", "JobEnded", "Incident",
    "Mirrored", "Noted",
}  # fmt: skip
PAIRED = {"job", "work"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Module:
    """One file, parsed."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text)

    @property
    def last(self) -> str:
        """Its own name, without its package's."""
        return self.name.rpartition(".")[2]

    @cached_property
    def n_code(self) -> int:
        """Lines of code."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.string.strip() and token.type != tokenize.COMMENT:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Module, *DEFINITIONS)) and ast.get_docstring(node):
                lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        return len(lines)

    def imports(self) -> Iterator[str]:
        """Yield the full names of what it imports, at its top or within."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_at(ref: str | None) -> list[Module]:
    """Return the modules of a commit; of the files as they stand, if None."""
    if ref is None:
        return _modules_in(ROOT)
    packed = subprocess.run(
        ["git", "archive", ref, *TREES],  # noqa: S607 - git, wherever it is
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        return _modules_in(Path(folder))


def _modules_in(root: Path) -> list[Module]:
    found = []
    for tree in TREES:
        for path in sorted((root / tree).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[1:] if tree == "jobs" else parts)
            text = path.read_text(encoding="utf-8")
            found.append(Module(name.removesuffix(".__init__"), text))
    return found


def names_twice(modules: Sequence[Module]) -> tuple[int, int]:
    """Return how many names two or more modules have, and how many modules those are."""
    packages = _packages(modules)
    own = [m.last for m in modules if m.name not in packages and m.last != "__main__"]
    counts = Counter(name for name in own if name not in PAIRED)
    many = [n for n in counts.values() if n > 1]
    return len(many), sum(many)


def _packages(modules: Sequence[Module]) -> set[str]:
    return {m.name.rpartition(".")[0] for m in modules} - {""}


def circles(modules: Sequence[Module]) -> list[list[str]]:
    """Return the groups of modules each of which imports all others in the end."""
    names = {m.name for m in modules} - _packages(modules)
    graph = {m.name: names.intersection(m.imports()) - {m.name} for m in modules}
    reached = {name: _reached(name, graph) for name in sorted(names)}
    groups = {
        tuple(sorted(n for n in reached[name] if name in reached[n])) for name in names
    }
    return [list(group) for group in sorted(groups) if group]


def _reached(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return what a module imports, directly or not; itself where it is in a circle."""
    found: set[str] = set()
    todo = [name]
    while todo:
        fresh = graph[todo.pop()] - found
        found |= fresh
        todo += fresh
    return found


def folds(modules: Sequence[Module]) -> list[str]:
    """Return the functions and classes that tell three kinds of records apart."""
    return [
        f"{module.name}.{node.name}"
        for module in modules
        if module.last != "records"
        for node in module.tree.body
        if isinstance(node, DEFINITIONS) and len(_told_apart(node)) > 2
    ]


def _told_apart(definition: ast.AST) -> set[str]:
    kinds: set[str] = set()
    for node in ast.walk(definition):
        named: ast.AST | None = None
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            named = node.args[1]
        elif isinstance(node, ast.MatchClass):
            named = node.cls
        if named is not None:
            names = {n.id for n in ast.walk(named) if isinstance(n, ast.Name)}
            kinds |= names & RECORDS
    return kinds


def callers(modules: Sequence[Module], *called: str) -> list[str]:
    """Return the modules that call a function or method of one of these names."""
    return [
        module.name
        for module in modules
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func).endswith(called)
            for node in ast.walk(module.tree)
        )
    ]


def counts_of(modules: Sequence[Module]) -> dict[str, str]:
    """Return all counts as texts, by what is counted."""
    names, files = names_twice(modules)
    found = circles(modules)
    largest = max(modules, key=lambda m: m.text.count("\n"))
    classes = (n for m in modules for n in ast.walk(m.tree))
    starts = {"subprocess", "multiprocessing"}
    return {
        "packages": f"{len(_packages(modules))}",
        "modules": f"{len(modules)}",
        "classes": f"{sum(isinstance(node, ast.ClassDef) for node in classes)}",
        "lines of code": f"{sum(m.n_code for m in modules):,}",
        "  in lowmem": _code_below(modules, "lowmem"),
        "  in jobs": _code_below(modules, "lowmem_jobs"),
        "largest file": f"{largest.text.count(chr(10))} ({largest.name})",
        "names twice": f"{names} ({files} files)",
        "circles": f"{len(found)} ({sum(map(len, found))} modules)",
        "folds": f"{len(folds(modules))}",
        "watch loops": f"{len(callers(modules, '.next_interval_s'))}",
        "starts": f"{sum(not starts.isdisjoint(m.imports()) for m in modules)}",
        "makers of pipes": f"{len(callers(modules, 'os.pipe', 'socketpair'))}",
    }


def _code_below(modules: Sequence[Module], package: str) -> str:
    own = (m for m in modules if m.name.partition(".")[0] == package)
    return f"{sum(m.n_code for m in own):,}"


def main() -> None:
    """Print the counts of each commit in a column."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "refs", nargs="*", help="commits; none: the files as they stand"
    )
    parser.add_argument("--list", action="store_true", help="name what is counted")
    arguments = parser.parse_args()
    columns = {
        ref or "as it stands": modules_at(ref) for ref in arguments.refs or [None]
    }
    tables = {title: counts_of(modules) for title, modules in columns.items()}
    width = max(24, *(len(title) + 2 for title in tables))
    print(" " * 18 + "".join(f"{title:>{width}}" for title in tables))
    for row in next(iter(tables.values())):
        cells = "".join(f"{table[row]:>{width}}" for table in tables.values())
        print(f"{row:<18}{cells}")
    if arguments.list:
        for title, modules in columns.items():
            _list(title, modules)


def _list(title: str, modules: Sequence[Module]) -> None:
    packages = _packages(modules)
    own = [m for m in modules if m.name not in packages and m.last not in PAIRED]
    by_name = Counter(m.last for m in own if m.last != "__main__")
    print(f"\n{title}")
    for name in sorted(name for name, n in by_name.items() if n > 1):
        print(f"  twice: {', '.join(m.name for m in own if m.last == name)}")
    for circle in circles(modules):
        print(f"  circle: {', '.join(circle)}")
    print(f"  folds: {', '.join(folds(modules))}")
    print(f"  watch loops: {', '.join(callers(modules, '.next_interval_s'))}")


if __name__ == "__main__":
    sys.exit(main())
