"""Tests for authors of jobs: cut a job wherever it may be cut, and compare what comes out.

`checks` says what is looked at, `case` what a test gives, `bench` runs the real command,
`subject` is the job under test as its worker has it, `differences` compares results by
value. Nothing here needs pytest: a check that fails raises an `AssertionError`.

Public, each loaded on first use: `check`, of a `Case`; `CheckError`, which it raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.testing.bench import CheckError
    from lowmem.testing.case import Case
    from lowmem.testing.checks import check

__all__ = [
    "Case",
    "CheckError",
    "check",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.testing.bench": ["CheckError"],
        "lowmem.testing.case": ["Case"],
        "lowmem.testing.checks": ["check"],
    },
)
