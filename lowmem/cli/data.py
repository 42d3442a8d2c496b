"""`lowmem data`: what a store holds, whether it is as written; data brought near."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lowmem.base.errors import DataError, ReportedError, UsageError
from lowmem.base.units import format_bytes
from lowmem.integrity.stores import StoreCheck, StoreSummary, check_store, summary_of
from lowmem.report.columns import printable
from lowmem.supervisor.short_programs import run_module

# Bad chunks shown in text; the JSON has them all.
_SHOWN = 20

app = typer.Typer(
    help="Look into a Zarr store; copy data to the local disk.",
    invoke_without_command=True,
)

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="A Zarr folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _main(context: typer.Context) -> None:
    """Look into a Zarr store; copy data to the local disk."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="info")
def info_command(
    store: StoreArgument,
    as_json: JsonOption = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write a contact sheet.")
    ] = None,
) -> None:
    """Say what a store holds, how it is stored and where it came from."""
    found = summary_of(store)
    if sheet is not None:
        _write_sheet(store, sheet)
    if as_json:
        print(json.dumps({"schema": 1, **asdict(found)}, indent=2))
    else:
        print(text_from_summary(found))


def _write_sheet(store: Path, sheet: Path) -> None:
    if not sheet.absolute().parent.is_dir():
        raise UsageError(
            f"--sheet is {sheet}, expected a file in a folder that is there."
        )
    # NumPy and Pillow have no place in this process.
    status, message = run_module("lowmem.stores.contact_sheet", str(store), str(sheet))
    if status:
        raise ReportedError(message=message, exit_code=status)


@app.command(name="verify")
def verify_command(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Hold every chunk of a store against its checksum."""
    found = check_store(store)
    if as_json:
        is_whole = not found.bad
        print(
            json.dumps({"schema": 1, "is_whole": is_whole, **asdict(found)}, indent=2)
        )
    else:
        print(text_from_check(found))
    if found.bad:
        raise _damage(store, found)


@app.command(name="stage")
def stage_command(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file or folder, on a mount.")
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="A folder of the local disk.")
    ],
) -> None:
    """Copy a file or folder, checked and resumable; print the path of the copy."""
    # Loads the progress bar and a database, which no other command of these needs.
    from lowmem.cli.stage import lines_from_staged, stage_with_bars  # noqa: PLC0415

    staged = stage_with_bars(source, destination)
    print("\n".join(lines_from_staged(staged)), file=sys.stderr)
    print(staged.path)


def text_from_summary(found: StoreSummary) -> str:
    """Return a summary for people to read."""
    lines = [f"Store {found.path}", ""]
    for array in found.arrays:
        shape = " x ".join(map(str, array.shape))
        chunk = " x ".join(map(str, array.chunk_shape))
        lines += [
            f"{array.name or '(the store itself)'}: {shape} {array.dtype}",
            (
                f"  chunks     {chunk}, {array.n_files:,} files, "
                f"{format_bytes(array.stored_bytes)}"
            ),
            f"  codec      {array.codec}",
            f"  checksums  {'CRC-32C of every chunk' if array.has_checksums else 'none'}",
        ]
    if found.attributes:
        lines += ["", "Of itself it says"]
        lines += [f"  {key}: {value}" for key, value in found.attributes.items()]
    return "\n".join(map(printable, lines))


def text_from_check(found: StoreCheck) -> str:
    """Return the outcome of a check for people to read."""
    is_checked = found.n_chunks or not found.unchecked
    said = f"{found.n_chunks:,} chunks read, each against its CRC-32C"
    lines = [said if is_checked else "nothing was checked"]
    lines += [
        f"array {name or 'of the store'} has no checksums: its chunks were not read"
        for name in found.unchecked
    ]
    for bad in found.bad[:_SHOWN]:
        lines.append(f"damaged: {bad.path} ({bad.samples}) {bad.problem}")
    if len(found.bad) > _SHOWN:
        lines.append(f"... and {len(found.bad) - _SHOWN:,} more: --json has all")
    return "\n".join(map(printable, lines))


def _damage(store: Path, found: StoreCheck) -> DataError:
    first = found.bad[0]
    more = f", and {len(found.bad) - 1} more chunks" if len(found.bad) > 1 else ""
    return DataError(
        thing=store / first.path,
        problem=f"({first.samples}) {first.problem}{more}",
        expected="every chunk as it was written",
        todo="Restore the store from a copy, or make it again: run its job with "
        "--restart.",
    )
