"""A GPU under a budget, in figures; needs a device, its driver, and JAX or PyTorch.

    KERAS_BACKEND=jax python benchmarks/gpu.py
    KERAS_BACKEND=torch python benchmarks/gpu.py

Prints one table after another: the driver's readings, the five jobs, what a framework
takes beside its pool, a batch that does not fit, resume after SIGKILL, moves between
GPU and CPU, and how soon the memory of a killed worker is back. `VRAM` is what NVML says
is in use, less what was in use before the worker started.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil

from lowmem.memory.gpu import GpuSampler

MIB = 2**20
LOWMEM = [sys.executable, "-m", "lowmem"]
FACES = ["--source", "faces:2000", "--size", "64"]

# Fills the device in steps of 64 MiB, after the libraries have been used once.
FILLING = """
import keras, numpy as np, lowmem
from lowmem.memory.gpu import GpuSampler
from lowmem.training.keras_setup import keras_session

@lowmem.job(unit="blocks", settings=({"blocks": 1000}, {"blocks": 8}))
def fill(ctx):
    'Fill the device.'
    with keras_session(
        seed=1, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
    ), GpuSampler() as gpu:
        model = keras.Sequential([
            keras.Input((64, 64, 3)), keras.layers.Conv2D(64, 3, strides=2),
            keras.layers.Flatten(), keras.layers.Dense(64),
        ])
        model.compile("adam", "mse")
        model.train_on_batch(np.zeros((32, 64, 64, 3)), np.zeros((32, 64)))
        held = []
        for number in range(ctx.settings["blocks"]):
            held.append(keras.ops.ones((16, 2**20)) * float(number))
            float(held[-1][0, 0])
            reserved, used = pool_of(), gpu.read().used_bytes
            with (ctx.workspace.root / "fill.txt").open("a") as stream:
                stream.write(f"{reserved} {used}\\n")
            yield lowmem.CommitPoint(items=1)

def pool_of():
    if keras.backend.backend() == "torch":
        import torch
        return torch.cuda.memory_reserved()
    import jax
    stats = jax.local_devices()[0].memory_stats()
    return stats.get("pool_bytes") or stats["bytes_in_use"]
"""


def main() -> None:
    """Run the parts asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
        for part in options.parts.split(","):
            print(f"\n== {part} ({os.environ.get('KERAS_BACKEND')})", flush=True)
            began = time.monotonic()
            try:
                PARTS[part](Path(folder))
            except Exception as error:  # noqa: BLE001 - the other parts are worth seeing
                print(f"{part} broke: {type(error).__name__}: {error}")
            print(f"({time.monotonic() - began:.0f} s)", flush=True)


def driver(_: Path) -> None:
    """Print what the driver and `lowmem doctor` say."""
    with GpuSampler() as gpu:
        print(gpu.read())
    shown = subprocess.run(
        [*LOWMEM, "doctor"], capture_output=True, text=True, check=False
    )
    print(shown.stdout)


def pipeline(folder: Path) -> None:
    """Run the five jobs within 4 GB of the device."""
    space = folder / "all"
    words = ["run", "all", *FACES, "--epochs", "4", "--vram-budget", "4G"]
    lowmem(space, *words, "--device", "gpu")
    print(f"{'job':<10}{'state':<9}{'device':<8}{'seconds':>8}{'VRAM MiB':>10}", end="")
    print(f"{'of budget':>11}{'RAM MiB':>9}")
    for name, job in report(space).items():
        seconds = sum(cycle["seconds"] for cycle in job["cycles"])
        vram = job["vram_peak_bytes"]
        shown = "-" if vram is None else f"{vram / MIB:.0f}"
        share = "-" if vram is None else f"{vram / 4e9:.0%}"
        print(f"{name:<10}{job['state']:<9}{job['device']:<8}{seconds:>8.1f}", end="")
        print(f"{shown:>10}{share:>11}{job['ram_peak_bytes'] / MIB:>9.0f}")


def cap(folder: Path) -> None:
    """Fill the device up to budgets of 3 and 6 GB: the pool must end before."""
    file = folder / "fill.py"
    file.write_text(textwrap.dedent(FILLING))
    for budget in ("3G", "6G"):
        space = folder / f"fill-{budget}"
        with GpuSampler() as gpu:
            base = gpu.read().used_bytes
        words = ["run", str(file), "--device", "gpu", "--vram-budget", budget]
        lowmem(space, *words, "--cycle-steps", "50")
        job = report(space)["fill"]
        pairs = [line.split() for line in (space / "fill.txt").read_text().splitlines()]
        beside = [int(used) - base - int(pool) for pool, used in pairs]
        pools = [int(pool) for pool, _ in pairs]
        limit = float(budget[:-1]) * 1e9
        print(f"budget {limit / MIB:.0f} MiB, state {job['state']}, {job['message']}")
        print(f"  peak by NVML {(job['vram_peak_bytes'] or 0) / MIB:.0f} MiB")
        if pairs:
            print(
                f"  largest pool {max(pools) / MIB:.0f} MiB; beside the pool ", end=""
            )
            print(f"{min(beside) / MIB:.0f} to {max(beside) / MIB:.0f} MiB")
        show_events(job)


def too_big(folder: Path) -> None:
    """Train with one batch of all images on little memory."""
    words = ["run", "train", "--data", str(faces(folder)), "--epochs", "2"]
    words += ["--batch-size", "1800", "--device", "gpu", "--validation-split", "0.05"]
    for budget in ("2200M", "8G"):
        space = folder / f"big-{budget}"
        lowmem(space, *words, "--vram-budget", budget)
        job = report(space)["train"]
        vram = (job["vram_peak_bytes"] or 0) / MIB
        print(f"budget {budget}: {job['state']}, VRAM {vram:.0f} MiB, ", end="")
        print(f"settings {[c['settings'] for c in job['cycles']][-1:]}, ", end="")
        print(f"loss {job['summary'].get('loss')}")
        show_events(job)


def resume(folder: Path) -> None:
    """Compare two whole runs with one whose worker was killed three times."""
    words = train_words(folder)
    digests = []
    for number in range(2):
        lowmem(folder / f"whole-{number}", *words, "--device", "gpu")
        digests.append(digest(folder / f"whole-{number}"))
    space = folder / "killed"
    n_kills = kill_workers(space, [*words, "--device", "gpu"], after=(2, 5, 9))
    digests.append(digest(space))
    print(f"encoder of whole run, again, and killed {n_kills} times:")
    print("  " + "  ".join(one[:16] for one in digests))
    print(f"  equal to the bit: {len(set(digests)) == 1}")
    show_events(report(space)["train"])


def moves(folder: Path) -> None:
    """Begin on the GPU, go on on the CPU, and end on the GPU."""
    words = train_words(folder)
    space = folder / "moved"
    for device in ("gpu", "cpu"):
        stop_after(space, [*words, "--device", device], n_commits=3)
    lowmem(space, *words, "--device", "auto")
    job = report(space)["train"]
    print(f"state {job['state']}, loss {job['summary'].get('loss')}", end="")
    if (folder / "whole-0").exists():
        print(
            f"; on the GPU alone {report(folder / 'whole-0')['train']['summary']['loss']}"
        )
    for worker in job["workers"]:
        print("  attempt", worker["attempt"], worker["device"], worker["device_name"])
    for change in job["changes"]:
        print(f"  from cycle {change['cycle']}: {change['what']}")


def give_back(folder: Path) -> None:
    """Kill a worker and see when its memory is back."""
    words = [*train_words(folder), "--device", "gpu"]
    space = folder / "returned"
    with GpuSampler() as gpu:
        base = gpu.read().used_bytes
        process = start(space, words)
        wait_for_commits(process, space, 3)
        held = gpu.read().used_bytes
        os.kill(worker_of(process).pid, signal.SIGKILL)
        began = time.monotonic()
        lowest, at = held, 0.0
        while time.monotonic() - began < 3:
            used = gpu.read().used_bytes
            if used < lowest - MIB:
                lowest, at = used, time.monotonic() - began
            time.sleep(0.002)
        process.terminate()
        process.wait()
    print(f"before {base / MIB:.0f} MiB, held {held / MIB:.0f}, ", end="")
    print(f"lowest after the kill {lowest / MIB:.0f} MiB after {at * 1e3:.0f} ms")


PARTS = {
    "driver": driver,
    "pipeline": pipeline,
    "cap": cap,
    "too-big": too_big,
    "resume": resume,
    "moves": moves,
    "give-back": give_back,
}


# --- running and reading ----------------------------------------------------------


def lowmem(space: Path, *words: str) -> int:
    """Run one command; print its last lines if it did not end well."""
    line = [*LOWMEM, *words, "--workspace", str(space), "--quiet"]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        print(f"[exit {done.returncode}] {done.stderr.strip()[-1500:]}")
    return done.returncode


def report(space: Path) -> dict[str, dict]:
    """Return the jobs of a workspace's report."""
    line = [*LOWMEM, "report", str(space), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["jobs"]


def show_events(job: dict) -> None:
    """Print what ended workers before their time."""
    for event in job["events"]:
        vram = event["vram_bytes"]
        shown = "" if vram is None else f" at VRAM {vram / MIB:.0f} MiB"
        print(f"  {event['verdict']}{shown}, in {event['where']} -> {event['action']}")


def faces(folder: Path) -> Path:
    """Return a store of drawn faces, made once."""
    store = folder / "all" / "images.zarr"
    if not store.exists():
        lowmem(folder / "all", "run", "ingest", *FACES)
    return store


def train_words(folder: Path) -> list[str]:
    """Return a training of a few hundred steps that commits every 20."""
    words = ["run", "train", "--data", str(faces(folder)), "--epochs", "5"]
    return [*words, "--cycle-steps", "20", "--seed", "3", "--vram-budget", "4G"]


def start(space: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command."""
    line = [*LOWMEM, *words, "--workspace", str(space), "--quiet"]
    return subprocess.Popen(line, stderr=subprocess.DEVNULL)


def n_commits_of(space: Path) -> int:
    """Return the commits in the journal."""
    journal = space / ".lowmem" / "journal.jsonl"
    text = journal.read_text(errors="replace") if journal.exists() else ""
    return text.count('"outcome":"committed"')


def wait_for_commits(
    process: subprocess.Popen[bytes], space: Path, number: int
) -> None:
    """Wait until so many commits are in the journal, or the run has ended."""
    while n_commits_of(space) < number and process.poll() is None:
        time.sleep(0.01)


def worker_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the worker of a run that is under way."""
    return next(
        child
        for child in psutil.Process(process.pid).children()
        if "lowmem.worker" in child.cmdline()
    )


def kill_workers(space: Path, words: list[str], after: tuple[int, ...]) -> int:
    """Run a job, kill its worker after so many commits each, and return how often."""
    process, n_kills = start(space, words), 0
    for number in after:
        wait_for_commits(process, space, number)
        if process.poll() is None:
            os.kill(worker_of(process).pid, signal.SIGKILL)
            n_kills += 1
    process.wait()
    return n_kills


def stop_after(space: Path, words: list[str], *, n_commits: int) -> None:
    """Run a job, and stop it after some more commits."""
    before = n_commits_of(space)
    process = start(space, words)
    wait_for_commits(process, space, before + n_commits)
    process.terminate()
    process.wait()


def digest(space: Path) -> str:
    """Return the SHA-256 of the trained encoder's file; of equal models it is equal."""
    path = space / "model" / "encoder.keras"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"


if __name__ == "__main__":
    main()
