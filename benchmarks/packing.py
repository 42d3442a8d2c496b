"""What packing pictures costs here, and beside another checkout of lowmem.

    git worktree add --detach /tmp/before REV
    python benchmarks/packing.py --against /tmp/before
    python benchmarks/packing.py --against /tmp/before --rounds 1 --images 100 --large 6

`whole`: `lowmem run ingest` as a user types it, with all its processes, its plan and its
end. `loop`: the work alone, in one process that has imported everything, decodes itself
and commits as a worker does. Both are taken from a folder and from a zip archive, to 96
pixels, without compression, whose choice is measured and could differ.

Rounds in turn, the first of one the last of the next (ABBA). A ratio is that of the two
runs of one round: its median, and from the least to the most. `CPU` is the processor time
of all processes, by wait4(2). `peak` is the kernel's mark, the largest of the rounds: of
`whole` that of all processes in their worst cycle, as the report has it; of `loop` that
of its process.

Each checkout runs in this environment, found by PYTHONPATH. Both must store the same
pixels, or no table is printed. The pictures are made once: noise with the spectrum of
photographs, some of it grain. They stay in a folder for the next time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from checkouts import HERE, described, environment_of, require_checkout
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

MIB = 2**20
# Different pictures of a kind, at most; the others are copies under names of their own.
N_DISTINCT = {"small": 16, "large": 4}
# By these a picture takes as many bytes as those of cameras and of CelebA do: pixels
# across of what a lens shows of a large one, levels of grain, and how fast the amplitude
# falls with the frequency.
_SHARP, _GRAIN, _FALL = 2048, 3.0, 1.4

# Runs the job as a worker does, in this process, and tells what that took.
LOOP = """
import json, sys, time
from pathlib import Path
import lowmem_jobs.ingest.work
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive
source, workspace = sys.argv[1:]
settings = {"decode_ahead": 64, "decode_processes": 1}
given = {"source": source, "codec": "none"}
wall, processor = time.perf_counter(), time.process_time()
made = drive(JOB, Path(workspace), given, settings=settings, cycle_steps=20)
took = {"cpu_s": time.process_time() - processor, "wall_s": time.perf_counter() - wall}
# The resource usage would hold the peak of what started this process.
status = Path("/proc/self/status").read_text().splitlines()
mark = next(line for line in status if line.startswith("VmHWM"))
print(json.dumps({
    **took,
    "peak_bytes": int(mark.split()[1]) * 1024,
    "images": made["images"],
    "sha256": made["content_sha256"],
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures of one kind.

    Attributes
    ----------
    size
        Width and height.
    is_large
        Whether there are as many of them as `--large` says.
    settings
        How Pillow writes them.
    """

    size: tuple[int, int]
    is_large: bool
    suffix: str
    settings: Mapping[str, object]


PICTURES = {
    "JPEG, 178 x 218": Pictures(
        size=(178, 218), is_large=False, suffix=".jpg", settings={"quality": 75}
    ),
    "PNG, 178 x 218": Pictures(
        size=(178, 218), is_large=False, suffix=".png", settings={}
    ),
    "JPEG, 12 MP": Pictures(
        size=(4000, 3000), is_large=True, suffix=".jpg", settings={"quality": 92}
    ),
    # As cameras write it: each row of units can be found and decoded alone.
    "JPEG, 12 MP, restarts": Pictures(
        size=(4000, 3000),
        is_large=True,
        suffix=".jpg",
        settings={"quality": 92, "restart_marker_rows": 1},
    ),
    "JPEG, 1 MP, progressive": Pictures(
        size=(1200, 900),
        is_large=True,
        suffix=".jpg",
        settings={"quality": 85, "progressive": True},
    ),
    "PNG, 1 MP": Pictures(size=(1024, 1024), is_large=True, suffix=".png", settings={}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one run took."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    images: int
    sha256: str


def main() -> None:
    """Make the pictures, measure, and print one row a kind, source and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="a folder with another lowmem")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--images", type=int, default=2000, help="of the small kinds")
    parser.add_argument("--large", type=int, default=500, help="of the large kinds")
    parser.add_argument("--only", nargs="*", default=[], choices=list(PICTURES))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    scratch = Path(tempfile.gettempdir()) / "lowmem-packing"
    parser.add_argument("--scratch", type=Path, default=scratch, help="is kept")
    options = parser.parse_args()
    places = [HERE, *([options.against.resolve()] if options.against else [])]
    for place in places:
        require_checkout(place)
    print(shlex.join(["python", "benchmarks/packing.py", *sys.argv[1:]]), "\n")
    n_cores = len(os.sched_getaffinity(0))
    names = zip(("here", "there"), map(described, places), strict=False)
    compared = ", ".join(f"{name} {commit}" for name, commit in names)
    print(f"{options.rounds} rounds, {n_cores} cores; {compared}\n")
    print_head(is_alone=len(places) == 1)
    for kind in options.only or PICTURES:
        n_pictures = options.large if PICTURES[kind].is_large else options.images
        for source in sources(kind, n_pictures, options.scratch):
            for way in options.ways:
                runs = rounds(WAYS[way], source, places, options.rounds)
                print_row(f"{n_pictures:,} {kind}", source, way, runs)


# --- the pictures -----------------------------------------------------------------


def photograph(size: tuple[int, int], seed: int) -> Image.Image:
    """Return noise that is to an encoder what a photograph is.

    Its colours vary less than its brightness, and every pixel has some grain.
    """
    random = np.random.default_rng(seed)
    factor = min(1, _SHARP / max(size))
    width, height = (round(side * factor) for side in size)
    bright = 128 + 48 * _pink(random, width, height)
    colours = [bright + 8 * _pink(random, width, height) for _ in range(3)]
    coarse = np.clip(np.stack(colours, axis=-1), 0, 255).astype(np.uint8)
    scaled = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    grain = random.normal(0, _GRAIN, (*scaled.shape[:2], 1)).astype(np.float32)
    return Image.fromarray(np.clip(scaled + grain, 0, 255).astype(np.uint8))


def _pink(random: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Return noise of deviation one, most of it slow."""
    noise = np.fft.rfft2(random.normal(size=(height, width)))
    frequency = np.hypot(
        np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width) * width
    )
    frequency[0, 0] = np.inf
    found = np.fft.irfft2(noise / frequency**_FALL, (height, width))
    return found / found.std()


def encoded(pictures: Pictures, n_pictures: int) -> list[bytes]:
    """Return the different pictures of a kind."""
    n_distinct = N_DISTINCT["large" if pictures.is_large else "small"]
    found = []
    for seed in range(min(n_distinct, n_pictures)):
        stream = io.BytesIO()
        kind = {".jpg": "JPEG", ".png": "PNG"}[pictures.suffix]
        photograph(pictures.size, seed).save(stream, kind, **pictures.settings)
        found.append(stream.getvalue())
    return found


def sources(kind: str, n_pictures: int, scratch: Path) -> list[Path]:
    """Return a folder and an archive of so many pictures; they are made if need be."""
    pictures = PICTURES[kind]
    name = "".join(letter if letter.isalnum() else "-" for letter in kind)
    made = scratch / f"{name}-{n_pictures}"
    found = [made / "pictures", made / "pictures.zip"]
    if not made.exists():
        partial = made.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "pictures").mkdir(parents=True)
        data = encoded(pictures, n_pictures)
        with zipfile.ZipFile(partial / "pictures.zip", "w") as archive:
            for number in range(n_pictures):
                one, name = data[number % len(data)], f"{number:06}{pictures.suffix}"
                (partial / "pictures" / name).write_bytes(one)
                archive.writestr(name, one)
        partial.rename(made)
    return found


# --- the two ways -----------------------------------------------------------------


def whole(source: Path, place: Path, folder: Path) -> Took:
    """Run the command, and wait for all its processes."""
    space = folder / "w"
    environment = environment_of(place) | {"XDG_STATE_HOME": str(folder / "state")}
    line = [sys.executable, "-m", "lowmem", "run", "ingest", "--source", str(source)]
    line += ["--codec", "none", "--workspace", str(space), "--quiet"]
    began = time.perf_counter()
    line += ["--ram-budget", "2GiB"]
    process = subprocess.Popen(line, env=environment, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{place}: lowmem run ended with {process.returncode}")
    line = [sys.executable, "-m", "lowmem", "report", str(space), "--json"]
    told = subprocess.run(
        line, env=environment, cwd=folder, check=True, capture_output=True
    )
    job = json.loads(told.stdout)["jobs"]["ingest"]
    images = json.loads((space / "images.zarr/images/zarr.json").read_text())
    return Took(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=wall_s,
        peak_bytes=max(cycle["ram_hwm_bytes"] or 0 for cycle in job["cycles"]),
        images=images["shape"][0],
        sha256=images["attributes"]["content_sha256"],
    )


def loop(source: Path, place: Path, folder: Path) -> Took:
    """Run the work alone."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP, str(source), str(folder / "w")],
        env=environment_of(place),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return Took(**json.loads(done.stdout))


WAYS = {"whole": whole, "loop": loop}


def rounds(
    way: Callable[[Path, Path, Path], Took],
    source: Path,
    places: Sequence[Path],
    n_rounds: int,
) -> list[list[Took]]:
    """Return what each round took, in each place; one before them is not counted."""
    found: list[list[Took]] = []
    for number in range(n_rounds + 1):
        took = {}
        for place in places if number % 2 else reversed(places):
            with tempfile.TemporaryDirectory(prefix="lowmem-packing-") as folder:
                took[place] = way(source, place, Path(folder))
        found.append([took[place] for place in places])
    if len({(one.images, one.sha256) for took in found for one in took}) != 1:
        sys.exit(f"{source}: other pixels in one checkout than in the other: {found}")
    return found[1:]


# --- the table --------------------------------------------------------------------


def print_head(*, is_alone: bool) -> None:
    """Print the names of the columns."""
    names = ["pictures", "from", "way", "CPU s", "wall s", "peak MiB"]
    if not is_alone:
        names = [*names[:3], "CPU s: here", "there", "ratio", "wall s: here", "there"]
        names += ["ratio", "peak MiB: here", "there"]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")


def print_row(
    pictures: str, source: Path, way: str, runs: Sequence[Sequence[Took]]
) -> None:
    """Print the medians of one way, and how the two places compare."""
    cells = [pictures, source.suffix.removeprefix(".") or "folder", way]
    for name in ("cpu_s", "wall_s"):
        taken = [[getattr(one, name) for one in took] for took in runs]
        cells += [f"{statistics.median(one):.2f}" for one in zip(*taken, strict=True)]
        if len(taken[0]) > 1:
            cells.append(_ratio([here / there for here, there in taken]))
    peaks = zip(*[[one.peak_bytes for one in took] for took in runs], strict=True)
    cells += [f"{max(one) / MIB:.0f}" for one in peaks]
    print(f"| {' | '.join(cells)} |", flush=True)


def _ratio(ratios: Sequence[float]) -> str:
    middle = statistics.median(ratios)
    return f"{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    main()
