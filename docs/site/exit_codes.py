"""The exit codes with the errors that end in each, read from the source of the package.

Read and not imported: an error may be defined beside code that loads what no reader of
the documents has installed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "lowmem"
# The heading of the errors of one code, as `lowmem.base.errors` has them.
_HEADING = re.compile(
    r"^# --- (?P<meaning>.+?) \((?P<code>\d+)\)(?P<more>.*?) -+$", re.MULTILINE
)
_ROOT = "LowmemError"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """One exit code.

    Attributes
    ----------
    name
        Of the constant.
    errors
        Name and first sentence of each error that ends in it.
    """

    code: int
    name: str
    meaning: str
    errors: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Error:
    name: str
    bases: tuple[str, ...]
    told: str
    constant: str
    is_carrier: bool


def exit_codes(package: Path = PACKAGE) -> tuple[ExitCode, ...]:
    """Return every exit code that the package defines, the smallest first.

    Raises
    ------
    LookupError
        If a code has no heading that says what it means.
    """
    text = (package / "base" / "errors.py").read_text(encoding="utf-8")
    codes = {
        name: int(code)
        for name, code in re.findall(r"^(EXIT_\w+) = (\d+)$", text, re.MULTILINE)
    }
    meanings = {0: "done"} | {
        int(m["code"]): m["meaning"] + m["more"] for m in _HEADING.finditer(text)
    }
    lacking = sorted(set(codes.values()) - set(meanings))
    if lacking:
        raise LookupError(
            f"exit codes {lacking} have no heading in {package}/base/errors.py"
        )
    errors = [error for error in _errors(package) if not error.is_carrier]
    known = {error.name: error for error in _errors(package)}
    return tuple(
        ExitCode(
            code=code,
            name=name,
            meaning=meanings[code],
            errors=tuple(
                (error.name, error.told)
                for error in errors
                if _constant_of(error, known) == name
            ),
        )
        for name, code in sorted(codes.items(), key=lambda item: item[1])
    )


def carriers(package: Path = PACKAGE) -> tuple[tuple[str, str], ...]:
    """Return the errors that are given a code: that of what they tell of."""
    return tuple((e.name, e.told) for e in _errors(package) if e.is_carrier)


def _constant_of(error: _Error, known: dict[str, _Error]) -> str:
    if error.constant:
        return error.constant
    return next(
        _constant_of(known[base], known) for base in error.bases if base in known
    )


@cache
def _errors(package: Path) -> list[_Error]:
    """Return all errors of lowmem's own, by name."""
    files = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    found = {
        node.name: _error(node)
        for text in files
        if re.search(r"^class \w+Error\(", text, re.MULTILINE)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }

    def is_own(error: _Error) -> bool:
        return any(
            base == _ROOT or (base in found and is_own(found[base]))
            for base in error.bases
        )

    root = found[_ROOT]
    own = [error for error in found.values() if error is root or is_own(error)]
    return sorted(own, key=lambda error: error.name)


def _error(node: ast.ClassDef) -> _Error:
    constants = [
        ast.unparse(statement.value)
        for statement in node.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and statement.value is not None
        and "exit_code" in ast.unparse(statement).split("=")[0]
    ]
    is_carrier = any(
        isinstance(statement, ast.Assign)
        and ast.unparse(statement.targets[0]) == "self.exit_code"
        for statement in ast.walk(node)
    )
    told = (ast.get_docstring(node) or "").split("\n\n")[0]
    return _Error(
        name=node.name,
        bases=tuple(ast.unparse(base) for base in node.bases),
        told=" ".join(told.split()).replace("``", "`"),
        constant=constants[0] if constants else "",
        is_carrier=is_carrier,
    )
