"""The five jobs under a storm of SIGKILLs: the result must be the same, to the bit.

    python benchmarks/kill_storm.py --kills 300 --folder storm     some 40 minutes
    python benchmarks/kill_storm.py --kills 50 --folder storm      50 more, added up
    python benchmarks/kill_storm.py --kills 10 --per-job 2         two in each job

The jobs run once without interruption, then again and again in new workspaces, each with
a mirror, while worker, supervisor, the mirror's process or several of them are killed at
moments drawn by chance: while they start, while they work, while a commit's temporary
folder is there, while results are published, while an archive in the mirror has no marker
yet. Every published byte, the last state of the training (weights, optimiser, generators)
and the journal are held against those of the uninterrupted run; so are the results that
come back from the mirror; `lowmem verify` has its say too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.processes import pipeline, storm

# Small enough for seconds, large enough for many commits of every job.
OPTIONS = {
    "ingest": ["--source", "faces:3000", "--size", "32", "--cycle-steps", "2"],
    "train": [
        *("--epochs", "2", "--batch-size", "64", "--filters", "8,16"),
        *("--latent-dim", "8", "--early-stopping", "3", "--cycle-steps", "4"),
    ],
    "encode": ["--cycle-steps", "1"],
    "analyze": ["--cycle-steps", "2"],
    "generate": ["--count", "1500", "--cycle-steps", "2"],
}
# In a process of its own, as `lowmem` does it: only that one loads fsspec.
RECOVER = """
import sys
from lowmem.base.workspace import Workspace
from lowmem.mirror.recover import recover
from lowmem.mirror.remote import Remote
space = Workspace.at(sys.argv[1])
recover(Remote.open(sys.argv[2], space.root.name), space, sys.argv[2])
"""
# Kills of one job in one workspace, before it may end.
KILLS_PER_JOB = 8


def main() -> None:
    """Kill, compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--per-job", type=int, default=KILLS_PER_JOB)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("kill-storm"))
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    reference = uninterrupted(chosen.folder.absolute())
    tally = read_tally(chosen.folder)
    goal = sum(tally["kills"].values()) + chosen.kills
    while (left := goal - sum(tally["kills"].values())) > 0:
        plan = Round(left=left, per_job=chosen.per_job, seed=chosen.seed)
        tally = one_round(chosen.folder.absolute(), reference, tally, plan)
        print_tables(tally)
    sys.exit(bool(tally["wrong"]))


def words(job: str, workspace: Path) -> list[str]:
    """Return the options of one job's command."""
    return [*OPTIONS[job], "--workspace", str(workspace), "--ram-budget", "2G"]


def recovered(folder: Path, mirror: Path) -> Path:
    """Return a new workspace of the same name, taken from the mirror alone."""
    workspace = folder / "recovered" / "storm"
    shutil.rmtree(workspace.parent, ignore_errors=True)
    line = [sys.executable, "-c", RECOVER, str(workspace), str(mirror)]
    subprocess.run(line, check=True)
    return workspace


def uninterrupted(folder: Path) -> Path:
    """Return the workspace of the run that nothing interrupts; made once."""
    workspace = folder / "reference"
    for job in pipeline.JOBS:
        line = [sys.executable, "-m", "lowmem", "run", job, *words(job, workspace)]
        subprocess.run([*line, "--quiet"], check=True)
    return workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How many kills are left, at most how many in one job, and the seed of chance."""

    left: int
    per_job: int
    seed: int


def one_round(folder: Path, reference: Path, tally: dict, plan: Round) -> dict:
    """Run the five jobs in a new workspace under kills, and compare."""
    workspace, mirror = folder / "storm", folder / "mirror"
    shutil.rmtree(workspace, ignore_errors=True)
    shutil.rmtree(mirror, ignore_errors=True)
    draw, left = np.random.default_rng([plan.seed, tally["rounds"]]), plan.left
    began = time.monotonic()
    for job in pipeline.JOBS:
        one = storm.Storm(
            job=job,
            workspace=workspace,
            words=[*words(job, workspace), "--mirror", str(mirror)],
            draw=draw,
            mirror=mirror / workspace.name,
        )
        one.run(min(plan.per_job, left))
        n_kills = sum(one.kills.values())
        left -= n_kills
        tally["jobs"][job] = tally["jobs"].get(job, 0) + n_kills
        tally["kills"] += Counter({" ".join(k): n for k, n in one.kills.items()})
        tally["commands"] += one.commands
    wrong = storm.audit(workspace, reference)
    back, expected = storm.sums(recovered(folder, mirror)), storm.sums(reference)
    # The training's state on the way is not part of its results.
    names = [name for name in expected if not name.startswith("training:")]
    wrong += [f"{n} from the mirror" for n in names if back.get(n) != expected[n]]
    tally["rounds"] += 1
    tally["seconds"] += time.monotonic() - began
    tally["wrong"] += wrong
    tally["compared"] += len(storm.sums(workspace))
    (folder / "storm.json").write_text(json.dumps(tally, indent=1))
    if wrong:
        workspace.rename(folder / f"wrong-{tally['rounds']}")
    return tally


def read_tally(folder: Path) -> dict:
    """Return what earlier calls counted, or nothing yet."""
    empty = {"rounds": 0, "seconds": 0.0, "wrong": [], "compared": 0, "commands": 0}
    tally = {**empty, "kills": {}, "jobs": {}}
    path = folder / "storm.json"
    if path.exists():
        tally |= json.loads(path.read_text())
    return tally | {"kills": Counter(tally["kills"])}


def print_tables(tally: dict) -> None:
    """Print what was killed, and what differed."""
    kills = tally["kills"]
    print(f"\n{'killed':12}" + "".join(f"{moment:>10}" for moment in storm.MOMENTS))
    for target in storm.TARGETS:
        counts = [kills[f"{target} {moment}"] for moment in storm.MOMENTS]
        print(f"{target:12}" + "".join(f"{n:10}" for n in counts))
    of_jobs = ", ".join(f"{job} {n}" for job, n in tally["jobs"].items())
    print(f"kills {sum(kills.values())} ({of_jobs})")
    print(
        f"in {tally['rounds']} runs of the five jobs, {tally['commands']} commands, "
        f"{tally['seconds'] / 60:.0f} minutes; {tally['compared']} files compared"
    )
    print(f"differences, lost or doubled items, damage: {len(tally['wrong'])}")
    for line in tally["wrong"][:20]:
        print(f"  {line}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
