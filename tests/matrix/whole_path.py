"""The five jobs in one environment: undisturbed, killed and gone on, checked, compared.

    python -m tests.matrix.whole_path run FOLDER       both, and FOLDER/facts.json
    python -m tests.matrix.whole_path cut WORKSPACE    ingest, and training until it is killed
    python -m tests.matrix.whole_path end WORKSPACE    goes on with what `cut` has left
    python -m tests.matrix.whole_path tell WORKSPACE   its numbers, and what its report says
                                                       of changes, to WORKSPACE.npz, .json

Runs lowmem from outside, as it is installed. The numbers of all results lie in
FOLDER/numbers.npz afterwards, so that environments can be held against each other.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from tests.processes import pipeline

PACKAGES = (
    "zarr",
    "numcodecs",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "matplotlib",
    "psutil",
    "typer",
    "ipython",
    "ipykernel",
)
# Results that are numbers; the others are texts and pictures that tell of them.
NUMBERS = (
    "images.zarr",
    "model/autoencoder.keras",
    "latents.zarr",
    "analysis.zarr",
    "generated/z.npy",
)


def run(folder: Path) -> None:
    """Run all twice, once with a SIGKILL; write what was found.

    Raises
    ------
    AssertionError
        If a command fails, or the two differ in a bit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole, killed = folder / "whole", folder / "killed"
    began = time.monotonic()
    for job in pipeline.JOBS:
        pipeline.run(job, whole)
    seconds = time.monotonic() - began
    cut(killed)
    end(killed)
    for workspace in (whole, killed):
        for job in pipeline.JOBS:
            pipeline.assert_same(whole, workspace, job)
        _lowmem("verify", str(workspace))
    jobs = _report(whole)
    assert _report(killed)["train"]["attempts"] > 1
    facts = {
        "versions": {"python": platform.python_version(), **_versions()},
        "seconds": round(seconds, 1),
        "ram_peak_bytes": {name: job["ram_peak_bytes"] for name, job in jobs.items()},
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))
    np.savez(folder / "numbers.npz", **numbers(whole))


def cut(workspace: Path) -> None:
    """Pack the images and train; kill all processes after two commits."""
    pipeline.run("ingest", workspace)
    supervisor, worker = pipeline.start_and_wait_for_commits("train", workspace, 2)
    pipeline.kill(worker.pid)
    pipeline.kill(supervisor.pid)
    supervisor.wait(pipeline.DEADLINE_S)
    supervisor.stderr.close()


def end(workspace: Path) -> None:
    """Go on with the training, and run the jobs after it."""
    for job in pipeline.JOBS[1:]:
        pipeline.run(job, workspace)


def tell(workspace: Path) -> None:
    """Write the numbers of a run that ended elsewhere, and what its report says of that."""
    changes = [change["what"] for change in _report(workspace)["train"]["changes"]]
    workspace.with_suffix(".json").write_text(json.dumps(changes))
    np.savez(workspace.with_suffix(".npz"), **numbers(workspace))


def numbers(workspace: Path) -> dict[str, np.ndarray]:
    """Return all arrays of the results by result and name, joined by a colon."""
    found = {}
    for name in NUMBERS:
        path = workspace / name
        held = {"": np.load(path)} if path.suffix == ".npy" else pipeline.contents(path)
        found |= {
            f"{name}:{key}": np.asarray(value)
            for key, value in held.items()
            if isinstance(value, np.ndarray | np.generic)
            and np.asarray(value).dtype.kind in "biuf"
        }
    assert {name.split(":")[0] for name in found} == set(NUMBERS)
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _lowmem(*words: str) -> str:
    line = [sys.executable, "-m", "lowmem", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _report(workspace: Path) -> dict[str, dict]:
    jobs = json.loads(_lowmem("report", str(workspace), "--json"))["jobs"]
    assert {job["state"] for job in jobs.values()} == {"done"}
    return jobs


if __name__ == "__main__":
    {"run": run, "cut": cut, "end": end, "tell": tell}[sys.argv[1]](Path(sys.argv[2]))
