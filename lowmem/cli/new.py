"""`lowmem new`: files to begin with, in the current folder."""

from __future__ import annotations

import builtins
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Annotated

import typer

from lowmem.base.errors import UsageError
from lowmem.base.files import storage_errors
from lowmem.supervisor import planner

app = typer.Typer(
    help="Write a job to begin with, and its test.", invoke_without_command=True
)

# pytest takes a file of this name for settings.
_OF_PYTEST = "conftest"

_JOB = '''"""Sum the squares of some numbers, block by block: put your own work in its place."""

import lowmem


@lowmem.job(
    unit="rows",
    settings=[{{"held": 4}}, {{"held": 1}}],  # Memory: it must not change the result.
    outputs=["{name}.npy"],
)
def {name}(ctx, rows: int = 20_000):
    """Sum of squares."""
    import numpy as np

    numbers = np.arange(rows, dtype=float)
    at = ctx.restore(total=0.0)
    for block in ctx.blocks(numbers, rows=1_000, held=ctx.settings["held"]):
        at.total += float(np.square(block).sum())
        # All that the next block needs is in here; whatever else is held may be lost.
        yield ctx.commit(total=at.total)
    np.save(ctx.staging / "{name}.npy", at.total)
    return lowmem.Result(summary={{"total": at.total}})
'''

_JOB_TEST = '''"""Kill {name} at every commit, and compare: pytest test_{name}.py."""

from pathlib import Path

from lowmem.testing import Case, check

JOB = Path(__file__).with_name("{name}.py")


def test_{name}_is_the_same_whatever_happens_to_it(tmp_path):
    check(Case(JOB, tmp_path, options={{"rows": 6_500}}, ram="300M"))
'''

_MAP = '''"""The mean of each row: put your own function of a block of rows in its place."""

import lowmem


@lowmem.map(source="rows.npy", out="{name}.zarr")
def {name}(rows):
    """Mean of each row."""
    return rows.mean(axis=1)


if __name__ == "__main__":
    # Something to map: python {name}.py
    import numpy as np

    np.save("rows.npy", np.arange(4_000.0).reshape(1_000, 4))
'''

_MAP_TEST = '''"""Kill {name} after every call, and compare: pytest test_{name}.py."""

from pathlib import Path

import numpy as np

from lowmem.testing import Case, check

JOB = Path(__file__).with_name("{name}.py")


def some_rows(workspace):
    np.save(workspace / "rows.npy", np.random.default_rng(1).random((70, 4)))


def test_{name}_is_the_same_whatever_happens_to_it(tmp_path):
    check(Case(JOB, tmp_path, options={{"rows": 10}}, prepare=some_rows, ram="300M"))
'''


@app.callback()
def _main(context: typer.Context) -> None:
    """Write a job to begin with, and its test."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="job")
def job_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the job.")],
    is_map: Annotated[
        bool, typer.Option("--map", help="A function of rows instead of a generator.")
    ] = False,
) -> None:
    """Write NAME.py, a job that runs, and test_NAME.py, which kills it."""
    refuse_name(name, [job.name for job in planner.describe()])
    job, test = Path(f"{name}.py"), Path(f"test_{name}.py")
    for path in (job, test):
        if path.exists():
            raise UsageError(
                f"{path} is there already, expected a name that is free. Move it away, or "
                "give the job another name."
            )
    refuse_hiding(name)
    texts = (_MAP, _MAP_TEST) if is_map else (_JOB, _JOB_TEST)
    for path, text in zip((job, test), texts, strict=True):
        # Not over a file that has come meanwhile.
        with storage_errors(path), path.open("x", encoding="utf-8") as stream:
            stream.write(text.format(name=name))
    first = f"python {job} && lowmem run {job}" if is_map else f"lowmem run {job}"
    print(f"{job} and {test} are written. Next:\n  {first}\n  pytest {test}")


def refuse_name(name: str, installed: list[str]) -> None:
    """Refuse what cannot name a job and its function.

    Raises
    ------
    UsageError
        With what would do.
    """
    if name.replace("_", "-") in {*installed, "all"}:
        raise UsageError(
            f"{name} is a job already, expected a name that is none of "
            f"{', '.join([*installed, 'all'])}."
        )
    is_name = name.isidentifier() and name.isascii() and name == name.lower()
    is_taken = iskeyword(name) or hasattr(builtins, name) or name == _OF_PYTEST
    if not is_name or is_taken or name.startswith("_"):
        raise UsageError(
            f"{name!r} is no name of a job, expected lower-case letters, digits and _, "
            "beginning with a letter, and no word of Python's or pytest's own, such as "
            "word_counts."
        )


def refuse_hiding(name: str) -> None:
    """Refuse the name of a module: Python would find the job's file first.

    Raises
    ------
    UsageError
        If there is such a module.
    """
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise UsageError(
            f"{name} is a module that Python can import, expected a name that hides none."
        )
