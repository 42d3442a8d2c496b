"""The worked examples with data larger than their budget: killed twice, and beside RAM alone.

    python benchmarks/examples.py                      all, some 25 minutes on two cores
    python benchmarks/examples.py topics clusters      some of them
    python benchmarks/examples.py --small              in a minute or two, with small data

Each example of docs/examples runs twice under a budget that is smaller than its data: once
to its end, and once killed (SIGKILL to the command) after two numbers of commits that are
drawn from a seed. `unbroken` compares all that both made, byte by byte. `peak` is what
lowmem counted in the first of them, and the kernel's own high-water mark (VmHWM) of its
largest process. `from RAM` is the largest difference from what `examples_ram.py` makes of
all the data at once, by plain NumPy, scikit-learn or Keras; `in RAM` is the kernel's
high-water mark of that. Data are drawn block by block to the disk.

PCA of all images in double precision would take more than ten times the data. So the
eigenfaces of the first few are found by both, and compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import examples_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "docs" / "examples"
SEED, N_KILLS, N_SAMPLE = 3, 2, 2_000
HEAD = (
    "example", "data", "budget", "peak", "kernel's", "killed after", "unbroken",
    "from RAM", "in RAM",
)  # fmt: skip
# seconds; between two looks at the journal
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example, and how it is run.

    Attributes
    ----------
    data
        Name of what it reads.
    budget
        Of its RAM.
    options
        Of the job, without the data.
    cycle_steps
        Commit points in a cycle.
    given
        For the equivalent in RAM.
    near
        The largest difference from it that rounding explains, by what is compared.
    sample
        What both are given where all would be too much in RAM.
    """

    name: str
    data: str
    budget: str
    options: tuple[str, ...] = ()
    cycle_steps: int = 1
    given: Mapping[str, Any] = field(default_factory=dict)
    near: Mapping[str, float] = field(default_factory=dict)
    sample: str = ""

    def line(self, data: Path) -> list[str]:
        """Return the command, to be typed in a folder of its own."""
        file, lowmem = str(EXAMPLES / f"{self.name}.py"), ("-m", "lowmem")
        source = {"spectra": "--source", "topics": "--texts"}.get(self.name, "--data")
        return [
            sys.executable, *lowmem, "run", file, source, str(data), *self.options,
            "--ram-budget", self.budget, "--cycle-steps", str(self.cycle_steps),
            "--seed", "1", "--device", "cpu", "--quiet",
        ]  # fmt: skip

    def made(self, folder: Path) -> Path:
        """Return where its results are."""
        return folder / "lowmem-work"


def examples(*, is_small: bool) -> dict[str, Example]:
    """Return all of them, by name."""
    features, topics = (64, 5) if is_small else (1024, 16)
    n_clusters, epochs = (3, 2) if is_small else (8, 1)
    found = [
        Example(
            name="spectra", data="signals.npy", budget="300M",
            options=("--rows", "10") if is_small else (), cycle_steps=1,
            near={"spectra": 0.0},
        ),
        Example(
            name="topics", data="texts.txt", budget="300M",
            options=("--features", str(features), "--topics", str(topics)),
            cycle_steps=1 if is_small else 100,
            given={"features": features, "topics": topics},
            near={"strengths": 1e-9, "topics": 1e-7, "texts": 1e-5},
        ),
        Example(
            name="clusters", data="rows.npy" if is_small else "images.zarr/images", budget="600M",
            options=("--clusters", str(n_clusters)),
            given={"n_clusters": n_clusters, "rows": 1_000},
            near={"centres": 0.0, "labels": 0.0},
        ),
        Example(
            name="eigenfaces", data="images.zarr", budget="400M",
            options=("--components", "4") if is_small else ("--passes", "4"),
            cycle_steps=1 if is_small else 40,
            near={"mean": 1e-12, "variances": 1e-9, "eigenfaces": 1e-4},
            sample="" if is_small else "sample.zarr",
        ),
        Example(
            name="classifier", data="images.zarr", budget="600M",
            options=("--epochs", str(epochs)), cycle_steps=1 if is_small else 50,
            given={"epochs": epochs, "patience": 2},
            near={"weights": 1e-3, "losses": 1e-3},
        ),
    ]  # fmt: skip
    if is_small:
        # Room for what else the machine's memory files hold meanwhile.
        found = [replace(one, budget="1G") for one in found]
    return {one.name: one for one in found}


def make_data(name: str, folder: Path, *, is_small: bool) -> Path:
    """Write what an example reads, once; return where it is."""
    path = folder / name
    if name == "signals.npy":
        n, length = (60, 32) if is_small else (150_000, 1024)
        examples_data.signals(path, n=n, length=length)
    elif name == "rows.npy":
        examples_data.signals(path, n=8_000, length=8)
    elif name == "texts.txt":
        examples_data.texts(path, n=900 if is_small else 500_000)
    else:
        store = folder / name.partition("/")[0]
        n_of = {"sample.zarr": N_SAMPLE}.get(store.name, 200 if is_small else 30_000)
        if not store.exists():
            # One that was left half written is begun anew.
            part = store.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            examples_data.images(part, n=n_of, side=24 if is_small else 96)
            part.rename(store)
    return path


def to_the_end(line: Sequence[str], folder: Path) -> None:
    """Run a command in a folder, which it must end well."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(line)} ended with {done.returncode}: {done.stderr}"
        )


def commits(folder: Path) -> int:
    """Return how many cycles were committed in a folder's workspace."""
    journal = folder / "lowmem-work" / ".lowmem" / "journal.jsonl"
    if not journal.exists():
        return 0
    lines = journal.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum('"CycleEnded"' in one and '"committed"' in one for one in lines)


def kills_of(n_commits: int, n_kills: int) -> list[int]:
    """Return after how many commits to kill, drawn from the seed; ascending."""
    draw = np.random.default_rng(SEED)
    found = draw.choice(np.arange(1, n_commits - 1), n_kills, replace=False)
    return sorted(int(one) for one in found)


def killed(line: Sequence[str], folder: Path, kills: Sequence[int]) -> list[int]:
    """Run a command, killed after so many commits each time, and then to its end.

    Returns
    -------
    seen
        The commits that there were at each kill.
    """
    folder.mkdir(exist_ok=True)
    seen = []
    for n_commits in kills:
        process = subprocess.Popen(
            line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and commits(folder) < n_commits:
            time.sleep(PAUSE_S)
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(line)} ended before it was killed")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        seen.append(commits(folder))
    to_the_end(line, folder)
    return seen


def results(made: Path) -> dict[str, str]:
    """Return the SHA-256 of each result; the report page tells of time."""
    return {
        str(path.relative_to(made)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(made.rglob("*"))
        if path.is_file()
        and not {".lowmem", "lowmem-work"} & {*path.relative_to(made).parts}
        and path.name != "report.html"
    }


def peaks(folder: Path) -> tuple[int, int]:
    """Return the largest reading, and the kernel's largest mark, of a run's workspace."""
    line = [sys.executable, "-m", "lowmem", "report", "lowmem-work", "--json"]
    told = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
    (job,) = json.loads(told.stdout)["jobs"].values()
    marks = [cycle["ram_hwm_bytes"] or 0 for cycle in job["cycles"]]
    return job["ram_peak_bytes"], max(marks)


def beside_ram(example: Example, data: Path, made: Path) -> dict[str, Any]:
    """Return what the equivalent in RAM says, from a process of its own."""
    line = [
        sys.executable, HERE / "examples_ram.py", example.name, data, made,
        json.dumps(dict(example.given)),
    ]  # fmt: skip
    told = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def row(example: Example, folder: Path, *, is_small: bool) -> list[str]:
    """Take one example all the way."""
    data = make_data(example.data, folder, is_small=is_small)
    whole, cut = folder / f"{example.name}-whole", folder / f"{example.name}-cut"
    line = example.line(data)
    to_the_end(line, whole)
    n_commits = commits(whole)
    seen = killed(line, cut, kills_of(n_commits, N_KILLS))
    is_equal = results(example.made(whole)) == results(example.made(cut)) != {}
    counted, mark = peaks(whole)
    compared, made = data, example.made(whole)
    if example.sample:
        compared = make_data(example.sample, folder, is_small=is_small)
        to_the_end(example.line(compared), folder / f"{example.name}-sample")
        made = example.made(folder / f"{example.name}-sample")
    told = beside_ram(example, compared, made)
    far = [f"{name} {value:.0e}" for name, value in told["far"].items()]
    is_near = all(value <= example.near[name] for name, value in told["far"].items())
    of = f" ({N_SAMPLE:,} images)" if example.sample else ""
    return [
        example.name,
        megabytes(size_of(data)),
        example.budget,
        megabytes(counted),
        megabytes(mark),
        f"{' and '.join(map(str, seen))} of {n_commits} commits",
        "equal" if is_equal else "DIFFERS",
        f"{'equal' if is_near else 'DIFFERS'}: {', '.join(far)}{of}",
        megabytes(told["peak_bytes"]) + of,
    ]


def size_of(data: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = data.rglob("*") if data.is_dir() else [data]
    return sum(path.stat().st_size for path in files if path.is_file())


def megabytes(n_bytes: int) -> str:
    """Return bytes as they are printed."""
    return f"{n_bytes / 1e6:,.0f} MB"


def main() -> None:
    """Print a row for each example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=Path, help="where data and runs are kept")
    chosen = parser.parse_args()
    found = examples(is_small=chosen.small)
    print(f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (chosen.folder or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for name in chosen.names or found:
            cells = row(found[name], folder, is_small=chosen.small)
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
