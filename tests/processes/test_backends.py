"""Jobs on each backend of Keras that is installed, on none, and on one that cannot be meant.

`benchmarks/backends.py` kills more often, and the other jobs too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lowmem.base.backends import BACKENDS, VARIABLE, find_backend
from tests.processes import storm

pytestmark = [pytest.mark.process, pytest.mark.slow]

KERAS_JOBS = ("train", "encode", "generate")
# Python runs it at its start: these frameworks are then as if they were not installed.
HIDING = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {names!r} else super().find_spec(name, path, target)

sys.meta_path = [Hiding if one is PathFinder else one for one in sys.meta_path]
"""
OWN_JOB = """
import lowmem

@lowmem.job(unit="numbers")
def count(ctx):
    "Count."
    for number in range(3):
        yield lowmem.CommitPoint(items=1)
"""


@pytest.fixture
def hide(tmp_path, monkeypatch):
    """Return what hides frameworks from every process that is started."""

    def hidden(names):
        folder = tmp_path / "hiding"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HIDING.format(names=names))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.delenv(VARIABLE, raising=False)

    return hidden


def lowmem(*words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "lowmem", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | variables,
    )


def assert_refused(done, exit_code, *words):
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("job", [*KERAS_JOBS, "all"])
def test_without_a_backend_what_needs_one_says_how_to_install_it(
    tmp_path, hide, command, job
):
    hide(BACKENDS)
    space = tmp_path / "w"
    done = lowmem(command, job, "--workspace", space)
    assert_refused(done, 69, "no backend of Keras", "pip install 'lowmem[tensorflow]'")
    # Nothing was begun: not the images that `train` would ingest first, either.
    found = {item.name for item in space.iterdir()} if space.exists() else set()
    assert found <= {".lowmem", "report.html"}


def test_without_a_backend_the_other_jobs_run(tmp_path, hide):
    hide(BACKENDS)
    space = tmp_path / "w"
    (tmp_path / "count.py").write_text(OWN_JOB)
    np.save(
        tmp_path / "z.npy",
        np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32),
    )
    for words in (
        ["ingest", "--source", "faces:40", "--size", "16"],
        ["analyze", "--latents", tmp_path / "z.npy"],
        [tmp_path / "count.py"],
    ):
        done = lowmem("run", *words, "--workspace", space, "--ram-budget", "1G")
        assert done.returncode == 0, done.stderr
    assert "pip install 'lowmem[tensorflow]'" in lowmem("doctor").stdout


def test_a_backend_that_is_named_and_missing_is_the_one_to_install(tmp_path, hide):
    hide(("torch",))
    done = lowmem("run", "train", "--workspace", tmp_path, KERAS_BACKEND="torch")
    assert_refused(done, 69, "torch is not installed", "pip install 'lowmem[torch]'")


@pytest.mark.parametrize("name", ["jxa", "openvino"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_backend_that_cannot_be_meant_is_wrong_usage(tmp_path, command, name):
    done = lowmem(command, "train", "--workspace", tmp_path, KERAS_BACKEND=name)
    assert_refused(done, 2, f"KERAS_BACKEND is '{name}'", "tensorflow, jax or torch")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("images") / "w"
    line = [sys.executable, "-m", "lowmem", "run", "ingest", "--quiet"]
    line += ["--source", "faces:1100", "--size", "16", "--workspace", str(workspace)]
    subprocess.run(line, check=True)
    return workspace


TRAIN = [
    *("--epochs", "2", "--batch-size", "64", "--filters", "4,8", "--batch-norm"),
    *("--latent-dim", "4", "--cycle-steps", "3", "--ram-budget", "2G"),
]
N_KILLS = 2


@pytest.mark.keras
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_killed_at_random_equals_an_unbroken_run_of_its_backend(
    tmp_path, monkeypatch, images, backend
):
    if not find_backend({VARIABLE: backend}).is_installed:
        pytest.skip(f"{backend} is not installed")
    monkeypatch.setenv(VARIABLE, backend)
    reference, workspace = tmp_path / "reference", tmp_path / "w"
    draw = np.random.default_rng(BACKENDS.index(backend))
    for space, n_kills in ((reference, 0), (workspace, N_KILLS)):
        shutil.copytree(images, space)
        words = [*TRAIN, "--workspace", str(space)]
        one = storm.Storm(job="train", workspace=space, words=words, draw=draw)
        one.run(n_kills)
        assert sum(one.kills.values()) == n_kills
    assert storm.audit(workspace, reference) == []
    assert storm.jobs_of(workspace)["train"].versions["backend"] == backend
