"""`lowmem map` beside the loop that one writes by hand, and what a map that was cut reads again.

    python benchmarks/map.py                          3 GB of source, 7 rounds: throughput, then resume
    python benchmarks/map.py throughput --gigabytes 0.5 --rounds 1 --sources none --functions texture
    python benchmarks/map.py resume --gigabytes 1

**throughput**: the same function and the same rows at once, from a Zarr array (plain, and lz4) or a .npy file to a Zarr
array with the same chunks, in rounds whose order turns. `loop` is what a person writes with NumPy and Zarr alone: open,
call, store, force to the disk. It neither verifies what it reads, nor can it go on. `map` is the command `lowmem map`,
`run` is `lowmem run` of a file with `@lowmem.map`: each as a person types it, supervised. `brightness` is cheap,
`texture` computes. Each side is run on all rows and on a quarter of them. The throughput is taken from the difference,
as the loop's seconds over the other's: 1 is equal, more is faster, the goal is 0.97. Printed are the median and the
range over the rounds. The rest is what it costs whatever its length: start, plan, trials, last commit, checksums. Both
are told by the processors' time too, which tells more on a machine that others use.

**resume**: a map is killed (SIGKILL to worker and supervisor) by its function, once that is given 99 % of the rows, and
typed again. The function tells which rows it was given then, and the kernel what was read from the disk (`ru_inblock`):
the source has been dropped from the page cache before. With a commit after each block (`--cycle-steps 1`) that is to be
at most the last block, and the call before it, which is made again. By default commits are seconds apart: that is told
too. The result has to be the loop's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.exec_runs import Ran, timed
from lowmem.stores import RowWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROW = (96, 96, 3)
CHUNK_ROWS = 128
MIB = 2**20
# Each row has its number in its first three values, so that a function knows what it got.
FUNCTIONS = """
import os, signal
import numpy as np
import lowmem

def brightness(images):
    return images.mean(axis=(1, 2, 3))

def texture(images):
    grey = images.mean(axis=3, dtype=np.float32)
    power = np.abs(np.fft.rfft2(grey)) ** 2
    return power[:, :16, :16].reshape(len(images), -1).astype(np.float32)

def widened(images):
    return images.reshape(len(images), -1).astype(np.float32)

def cut(images):
    "As the function that is named, but for its death at a row, once; notes what it is given."
    first = int(images[0, 0, 0] @ np.array([1, 256, 65536]))
    with open("calls", "a") as calls:
        calls.write(f"{first} {len(images)}\\n")
    if first + len(images) > int(os.environ["CUT_AT"]) and not os.path.exists("cut"):
        open("cut", "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return globals()[os.environ["CUT_FUNCTION"]](images)
"""
JOB = """
import functions, lowmem
job = lowmem.map(source={source!r}, out="out.zarr", name="made")(functions.{function})
"""
# As many results as a chunk of the map's holds, so that each chunk is written once.
LOOP = """
import os, sys
import numpy as np, zarr
import functions
source, out, name, rows, chunk = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
array = np.load(source, mmap_mode="r") if source.endswith(".npy") else zarr.open_array(source, mode="r")
function = getattr(functions, name)
like = function(array[:1])
n = array.shape[0]
store = zarr.create_array(
    out, shape=(n, *like.shape[1:]), dtype=like.dtype, chunks=(chunk, *like.shape[1:]), compressors=None,
)
for start in range(0, n, chunk):
    stop = min(start + chunk, n)
    parts = [function(array[at : min(at + rows, stop)]) for at in range(start, stop, rows)]
    store[start:stop] = np.concatenate(parts)
for folder, _, files in os.walk(out):
    for name in files:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
"""
SIDES = ("loop", "map", "run")
# Two Zarr arrays, by their codec, and a file of NumPy's.
SOURCES = ("none", "lz4", "npy")


def main() -> None:
    """Print lines for each source and function, then one for each way to commit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", default=["throughput", "resume"])
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sources", nargs="+", default=list(SOURCES))
    parser.add_argument("--functions", nargs="+", default=["brightness", "texture"])
    parser.add_argument("--folder", type=Path, help="where to work; temporary else")
    given = parser.parse_args()
    n_rows = int(given.gigabytes * 1e9) // int(np.prod(ROW)) // CHUNK_ROWS * CHUNK_ROWS
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        root = Path(name)
        (root / "functions.py").write_text(FUNCTIONS)
        for source in given.sources if "throughput" in given.part else ():
            # One at a time, so that all of it stays in the page cache.
            folders = [root / "whole", root / "part"]
            sizes = (n_rows, n_rows // 4)
            paths = [
                write_source(folder, source, n)
                for folder, n in zip(folders, sizes, strict=True)
            ]
            for function in given.functions:
                _print_throughput(root, source, paths, function, given.rounds)
            for folder in folders:
                shutil.rmtree(folder)
        if "resume" in given.part:
            path = write_source(root / "resume", "none", n_rows)
            for words in (("--cycle-steps", "1"), ()):
                found = resumed(root, path, "texture", words)
                print(f"resume {' '.join(words) or 'by default'}: {found.told()}")


def write_source(folder: Path, kind: str, n_rows: int) -> Path:
    """Write images as one of `SOURCES`, and the functions beside the folder; return the array's path."""
    folder.mkdir()
    (folder.parent / "functions.py").write_text(FUNCTIONS)
    dtype = np.dtype(np.uint8)
    base = np.random.default_rng(1).integers(0, 256, (CHUNK_ROWS, 24, 24, 3), np.uint8)

    def images(start: int, stop: int) -> NDArray[np.uint8]:
        rows = np.roll(base, start, axis=0).repeat(4, axis=1).repeat(4, axis=2)
        numbers = np.arange(start, stop)[:, None] // np.array([1, 256, 65536]) % 256
        rows[: stop - start, 0, 0] = numbers
        return rows[: stop - start]

    starts = range(0, n_rows, CHUNK_ROWS)
    if kind == "npy":
        path = folder / "rows.npy"
        mapped = np.lib.format.open_memmap(path, "w+", dtype, (n_rows, *ROW))
        for start in starts:
            stop = min(start + CHUNK_ROWS, n_rows)
            mapped[start:stop] = images(start, stop)
        mapped.flush()
        return path
    form = {"row_shape": ROW, "dtype": dtype, "chunk_rows": CHUNK_ROWS, "codec": kind}
    writer = RowWriter.open(folder / "images.zarr", "images", **form)
    for start in starts:
        writer.append(images(start, min(start + CHUNK_ROWS, n_rows)))
    writer.flush()
    return folder / "images.zarr" / "images"


def _print_throughput(
    root: Path, source: str, paths: Sequence[Path], function: str, n_rounds: int
) -> None:
    taken: dict[tuple[str, int], list[list[float]]] = {}
    for n in range(n_rounds + 1):
        sides = SIDES[n % len(SIDES) :] + SIDES[: n % len(SIDES)]
        for share, path in enumerate(paths):
            for side in sides:
                ran = _made(root, side, path, function)
                if n:  # The first warms the page cache.
                    found = taken.setdefault((side, share), [])
                    found.append([ran.took_s, ran.cpu_s])
    whole, part = ({side: np.array(taken[side, n]) for side in SIDES} for n in (0, 1))
    rest = {side: whole[side] - part[side] for side in SIDES}
    fixed = {side: np.median(part[side] - rest[side] / 3, axis=0) for side in SIDES}
    print(f"{source} {function}: loop {np.median(whole['loop'][:, 0]):.2f} s")
    for side in SIDES[1:]:
        ratios = rest["loop"] / rest[side]
        middle, beside = np.median(ratios, axis=0), fixed[side] - fixed["loop"]
        least, most = ratios[:, 0].min(), ratios[:, 0].max()
        print(
            f"{side:>5}: throughput {middle[0]:.3f} of the loop's ({least:.3f} to "
            f"{most:.3f}), by processor {middle[1]:.3f}; beside it {beside[0]:.2f} s, by "
            f"processor {beside[1]:.2f} s; the whole {np.median(whole[side][:, 0]):.2f} s",
            flush=True,
        )


def _made(root: Path, side: str, source: Path, function: str) -> Ran:
    """Map once, in a folder of its own that is removed; stop if that fails."""
    space = root / "space"
    space.mkdir()
    shutil.copy(root / "functions.py", space)
    (space / "job.py").write_text(JOB.format(source=str(source), function=function))
    own = [sys.executable, "-m", "lowmem"]
    line = {
        "loop": loop_line(source, function),
        "map": [*own, "map", f"functions:{function}", str(source), "out.zarr"],
        "run": [*own, "run", "job.py"],
    }[side]
    ran = timed(line, space)
    if ran.exit_code:
        sys.exit(f"{side}: {ran.errors}")
    shutil.rmtree(space)
    return ran


def loop_line(source: Path, function: str, out: str = "loop.zarr") -> list[str]:
    """Return the command of the loop; rows of a call and of a chunk are those of the map."""
    sizes = [str(CHUNK_ROWS), str(_block_rows(function))]
    return [sys.executable, "-c", LOOP, str(source), out, function, *sizes]


def _block_rows(function: str) -> int:
    # docs/formats has the rule: 64 MiB of input, or 16 of result.
    by_input = 2**26 // (CHUNK_ROWS * int(np.prod(ROW)))
    row_bytes = {"brightness": 8, "texture": 1024, "widened": 4 * int(np.prod(ROW))}
    by_result = 2**24 // (CHUNK_ROWS * row_bytes[function])
    return CHUNK_ROWS * max(1, min(by_input, by_result))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A map that was cut, and the same command once more.

    Attributes
    ----------
    n_rows, block_rows
        Of the source, and of what is committed at once.
    cut_at
        The row at which it was killed.
    calls
        (first row, rows) of each call of the second run.
    read_bytes, source_bytes
        What the second run read from the disk, and how large the source is there.
    is_same
        Whether the result is that of the loop.
    """

    n_rows: int
    block_rows: int
    cut_at: int
    calls: tuple[tuple[int, int], ...]
    read_bytes: int
    source_bytes: int
    is_same: bool

    @property
    def given_rows(self) -> int:
        """Rows that the function was given in the second run."""
        return sum(n for _, n in self.calls)

    def told(self) -> str:
        """Return a line of a table."""
        blocks = (self.given_rows - CHUNK_ROWS) / self.block_rows
        return (
            f"killed at row {self.cut_at} of {self.n_rows}; then rows "
            f"{self.calls[0][0]} on were read again, {self.given_rows} in all: one call and "
            f"{blocks:.2f} blocks of {self.block_rows}; from the disk "
            f"{self.read_bytes / MIB:.1f} of {self.source_bytes / MIB:.0f} MiB; the result "
            f"is {'' if self.is_same else 'NOT '}the loop's"
        )


def resumed(
    root: Path, source: Path, function: str, words: Sequence[str], share: float = 0.99
) -> Resumed:
    """Kill a map once ``share`` of its rows were given to the function; type it again.

    Raises
    ------
    SystemExit
        If it is not killed, or does not end well then.
    """
    space = root / "space"
    space.mkdir()
    shutil.copy(root / "functions.py", space)
    n_rows = zarr.open_array(source, mode="r").shape[0]
    cut_at = int(share * n_rows)
    told = {"CUT_AT": str(cut_at), "CUT_FUNCTION": function}
    own = [sys.executable, "-m", "lowmem", "map", "functions:cut", str(source)]
    line = ["env", *(f"{k}={v}" for k, v in told.items()), *own, "out.zarr", *words]
    first = timed(line, space)
    if first.exit_code >= 0 or not (space / "cut").exists():
        sys.exit(f"was not killed: {first}")
    (space / "calls").unlink()
    files = [path for path in source.rglob("*") if path.is_file()]
    for file in files:
        _drop_from_cache(file)
    second = timed(line, space)
    if second.exit_code:
        sys.exit(f"did not go on: {second}")
    subprocess.run(loop_line(source, function), cwd=space, check=True)
    stores = (space / "lowmem-work/out.zarr/out", space / "loop.zarr")
    made, expected = (zarr.open_array(store, mode="r") for store in stores)
    calls = (line.split() for line in (space / "calls").read_text().splitlines())
    found = Resumed(
        n_rows=n_rows,
        block_rows=made.chunks[0],
        cut_at=cut_at,
        calls=tuple((int(start), int(n)) for start, n in calls),
        read_bytes=second.disk_bytes,
        source_bytes=sum(file.stat().st_size for file in files),
        is_same=made.chunks == expected.chunks and np.array_equal(made, expected),
    )
    shutil.rmtree(space)
    return found


def _drop_from_cache(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
