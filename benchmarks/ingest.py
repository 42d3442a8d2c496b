"""Packing JPEGs in figures: speed beside the bare decoder and a plain script; memory.

    python benchmarks/ingest.py speed            178 x 218 pixels to 96 x 96, as CelebA's
    python benchmarks/ingest.py speed --photos   1000 x 1000 pixels to 96 x 96
    python benchmarks/ingest.py memory           the kernel's peak, archives up to 5 GB
    python benchmarks/ingest.py many             the same of 100,000 tiny files, by source
    python benchmarks/ingest.py sum              what the archive's SHA-256 takes of it

`bare loop`: Pillow alone, encoded images in RAM: decode, cut, scale, nothing stored; one
process a core. `the same, stored`: that loop with what lowmem promises of a store and no
line more: CRC-32 of what is decoded, SHA-256 of source and pixels, CRC-32C of chunks in
files of their own, all on the disk in the end. `plain script`: one process, zipfile, Pillow and h5py, as one would write
it. `lowmem`: the whole command, its start and its end included; `lowmem, cycles`: from
the beginning of the work to the last commit of the same run. What lies between the two
is the same for any number of images, and said below the table. Rounds in turn.

Archives hold drawn faces with noise, some hundred of them under ever new names, and are
deleted at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

MIB = 2**20
N_DISTINCT = 256

BARE = """
import hashlib, io, multiprocessing, os, sys, time, zipfile, zlib
import google_crc32c
import numpy as np
from PIL import Image

def finish(data):
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        side = min(width, height)
        factor = min(1.0, 3.0 * 96 / side)
        image.draft("RGB", (round(width * factor), round(height * factor)))
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        resample = Image.Resampling.LANCZOS
        return np.asarray(square.resize((96, 96), resample, reducing_gap=3.0))

def loop(start, step, pipe):
    with zipfile.ZipFile(sys.argv[1]) as archive:
        images = [archive.read(name) for name in archive.namelist()[start::step]]
    pipe.send("ready")
    pipe.recv()
    if folder:
        store(images, os.path.join(folder, str(start)))
    else:
        for data in images:
            finish(data)
    pipe.send(len(images))

def store(images, prefix):
    source, digest, files = hashlib.sha256(), b"", []
    for first in range(0, len(images), 128):
        rows = []
        for data in images[first : first + 128]:
            zlib.crc32(data)
            source.update(data)
            rows.append(finish(data))
            digest = hashlib.sha256(digest + rows[-1].tobytes()).digest()
        chunk = np.stack(rows)
        files.append(open(f"{prefix}-{first}", "xb", buffering=0))
        files[-1].write(chunk)
        files[-1].write(google_crc32c.value(chunk.tobytes()).to_bytes(4, "little"))
    for file in files:
        os.fsync(file.fileno())

n, folder = int(sys.argv[2]), sys.argv[3]
fork = multiprocessing.get_context("fork")
pipes, loops = [], []
for core in range(n):
    here, there = fork.Pipe()
    loops.append(fork.Process(target=loop, args=(core, n, there)))
    loops[-1].start()
    pipes.append(here)
for pipe in pipes:
    pipe.recv()
began = time.perf_counter()
for pipe in pipes:
    pipe.send("go")
done = sum(pipe.recv() for pipe in pipes)
print(done / (time.perf_counter() - began))
"""

# The job in one process, as the worker runs it, with the time in `advance` summed up.
SUM = """
import os, sys, time
sys.path[:0] = ["."]
from pathlib import Path
from lowmem_jobs.ingest import file_checksum
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive

spent = [0.0]
def timed(self, share, advance=file_checksum.FileSum.advance):
    began = time.perf_counter()
    advance(self, share)
    spent[0] += time.perf_counter() - began
file_checksum.FileSum.advance = timed
began = time.perf_counter()
n = len(os.sched_getaffinity(0))
settings = {"decode_ahead": 64 * n, "decode_processes": n}
given = {"source": sys.argv[1], "crop": "center"}
drive(JOB, Path(sys.argv[2]), given, settings=settings, cycle_steps=20)
print(spent[0] / (time.perf_counter() - began))
"""

PLAIN = """
import sys, zipfile
import h5py
import numpy as np
from PIL import Image

with zipfile.ZipFile(sys.argv[1]) as archive, h5py.File(sys.argv[2], "w") as target:
    names = sorted(archive.namelist())
    images = target.create_dataset(
        "images", (len(names), 96, 96, 3), "uint8", chunks=(128, 96, 96, 3))
    for row, name in enumerate(names):
        image = Image.open(archive.open(name)).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        images[row] = np.asarray(square.resize((96, 96), Image.Resampling.LANCZOS))
"""


def main() -> None:
    """Measure what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("speed", "memory", "many", "sum"))
    parser.add_argument("--photos", action="store_true")
    parser.add_argument("--images", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--sizes", default="0.25,1,5", help="GB, of part `memory`")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lowmem-ingest-"))
    try:
        parts = {"speed": speed, "memory": memory, "many": many, "sum": whole_sum}
        parts[options.part](folder, options)
    finally:
        shutil.rmtree(folder)


def encoded(*, photos: bool) -> list[bytes]:
    """Return JPEGs of faces with noise: some 9 kB of 178 x 218, or 190 kB of 1000^2."""
    from lowmem_jobs.ingest.faces import FaceSource

    width, height = (1000, 1000) if photos else (178, 218)
    source = FaceSource(N_DISTINCT, seed=1, size=height)
    random = np.random.default_rng(1)
    found = []
    for index in range(16 if photos else N_DISTINCT):
        left = (height - width) // 2
        face = source.load(index)[:, left : left + width].astype(np.int16)
        coarse = random.normal(0, 6, (height // 2, width // 2))
        grain = np.kron(coarse, np.ones((2, 2))) + random.normal(0, 3, face.shape[:2])
        pixels = np.clip(face + grain[..., None], 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=80)
        found.append(stream.getvalue())
    return found


def make_zip(path: Path, images: list[bytes], n_images: int) -> None:
    """Write an archive of so many images; the distinct ones in turn."""
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(n_images):
            archive.writestr(f"faces/{index:07}.jpg", images[index % len(images)])


def speed(folder: Path, options: argparse.Namespace) -> None:
    """Print images a second of each way, the median of the rounds."""
    images = encoded(photos=options.photos)
    n_images = options.images or (3000 if options.photos else 12_000)
    archive = folder / "faces.zip"
    make_zip(archive, images, n_images)
    cores = set(sorted(os.sched_getaffinity(0))[: options.cores])
    os.sched_setaffinity(0, cores)
    print(f"{n_images:,} JPEGs, {archive.stat().st_size / MIB:,.0f} MiB, cores {cores}")
    ways = {"bare loop": bare, "the same, stored": stored}
    ways |= {"lowmem": lowmem, "lowmem, cycles": cycles, "plain script": plain}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name, way in ways.items():
            rates[name].append(way(folder / f"out{number}", archive, n_images))
    best = statistics.median(rates["bare loop"])
    print(f"{'way':<16}{'images/s':>10}{'ratio':>8}   all rounds")
    for name, found in rates.items():
        middle = statistics.median(found)
        rounds = ", ".join(f"{rate:,.0f}" for rate in found)
        print(f"{name:<16}{middle:>10,.0f}{middle / best:>8.2f}   {rounds}")
    pairs = zip(rates["lowmem"], rates["lowmem, cycles"], strict=True)
    fixed = statistics.median(
        n_images / whole - n_images / part for whole, part in pairs
    )
    print(f"start and end of the command: {fixed:.1f} s, however many images")


def bare(_out: Path, archive: Path, _n_images: int, folder: str = "") -> float:
    """Return the decoder's own images a second."""
    n_cores = len(os.sched_getaffinity(0))
    line = [sys.executable, "-c", BARE, str(archive), str(n_cores), folder]
    return float(subprocess.run(line, check=True, capture_output=True).stdout)


def stored(out: Path, archive: Path, n_images: int) -> float:
    """Return images a second of the loop that stores what it decodes."""
    out.mkdir()
    rate = bare(out, archive, n_images, str(out))
    shutil.rmtree(out)
    return rate


def lowmem(out: Path, archive: Path, n_images: int, *more: str) -> float:
    """Return images a second of the whole command; the workspace stays."""
    shutil.rmtree(out, ignore_errors=True)
    line = [sys.executable, "-m", "lowmem", "run", "ingest", "--source", str(archive)]
    began = time.perf_counter()
    run = ["--crop", "center", "--workspace", str(out), "--ram-budget", "1G", "--quiet"]
    subprocess.run([*line, *run, *more], check=True)
    seconds = time.perf_counter() - began
    if sum(cycle["items"] for cycle in report(out)["cycles"]) != n_images:
        raise SystemExit("not every image was packed")
    return n_images / seconds


def cycles(out: Path, _archive: Path, n_images: int) -> float:
    """Return images a second of the cycles of the run before."""
    seconds = sum(cycle["seconds"] for cycle in report(out)["cycles"])
    shutil.rmtree(out)
    return n_images / seconds


def report(out: Path) -> dict:
    """Return what lowmem says of the ingest in a workspace."""
    line = [sys.executable, "-m", "lowmem", "report", str(out), "--json"]
    text = subprocess.run(line, check=True, capture_output=True).stdout
    return json.loads(text)["jobs"]["ingest"]


def plain(out: Path, archive: Path, n_images: int) -> float:
    """Return images a second of the plain script."""
    target = out.with_suffix(".h5")
    began = time.perf_counter()
    line = [sys.executable, "-c", PLAIN, str(archive), str(target)]
    subprocess.run(line, check=True)
    seconds = time.perf_counter() - began
    target.unlink()
    return n_images / seconds


def whole_sum(folder: Path, options: argparse.Namespace) -> None:
    """Print how much of the packing's time the worker itself spends on the SHA-256.

    The other processes decode meanwhile, so it is the most that it can cost. `plain`: as
    processors without instructions for SHA-256 take it.
    """
    archive = folder / "faces.zip"
    make_zip(archive, encoded(photos=options.photos), options.images or 12_000)
    print(f"{'SHA-256':<10}{'share of the time':>18}   all rounds")
    rounds: dict[str, list[float]] = {"as it is": [], "plain": []}
    for number in range(options.rounds):
        for name, shares in rounds.items():
            # Bit 29 of the extended features stands for the instructions.
            env = {"OPENSSL_ia32cap": ":~0x20000000"} if name == "plain" else {}
            line = [sys.executable, "-c", SUM, str(archive), str(folder / f"{number}")]
            done = subprocess.run(
                line, check=True, capture_output=True, text=True, env=os.environ | env
            )
            shares.append(float(done.stdout.split()[-1]))
            shutil.rmtree(folder / f"{number}")
    for name, shares in rounds.items():
        told = ", ".join(f"{share:.2%}" for share in shares)
        print(f"{name:<10}{statistics.median(shares):>18.2%}   {told}")


def memory(folder: Path, options: argparse.Namespace) -> None:
    """Print the peaks of ingesting archives of different sizes."""
    print(f"{'archive GB':>10}{'images':>10}{'photos':>8}{'peak MiB':>10}", end="")
    print(f"{'kernel MiB':>12}{'images/s':>10}")
    images = encoded(photos=options.photos)
    mean_bytes = sum(map(len, images)) / len(images) + 150
    for size in options.sizes.split(","):
        n_images = int(float(size) * 1e9 / mean_bytes)
        archive, out = folder / "faces.zip", folder / "w"
        make_zip(archive, images, n_images)
        rate = lowmem(out, archive, n_images)
        job = report(out)
        kernel = max(cycle["ram_hwm_bytes"] or 0 for cycle in job["cycles"])
        print(f"{float(size):>10.2f}{n_images:>10,}{options.photos!s:>8}", end="")
        print(f"{job['ram_peak_bytes'] / MIB:>10.0f}{kernel / MIB:>12.0f}", end="")
        print(f"{rate:>10,.0f}")
        archive.unlink()
        shutil.rmtree(out)


def many(folder: Path, options: argparse.Namespace) -> None:
    """Print time and peaks of very many tiny files, every tenth of which is no image."""
    n_files = options.images or 100_000
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "PNG")
    contents = [stream.getvalue()] * 9 + [b"no image"]
    files, archive = folder / "files", folder / "files.zip"
    files.mkdir()
    with zipfile.ZipFile(archive, "w") as target:
        for index in range(n_files):
            (files / f"{index:06}.png").write_bytes(contents[index % 10])
            target.writestr(f"{index:06}.png", contents[index % 10])
    print(f"{'source':>8}{'files':>10}{'seconds':>9}{'peak MiB':>10}{'kernel MiB':>12}")
    for source in (files, archive):
        out = folder / "w"
        rate = lowmem(out, source, n_files * 9 // 10, "--size", "8")
        job = report(out)
        kernel = max(cycle["ram_hwm_bytes"] or 0 for cycle in job["cycles"])
        seconds = n_files * 0.9 / rate
        kind = source.suffix or "folder"
        print(f"{kind:>8}{n_files:>10,}{seconds:>9.1f}", end="")
        print(f"{job['ram_peak_bytes'] / MIB:>10.0f}{kernel / MIB:>12.0f}")
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
