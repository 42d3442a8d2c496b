"""The list of a copy's checksums, as `sha256sum` writes and checks it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lowmem.base.files import rename, storage_errors, sync_file

if TYPE_CHECKING:
    from lowmem.staging.copied_blocks import Ledger
    from lowmem.staging.scratch_paths import Places


def write_checksums(work: Places, ledger: Ledger) -> None:
    """Write the SHA-256 of every file as `sha256sum` does."""
    draft = work.checksums.with_name(work.checksums.name + ".tmp")
    top = os.fsencode(work.target.name)
    with storage_errors(draft), draft.open("wb") as stream:
        for name, digest in ledger.checked():
            path = b"/".join(filter(None, (top, name)))
            safe = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
            mark = b"" if safe == path else b"\\"
            stream.write(b"%s%s  %s\n" % (mark, bytes(digest).hex().encode(), safe))
    sync_file(draft)
    rename(draft, work.checksums)
