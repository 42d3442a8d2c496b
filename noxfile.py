"""Every supported environment: install the wheel, run the whole path and tests, tabulate.

`make matrix` runs each row of `tests/matrix/rows.py` and writes `docs/support.md`;
`make matrix-short` runs Colab's newest in the short form that CI takes. A row begins with an
empty environment; a Python that is not on this machine is said to be missing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))
from tests.matrix import table  # noqa: E402 - found by the line above
from tests.matrix.compare import differences  # noqa: E402
from tests.matrix.rows import REFERENCE, ROWS, Row, oldest  # noqa: E402

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [*(f"matrix-{row.name}" for row in ROWS), "ipythons"]

RESULTS = ROOT / ".nox" / "results"
# Of what Colab has: what lowmem needs, and what a notebook runs in.
COLAB_HAS = (
    "tensorflow", "jax", "keras", "numpy", "scipy", "scikit-learn", "matplotlib",
    "pillow", "psutil", "fsspec", "tqdm", "typer", "jinja2", "pyyaml", "google-crc32c",
    "threadpoolctl", "ipython", "ipykernel",
)  # fmt: skip
TOOLS = (
    "pytest>=9", "pytest-timeout", "hypothesis", "nbclient", "ipykernel", "pyte",
)  # fmt: skip
# Stores, reader, training, analysis, notebooks; and what each backend is told and reads.
TESTS = (
    "tests/unit/test_backends.py",
    "tests/unit/test_batches.py",
    "tests/unit/test_stores_rows.py",
    "tests/unit/test_training_sequence.py",
    "tests/unit/test_stacks.py",
    "tests/properties/test_stats_laws.py",
    "tests/properties/test_paths.py",
    "tests/contracts/test_training_resume.py",
    "tests/contracts/test_analyze.py",
    "tests/processes/test_backends.py",
    "tests/processes/test_inline.py",
    "tests/processes/test_inline_notebook.py",
)
# What releases of others deprecate among each other, an old list with a new one, is no
# fault; `make test`, on the newest, takes it for one.
# Zarr 3.1.0 warns of text, whose codec had no page in the format yet.
WARNINGS = (
    *("-W", "default::DeprecationWarning", "-W", "default::FutureWarning"),
    *("-W", "default:The codec:UserWarning"),
    # JAX has no labels of 64 bits, and says so.
    *("-W", "default:Explicitly requested dtype:UserWarning"),
)
SEEN = "tests/golden/test_sessions.py::test_what_is_seen_is_what_is_kept"
# What is seen of cells must be the same on every release of IPython.
CELLS_SEEN = (f"{SEEN}[jupyter-jupyter]", f"{SEEN}[ipython-ipython]")
NOTEBOOKS = ("tests/notebooks", "tests/docs/test_colab.py", *CELLS_SEEN)
FIT = ("tests/contracts/test_fit.py", "tests/contracts/test_fit_refused.py")
SHORT_TESTS = ("tests/unit/test_batches.py", "tests/processes/test_inline_notebook.py")
SHORT = "colab-2026-08-cpu"
# The ends of what is promised, 7.34 and the newest, are in the rows; these lie between.
IPYTHONS = ("8.5.0", "8.12.3", "8.31.0", "9.0.2")


def interpreter(version: str) -> str:
    """Return a Python of a version that pyenv keeps, or its name on the path."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = home.glob(f"{version}.*/bin/python{version}")
    newest = max(kept, key=lambda path: _numbers(path.parts[-3]), default=None)
    return f"python{version}" if newest is None else str(newest)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def wheel(session: nox.Session, row: Row) -> Path:
    """Build the wheel by this program's own Python; return it. Rows may run side by side."""
    folder = RESULTS / f"{row.name}-dist"
    shutil.rmtree(folder, ignore_errors=True)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), "."]
    session.run(*build, external=True, silent=True)
    return next(folder.glob("lowmem-*.whl"))


def freeze(session: nox.Session) -> set[str]:
    """Return what is installed, as ``name==version`` lines."""
    text = session.run("python", "-m", "pip", "freeze", silent=True)
    return {line for line in str(text).splitlines() if "==" in line}


def install(session: nox.Session, row: Row) -> None:
    """Install what is there before, then the wheel as a user does.

    A wheel that changes a package that was there ends the session.
    """
    if row.before is not None:
        text = row.before.read_text().lower()
        names = [name for name in COLAB_HAS if f"\n{name}==" in text]
        session.install("-c", str(row.before), *names)
    before = freeze(session)
    limits = RESULTS / f"{row.name}-limits.txt"
    limits.write_text("\n".join(_limits(row)))
    within = ("-c", str(limits)) if limits.stat().st_size else ()
    extra = f"[{row.backend}]" if row.backend else ""
    session.install(f"{wheel(session, row)}{extra}", *within)
    changed = before - freeze(session)
    if changed:
        session.error(f"installing lowmem changed {', '.join(sorted(changed))}")
    there = RESULTS / f"{row.name}-freeze.txt"
    there.write_text("\n".join(sorted(freeze(session))))
    session.install("-c", str(there), *TOOLS, *row.tools)


def _limits(row: Row) -> list[str]:
    if row.is_oldest:
        return oldest(row.backend or "tensorflow")
    if row.like is None:
        return []
    lines = (RESULTS / f"{row.like}-freeze.txt").read_text().splitlines()
    # This one's releases differ by Python; the others compute.
    return [line for line in lines if not line.startswith(("zarr==", "numcodecs=="))]


def leave_checkout(session: nox.Session) -> None:
    """Go where the installed lowmem is the only one, with a copy of the tests."""
    place = Path(session.create_tmp()).resolve()
    for name in ("tests", "docs", "colab", "pyproject.toml"):
        item = ROOT / name
        copy = shutil.copytree if item.is_dir() else shutil.copy
        copy(item, place / name, **({"dirs_exist_ok": True} if item.is_dir() else {}))
    session.chdir(place)


def run(session: nox.Session, row: Row, tests: tuple[str, ...], name: str = "") -> None:
    """Do all that a row asks for, away from the checkout, and keep what was found.

    Under ``name`` where it is not the row's whole form.
    """
    began = time.monotonic()
    RESULTS.mkdir(parents=True, exist_ok=True)
    install(session, row)
    folder = RESULTS / (name or row.name)
    shutil.rmtree(folder, ignore_errors=True)
    leave_checkout(session)
    session.run("python", "-m", "tests.matrix.whole_path", "run", str(folder))
    # As `make test` does it: those that fork a program do so from one without Keras.
    for marks in ("not alone", "alone"):
        session.run("python", "-m", "pytest", "-q", *WARNINGS, "-m", marks, *tests)
    facts = json.loads((folder / "facts.json").read_text())
    facts |= {"minutes": round((time.monotonic() - began) / 60, 1), "tests": len(tests)}
    facts["commit"] = str(
        session.run("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD",
                    external=True, silent=True)
    ).strip()  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


def _declare(row: Row) -> None:
    def matrix(session: nox.Session) -> None:
        more = (
            *(NOTEBOOKS if row.has_notebooks else ()),
            *(FIT if row.has_fit else ()),
        )
        run(session, row, (*TESTS, *more))

    matrix.__doc__ = f"{row.name}: Python {row.python}."
    nox.session(matrix, python=interpreter(row.python), name=f"matrix-{row.name}")


for _row in ROWS:
    _declare(_row)


@nox.session(python=interpreter("3.13"))
def colab(session: nox.Session) -> None:
    """Colab's newest, in short: five jobs, one SIGKILL, cells under a budget."""
    row = next(row for row in ROWS if row.name == SHORT)
    run(session, row, SHORT_TESTS, name="short")


@nox.session(python=interpreter("3.12"))
def ipythons(session: nox.Session) -> None:
    """Cells under a budget on releases of IPython between the oldest and the newest."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    row = Row(name="ipythons", python="3.12", backend=None)
    session.install(wheel(session, row), *TOOLS)
    leave_checkout(session)
    for version in IPYTHONS:
        session.install(f"ipython=={version}")
        cells = ("tests/processes/test_inline_notebook.py", *CELLS_SEEN)
        session.run("python", "-m", "pytest", "-q", *cells)
    (RESULTS / "ipythons.json").write_text(json.dumps(IPYTHONS))


@nox.session(python=False)
def across(session: nox.Session) -> None:
    """Cut a training in one environment and go on in another, there and back."""
    rows = (REFERENCE, "python-3.13-like-3.11")
    told = []
    for first, second in (rows, rows[::-1]):
        workspace = RESULTS / f"cut-{first.replace('.', '-')}"
        shutil.rmtree(workspace, ignore_errors=True)
        for row, task in ((first, "cut"), (second, "end"), (second, "tell")):
            home = ROOT / ".nox" / f"matrix-{row.replace('.', '-')}"
            line = [str(home / "bin" / "python"), "-m", "tests.matrix.whole_path"]
            with session.chdir(home / "tmp"):
                session.run(*line, task, str(workspace), external=True)
        numbers = RESULTS / REFERENCE / "numbers.npz"
        told.append(
            {
                "from": first,
                "to": second,
                "apart": differences(numbers, workspace.with_suffix(".npz")),
                "moves": "; ".join(
                    json.loads(workspace.with_suffix(".json").read_text())
                ),
            }
        )
    (RESULTS / "across.json").write_text(json.dumps(told, indent=1))


@nox.session(python=False)
def support(_: nox.Session) -> None:
    """Write docs/support.md from what the rows have found."""
    table.write(RESULTS, ROOT / "docs" / "support.md", reference=REFERENCE)
