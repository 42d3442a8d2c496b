"""Inputs as other programs and people make them, each against its right answer.

    python benchmarks/inputs.py                 all, some two minutes on one busy core
    python benchmarks/inputs.py --processes 12  and so many of them by the command itself
    python benchmarks/inputs.py --markdown      writes docs/input-cases.md, too
    python benchmarks/inputs.py --write FOLDER  writes the pictures, to be tried by hand

Every case (tests/corpus/cases) is written by our own generator, taken by the functions of
the job `ingest`, and compared value by value. Pictures come all at once through each kind
of folder and archive; cut short, they must be refused, or be the same still. Ends with 1
where one is silently wrong, or ends otherwise than by a refusal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import input_pages  # noqa: E402 - beside this file

from tests.corpus.cases import table  # noqa: E402
from tests.corpus.cases.case import SIDE, case_of  # noqa: E402
from tests.corpus.cases.judge import Verdict, judged, read_outcome, refused  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.cases.case import Case
    from tests.corpus.cases.table import Line

PAGE = ROOT / "docs" / "input-cases.md"


def main() -> int:
    """Run all cases, print the table; return 1 where there is a fault."""
    words = arguments()
    # Pillow and tifffile warn of much that is then refused.
    warnings.simplefilter("ignore")
    if words.write is not None:
        write_pictures(words.write)
        return 0
    start = time.monotonic()
    lines = list(all_lines(words.processes))
    for line in lines:
        if line.verdict not in {Verdict.RIGHT, Verdict.REFUSED} or words.all:
            print(input_pages.row(line), flush=True)
    print("\n".join(["", *input_pages.totals(lines)]))
    print(f"{time.monotonic() - start:.0f} s")
    if words.markdown:
        PAGE.write_text(input_pages.page(lines), encoding="utf-8")
    return int(any(line.verdict.is_fault for line in lines))


def arguments() -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=0, help="cases by the command")
    parser.add_argument("--markdown", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write pictures")
    parser.add_argument("--all", action="store_true", help="print every line")
    return parser.parse_args()


def write_pictures(folder: Path) -> None:
    """Write every picture into a folder of its group."""
    for picture in table.PICTURES:
        path = folder / picture.group / picture.name.replace("/", "_")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)


def all_lines(n_processes: int) -> Iterator[Line]:
    """Yield every line of the table."""
    for kind in table.ALL_SOURCES:
        yield from table.lines_of_pictures(kind)
    yield from table.lines_of_asked()
    yield from table.lines_of_cuts()
    yield from table.lines_of_cases()
    yield from lines_of_processes(n_processes)


def lines_of_processes(n_cases: int) -> Iterator[Line]:
    """Run some cases, spread over all groups, by the command ``lowmem``."""
    single = [case_of(one) for one in table.PICTURES if one.shown is None]
    cases = [*single, *table.CASES]
    step = max(1, len(cases) // max(1, n_cases))
    for case in cases[step // 2 :: step][:n_cases]:
        with tempfile.TemporaryDirectory() as folder:
            verdict, words = judged(case.right, by_command(case, Path(folder)))
        yield table.line_of(case, verdict, words, section="command")


def by_command(case: Case, folder: Path) -> object:
    """Return what becomes of a case by the command."""
    source = case.make(folder)
    workspace = folder / "work"
    command = [
        Path(sys.executable).with_name("lowmem"), "run", "ingest", "--source", source,
        "--workspace", workspace, "--size", str(SIDE), "--ram-budget", "1G", "--quiet",
    ]  # fmt: skip
    for name, value in case.options.items():
        command += [f"--{name}", str(value)]
    ended = subprocess.run(
        command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        return refused(ended.returncode, " ".join(ended.stderr.split()), workspace)
    return read_outcome(workspace)


if __name__ == "__main__":
    sys.exit(main())
