"""Files that take too much before a job begins: when imported, or by their metadata."""

from __future__ import annotations

import os
import statistics
import struct
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

from budget_groups import control_group, held_bytes, mark_of
from budget_peers import busy_cores
from budget_ways import IMPORTS, importing_job

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MIB = 2**20
_SAMPLE_S = 0.005
# A header of that size, where lowmem bounds what it reads of one.
_HEADER_BYTES = 300 * 10**6
# Bytes of a long name: one character beyond 16 bits makes each of the others take four.
_NAME_BYTES = 16_000
_WIDE = "\N{GRINNING FACE}"


def run_imports(options: argparse.Namespace, folder: Path) -> None:
    """Print one row a file: the whole command's peak, how it ended, what it said."""
    mib = round(1.4 * options.budget_mib)
    print(
        f"budget {options.budget_mib} MiB; peak of the whole command, MiB; of metadata"
    )
    print("without the page cache, sampled: ingest keeps the names in a file")
    print(
        f"{'what':<22}{'runs':>5}{'median':>9}{'worst':>8}{'past':>6}{'line':>6}",
        end="",
    )
    print(f"{'left':>6}  exit codes")
    with busy_cores():
        for name in IMPORTS:
            if not options.only or name in options.only:
                job, line = importing_job(folder, name, mib)
                _row(name, [str(job)], f"imports.py:{line}", options, folder)
        for name, make in METADATA.items():
            if not options.only or name in options.only:
                source = make(folder, mib)
                words = ["ingest", "--source", str(source)]
                _row(name, words, "", options, folder)
                source.unlink()


def _row(
    name: str, words: list[str], place: str, options: argparse.Namespace, folder: Path
) -> None:
    ends = [_ended(words, options, folder / "w") for _ in range(options.runs)]
    peaks = [peak / MIB for peak, *_ in ends]
    past = sum(peak > options.budget_mib for peak in peaks)
    named = sum(place in said for _, _, said, _ in ends)
    left = sum(n_left for *_, n_left in ends)
    print(f"{name:<22}{len(ends):>5}{statistics.median(peaks):>9.1f}", end="")
    print(f"{max(peaks):>8.1f}{past:>6}{named:>6}{left:>6}", end="")
    print(f"  {sorted({code for _, code, *_ in ends})}", flush=True)


def _ended(
    words: list[str], options: argparse.Namespace, space: Path
) -> tuple[int, int, str, int]:
    """Return peak, exit code, stderr, and how many processes outlived the command."""
    samples = [0]
    line = [sys.executable, "-m", "lowmem", "run", *words, "--workspace", str(space)]
    with control_group() as group:

        def enter() -> None:
            if group:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        with subprocess.Popen(
            [*line, "--ram-budget", f"{options.budget_mib}MiB", "--quiet"],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=enter,  # noqa: PLW1509 - no thread is running yet
        ) as process:
            while process.poll() is None:
                samples.append(held_bytes(group) if group else 0)
                time.sleep(_SAMPLE_S)
            code = process.returncode
            left = (group / "cgroup.procs").read_text().split() if group else []
            for pid in left:
                os.kill(int(pid), 9)
            said = process.stderr.read() if process.stderr else ""
        mark = mark_of(group) if group else None
        peak = int(mark.read_text()) if mark else 0
        if words[0] == "ingest":
            peak = max(samples)
    return peak, code, said, len(left)


# --- sources with large metadata ------------------------------------------------


def zip_of_names(path: Path, n_bytes: int) -> None:
    """Write an archive whose list of names takes so much of memory, read at once.

    A quarter of that on the disk. All members are the same one, an empty file.
    """
    n_names = n_bytes // (4 * _NAME_BYTES)
    with path.open("wb") as stream:
        stream.write(struct.pack("<4s5H3I2H", b"PK\3\4", 20, *[0] * 9))
        start = stream.tell()
        for number in range(n_names):
            name = f"{number:08}{_WIDE}".ljust(_NAME_BYTES, "x").encode()
            sizes = (0, 0, 0, len(name), *[0] * 6)
            stream.write(
                struct.pack(
                    "<4s2B5H3I5H2I", b"PK\1\2", 20, 3, 20, 0x800, 0, 0, 0, *sizes
                )
            )
            stream.write(name)
        length = stream.tell() - start
        most = min(n_names, 2**16 - 1)
        ends = (0, 0, most, most, length, start, 0)
        stream.write(struct.pack("<4s4H2IH", b"PK\5\6", *ends))


def _names_of_npz(folder: Path, mib: int) -> Path:
    path = folder / "names.npz"
    zip_of_names(path, mib * MIB)
    return path


def _names_of_zip(folder: Path, mib: int) -> Path:
    path = folder / "names.zip"
    zip_of_names(path, mib * MIB)
    return path


def _header_of_npy(folder: Path, _: int) -> Path:
    path = folder / "header.npy"
    head = b"\x93NUMPY\2\0" + struct.pack("<I", _HEADER_BYTES)
    path.write_bytes(head + b"{" + b" " * (_HEADER_BYTES - 1))
    return path


def _header_of_tar(folder: Path, _: int) -> Path:
    path = folder / "header.tar"
    member = tarfile.TarInfo("./././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, _HEADER_BYTES
    path.write_bytes(member.tobuf() + b"x" * _HEADER_BYTES)
    return path


METADATA = {
    "names of a .npz": _names_of_npz,
    "names of a .zip": _names_of_zip,
    "header of a .npy": _header_of_npy,
    "header of a tar": _header_of_tar,
}
