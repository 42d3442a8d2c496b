"""Put a verified tree into a workspace, all of it whatever cuts the work: a redo log.

    write_placing(folder, ["model", ".lowmem/journal.jsonl"])
    finish_placing(folder, root)

The tree lies in ``folder/tree``, on the same file system as ``root``. Once the list is
on the disk, every start finishes what an earlier one began, without the tree's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lowmem.base.containment import place_in
from lowmem.base.errors import CorruptFileError
from lowmem.base.files import (
    make_folder,
    remove,
    rename,
    sync_tree,
    write_file,
)
from lowmem.base.outside import BAD_JSON, read_text_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TREE = "tree"
_LIST = "placing.json"
_RETIRED = "retired"


def tree_in(folder: Path) -> Path:
    """Return where the tree is to be built."""
    return folder / _TREE


def write_placing(folder: Path, units: Sequence[str]) -> None:
    """Decide durably that these files and folders of the tree take their places."""
    sync_tree(tree_in(folder))
    write_file(folder / _LIST, msgspec.json.encode(list(units)))


def is_placing(folder: Path) -> bool:
    """Return whether a placing was decided and is not finished."""
    return (folder / _LIST).exists()


def finish_placing(folder: Path, root: Path) -> bool:
    """Move each unit to its place in the order of the list; return whether there was one.

    Notes
    -----
    What is there already is replaced. A unit leaves the tree last, so a second call does
    what a first one did not. Without a list the folder is a fragment, and goes.
    """
    if not is_placing(folder):
        remove(folder)
        return False
    path = folder / _LIST
    try:
        units = msgspec.json.decode(read_text_bytes(path), type=list[str])
    except BAD_JSON as error:
        raise CorruptFileError(path=path, problem="cannot be read") from error
    places = [place_in(root, unit) for unit in units]
    for number, (unit, target) in enumerate(zip(units, places, strict=True)):
        source = tree_in(folder) / unit
        if not source.exists():
            continue
        make_folder(target.parent)
        if target.is_dir():
            retired = folder / f"{_RETIRED}-{number}"
            remove(retired)
            rename(target, retired)
        rename(source, target)
    # The list goes first: a folder without one is a fragment.
    remove(folder / _LIST)
    remove(folder)
    return True
