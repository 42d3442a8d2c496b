"""The promises of the layout: what may be imported, how small it stays, what is banned."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "lowmem").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])
HEAVY = {
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "numpy",
    "zarr",
    "scipy",
    "sklearn",
    "matplotlib",
    "PIL",
    "jinja2",
    "pandas",
    "psutil",
}
JOBS = ("ingest", "train", "encode", "analyze", "generate")
EVERY_RUN = (
    "--workspace",
    "--ram-budget",
    "--vram-budget",
    "--time-budget",
    "--device",
    "--seed",
    "--cycle-steps",
    "--recycle-every",
    "--mirror",
    "--mirror-data",
    "--restart",
    "--set",
    "--quiet",
)
OF_JOBS = {
    "ingest": ("--source", "--size", "--crop", "--limit", "--codec"),
    "train": (
        "--data",
        "--epochs",
        "--batch-size",
        "--latent-dim",
        "--filters",
        "--batch-norm/--no-batch-norm",
        "--learning-rate",
        "--validation-split",
        "--model",
    ),
    "encode": ("--data", "--model", "--batch-size"),
    "analyze": ("--latents", "--pca", "--trim-fwhm", "--pairs", "--frame"),
    "generate": ("--method", "--count", "--sigma", "--quantile"),
}


def loaded_by(code):
    """Return which heavy packages a fresh interpreter has loaded after ``code``."""
    program = f"{code}\nimport sys\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import lowmem.cli.main, lowmem.pipeline.execute",
        "import lowmem.report.read, lowmem.report.text, lowmem.report.status",
        "from lowmem.worker.registry import installed_jobs\ninstalled_jobs()",
    ],
    ids=["command line", "report as text", "planner with every installed job"],
)
def test_a_light_process_loads_no_array_nor_ml_library(code):
    assert loaded_by(code) == []


@pytest.mark.process
@pytest.mark.slow
def test_psutil_is_loaded_by_an_examination_alone():
    look = "from pathlib import Path; examine(Path.cwd())"
    examining = f"from lowmem.places.examination import examine\n{look}"
    assert loaded_by(examining) == ["psutil"]


@pytest.mark.process
@pytest.mark.slow
def test_packing_images_loads_no_zarr():
    assert "zarr" not in loaded_by("import lowmem_jobs.ingest.work")
    # The check sees it where it is.
    assert "zarr" in loaded_by("import lowmem.stores.row_reader")


@pytest.mark.process
@pytest.mark.slow
def test_the_layers_hold():
    tool = Path(sys.executable).parent / "lint-imports"
    if not tool.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_short_typed_and_free_of_unsafe_formats(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    if tree.body:
        is_prose = path.name == "__init__.py" and len(tree.body) == 1
        assert is_prose or "from __future__ import annotations" in text
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {a.name for a in node.names} | {getattr(node, "module", "")}
            assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & names
        if isinstance(node, ast.Call):
            for word in node.keywords:
                value = getattr(word.value, "value", None)
                assert (word.arg, value) != ("allow_pickle", True)
                assert (word.arg, value) != ("safe_mode", False)
                assert (word.arg, value) != ("shell", True)


def test_inner_packages_hold_prose_and_only_the_public_ones_names():
    """What the public ones name: `test_public_api`."""
    public = {
        "lowmem",
        "base",
        "mapping",
        "memory",
        "stores",
        "testing",
        "training",
        "worker",
    }
    for path in (ROOT / "lowmem").rglob("__init__.py"):
        prose, *rest = ast.parse(path.read_text()).body
        assert isinstance(prose.value.value, str), path
        assert bool(rest) == (path.parent.name in public), path


def test_exit_codes_are_those_of_the_table():
    from lowmem.base import errors

    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.LowmemError)
    ]
    assert {c.exit_code for c in classes} == {2, 65, 69, 70, 73, 74, 75}
    for found in classes[1:]:
        builtin = [c for c in found.__mro__ if c.__module__ == "builtins"]
        assert found is errors.StoppedError or builtin[0] is not Exception, found


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_help_names_every_option_of_the_contract(job):
    done = subprocess.run(
        [sys.executable, "-m", "lowmem", "run", job, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    known = set(re.findall(r"--[\w-]+(?:/--[\w-]+)?", done.stdout))
    assert set(EVERY_RUN) | set(OF_JOBS[job]) <= known
