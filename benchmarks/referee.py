"""What a referee of others finds: `ckpt-chaos` kills at file operations and compares.

    pip install ckpt-chaos==0.1.8
    python benchmarks/referee.py                      train, map, analyze: 40 points each
    python benchmarks/referee.py map --points 10 --of supervisor

`ckpt-chaos run` records each file that a command opens for writing, renames or removes
under its folder. Then it kills a fresh copy of the command at such points, drawn evenly:
before the operation, or after it with the file cut in half. It runs the command once more,
and holds the result's bytes against those of a command that nothing killed.

As it comes it sees none of lowmem's operations: it watches the first process of a command
and tells all others to be left alone, and lowmem's first process becomes another program,
which starts those that work. `referee_run.py` moves that mark to the worker, which writes
results and checkpoints, or to the supervisor, which writes the journal and the page. Nothing
of lowmem or of `ckpt-chaos` is changed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent.resolve()
PROCESSES = ("worker", "supervisor")
MAP = '''
import lowmem

@lowmem.map(source="rows.npy", out="roots.zarr")
def roots(rows):
    """Square roots."""
    import numpy as np
    return np.sqrt(rows)
'''
# Prints the sum of all that was published: `--result-cmd` compares what is printed.
SUM = """
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
found = hashlib.sha256()
for name in sys.argv[2:]:
    start = root / name
    for path in sorted([start] if start.is_file() else start.rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(root)).encode() + path.read_bytes())
print(found.hexdigest())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is run, after which commands, and which of its results are compared."""

    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    results: tuple[str, ...]


CASES = {
    "train": Case(
        before=(("ingest", "--source", "faces:200", "--size", "24"),),
        words=(
            *("train", "--epochs", "1", "--filters", "4,8", "--latent-dim", "3"),
            *("--batch-size", "32", "--cycle-steps", "2"),
        ),
        results=("model", "training.json"),
    ),
    "map": Case(
        words=("{folder}/roots.py", "--cycle-steps", "2", "--set", "rows=256"),
        results=("roots.zarr",),
    ),
    "analyze": Case(
        words=(
            *("analyze", "--latents", "{folder}/rows.npy"),
            *("--cycle-steps", "2"),
        ),
        results=("analysis", "analysis.zarr"),
    ),
}


def main() -> None:
    """Let the referee judge each case; exit with 1 if it found anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all")
    parser.add_argument("--of", choices=PROCESSES, action="append", help="both")
    parser.add_argument("--points", type=int, default=40)
    chosen = parser.parse_args()
    failed = False
    for name in chosen.cases or CASES:
        for who in chosen.of or PROCESSES:
            with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
                print(f"--- {name}, killed in its {who}", flush=True)
                failed |= judge(CASES[name], who, Path(folder), chosen.points)
    sys.exit(failed)


def judge(case: Case, who: str, folder: Path, n_points: int) -> bool:
    """Run one case under the referee; return whether it found anything."""
    rng = np.random.default_rng(1)
    np.save(folder / "rows.npy", rng.normal(size=(3000, 4)) ** 2)
    (folder / "roots.py").write_text(MAP)
    (folder / "sum.py").write_text(SUM)
    prepared = folder / "prepared"
    prepared.mkdir()
    for words in case.before:
        line = [sys.executable, "-m", "lowmem", "run", *words, "--quiet"]
        subprocess.run([*line, "--workspace", str(prepared)], check=True)
    words = [word.replace("{folder}", str(folder)) for word in case.words]
    compared = [sys.executable, str(folder / "sum.py"), "{out}", *case.results]
    line = [
        *(sys.executable, "-m", "ckpt_chaos", "run", "--max-points", str(n_points)),
        *("--work", str(folder / "work"), "--result-cmd", shlex.join(compared), "--"),
        *(sys.executable, str(HERE / "referee_run.py"), who, str(prepared), "{out}"),
        *words,
    ]
    status = subprocess.run(line, check=False, cwd=folder).returncode
    work = folder / "work"
    missing = [
        name for name in case.results if not (work / "reference/out" / name).exists()
    ]
    n_dead, n_named = deaths(work)
    print(f"died at its point: {n_dead} of {n_named}; exit status {status}", flush=True)
    if missing:
        print(f"nothing was compared: {', '.join(missing)} was not made")
    return bool(status or missing or n_dead < n_named)


def deaths(work: Path) -> tuple[int, int]:
    """Return how many of the killed processes ended at their point, and how many were to.

    `ckpt-chaos` looks at the exit status of the command, which is 0 where the supervisor
    has started another worker. What a process wrote last tells where it ended.
    """
    n_dead = n_named = 0
    for path in sorted(work.glob("pt_*/result.json")):
        if "point" not in (found := json.loads(path.read_text())):
            continue
        log = path.parent / "events.log.rank0"
        lines = log.read_text().splitlines() if log.exists() else []
        n_named += 1
        last = int(lines[-1].split("\t")[0]) if lines else 0
        # A file that is cut in half kills when it is closed, which may be much later.
        n_dead += found["rc"] != 0 or last == found["point"][0]
    return n_dead, n_named


if __name__ == "__main__":
    main()
