"""What `lowmem exec` costs programs that nobody here wrote, and whether it stops them in time.

    python benchmarks/exec.py                    twelve programs, five pairs of each
    python benchmarks/exec.py --scale 0.1 --pairs 2        tries it

Each program is run by hand and under `lowmem exec`, in pairs whose order alternates, on the same input;
what is not installed is left out and said. `by hand` and `exec` are medians of the wall time, `start` is
what `lowmem exec -- true` takes, `over` is what is left of the difference without it, in per cent of the time by hand
(the watch itself), with the range over the pairs. `RSS` is the kernel's high-water mark of the largest process by hand,
`counted` lowmem's own peak of the whole tree. Outputs are compared byte by byte.

Then each of three hogs is run under a budget, which has to stop it: `peak` is the largest reading, `kernel` the
sum of the kernel's marks, which hold file-backed pages too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report

BUDGET = "2G"
HOG_BUDGET, HOG_BYTES = "400M", 400_000_000

SQL = """
import sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (a integer, b text)")
rows = ((n * 7919 % 100003, f"row {n}") for n in range(int(1_500_000 * SCALE)))
db.executemany("insert into t values (?, ?)", rows)
db.execute("create index i on t (a)")
print(db.execute("select sum(a), count(distinct b) from t where a % 3 = 0").fetchone())
"""
POOL = """
import multiprocessing, sys
def work(n):
    return sum(i * i for i in range(n))
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(work, [200_000] * int(300 * SCALE))))
"""
NODE = """
const kept = new Map();
for (let n = 0; n < 6e6 * SCALE; n++) kept.set(n, String(n));
let total = 0;
for (const [n, text] of kept) total += n * text.length;
console.log(total);
"""
HOGS = {
    "one process": "a = []\nwhile True: a.append(bytearray(2**20))",
    "two children": "import os\nos.fork()\na = []\nwhile True: a.append(bytearray(2**20))",
    "shared memory": "import mmap\na = []\n"
    "while True:\n    a.append(mmap.mmap(-1, 2**24)); a[-1].write(bytes(2**24))",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One program; ``line`` writes to its standard output."""

    name: str
    line: list[str]


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lowmem-exec-"))
    try:
        _compare(folder, options.scale, options.pairs)
        _stop(folder)
    finally:
        shutil.rmtree(folder)


def _compare(folder: Path, scale: float, pairs: int) -> None:
    start_s = statistics.median(
        _timed(_under(folder, "true", ["true"]))[0] for _ in range(max(5, pairs))
    )
    print(f"start {start_s:.2f} s; {pairs} pairs of each\n")
    print(
        f"{'program':24} by hand s    exec s    over %  (range)          RSS   counted MiB"
    )
    for case in _cases(folder, scale):
        if shutil.which(case.line[0]) is None:
            print(f"{case.name:24} is not installed")
            continue
        by_hand, under, over, marks = [], [], [], []
        for n in range(pairs):
            lines = [case.line, _under(folder, case.name, case.line)]
            order = (0, 1) if n % 2 == 0 else (1, 0)
            found = {}
            for which in order:
                found[which] = _timed(lines[which])
            _require(found[0][1] == found[1][1], f"{case.name} gives another output")
            by_hand.append(found[0][0])
            under.append(found[1][0])
            marks.append(found[0][2])
            over.append(100 * (found[1][0] - start_s - found[0][0]) / found[0][0])
        job = read_report(Workspace.at(folder / "w"), is_live=False).jobs
        counted = (job[_name(case.name)].ram_peak_bytes or 0) / 2**20
        print(
            f"{case.name:24} {statistics.median(by_hand):9.2f} {statistics.median(under):9.2f} "
            f"{statistics.median(over):9.1f}  ({min(over):.1f} to {max(over):.1f}) "
            f"{max(marks) / 2**20:9.0f} {counted:9.0f}"
        )


def _name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _under(folder: Path, title: str, line: list[str]) -> list[str]:
    own = [sys.executable, "-m", "lowmem", "exec", "--quiet", "--ram", BUDGET]
    return [*own, "--workspace", str(folder / "w"), "--name", _name(title), "--", *line]


def _timed(line: list[str]) -> tuple[float, str, int]:
    """Run a line; return its seconds, the sum of its output, and its high-water mark."""
    began = time.monotonic()
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        digest = hashlib.sha256()
        while block := os.read(process.stdout.fileno(), 2**20):
            digest.update(block)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took_s = time.monotonic() - began
    _require(process.returncode == 0, f"{line} failed")
    return took_s, digest.hexdigest(), usage.ru_maxrss * 1024


def _require(holds: bool, words: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        sys.exit(words)


def _cases(folder: Path, scale: float) -> list[Case]:
    text = folder / "text"
    with text.open("w") as stream:
        for n in range(int(3_000_000 * scale)):
            stream.write(f"{n * 7919 % 1_000_003} {n}\n")
    source = folder / "big.c"
    functions = int(3000 * scale)
    source.write_text(
        "\n".join(
            f"int f{n}(int a) {{ int s = {n}; for (int i = 0; i < a; i++) s += i * a; return s; }}"
            for n in range(functions)
        )
    )
    git = shutil.which("git") or "git"
    repository = folder / "repository"
    for line in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        repository.mkdir(exist_ok=True)
        if line[0] == "add":
            for n in range(200):
                (repository / f"{n}.txt").write_text(f"{n}\n" * 2000)
        subprocess.run([git, *line], cwd=repository, check=True, capture_output=True)
    python = sys.executable
    scripts = {"sql": SQL, "pool": POOL}
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(f"SCALE = {scale}\n{script}")
    (folder / "heap.js").write_text(f"const SCALE = {scale};\n{NODE}")
    count = int(60 * scale) or 1
    greps = f"for n in $(seq {count}); do git -C {repository} grep -c 7 | wc -l; done"
    return [
        Case("sort", ["sort", "-n", str(text)]),
        Case("gzip", ["gzip", "-c", "-n", "-9", str(text)]),
        Case("tar of a pipe", ["sh", "-c", f"tar cf - -C {folder} text | sha256sum"]),
        Case("xz, two threads", ["xz", "-c", "-T2", "-2", str(text)]),
        Case("git grep, many", ["sh", "-c", greps]),
        Case("cc -O2", ["cc", "-O2", "-S", str(source), "-o", "-"]),
        Case("sqlite in python", [python, str(folder / "sql.py")]),
        Case("a pool of processes", [python, str(folder / "pool.py")]),
        Case("node", ["node", str(folder / "heap.js")]),
        Case("awk", ["awk", "{s += $1; c[$1]++} END {print s, length(c)}", str(text)]),
        Case("pip itself", [python, "-m", "pip", "list", "--format=freeze"]),
        Case("ffmpeg", _ffmpeg(scale)),
    ]


def _ffmpeg(scale: float) -> list[str]:
    source = f"testsrc=duration={max(1, int(30 * scale))}:size=640x360:rate=25"
    options = ["-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-f", "avi", "-bitexact"]
    return ["ffmpeg", "-v", "error", *options, "-"]


def _stop(folder: Path) -> None:
    print(f"\n{'hog':16} exit   budget      peak    kernel MiB   where")
    for name, script in HOGS.items():
        path = folder / f"{_name(name)}.py"
        path.write_text(script)
        line = [sys.executable, "-m", "lowmem", "exec", "--ram", HOG_BUDGET, "--quiet"]
        words = ["--workspace", str(folder / "h"), "--name", _name(name), "--"]
        done = subprocess.run(
            [*line, *words, sys.executable, str(path)], capture_output=True, check=False
        )
        job = read_report(Workspace.at(folder / "h"), is_live=False).jobs[_name(name)]
        kernel = max(cycle.ram_hwm_bytes or 0 for cycle in job.cycles)
        peak = job.ram_peak_bytes or 0
        _require(done.returncode == 73, f"{name}: {done}")
        _require(peak <= HOG_BYTES, f"{name}: {peak}")
        print(
            f"{name:16} {done.returncode:4} {HOG_BYTES / 2**20:8.0f} {peak / 2**20:9.1f} "
            f"{kernel / 2**20:9.1f}   {job.events[-1].where}"
        )


if __name__ == "__main__":
    main()
