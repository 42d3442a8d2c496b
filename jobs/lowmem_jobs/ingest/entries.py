"""What every source gives: named entries in a fixed order, each readable or not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

# A photograph of 64 megapixels stored without compression still fits; bytes.
MAX_FILE_BYTES = 2**28

_DRIVE = re.compile(r"[A-Za-z]:")


class UnreadableError(Exception):
    """Raised when one image cannot be had; the job lists it and goes on.

    It never leaves the job: an unreadable *source* is a `lowmem.base.errors.DataError`.
    """


class Source(Protocol):
    """Images in a fixed order, by number."""

    @property
    def is_threaded(self) -> bool:
        """Whether `load` leaves the interpreter to others, so that threads help."""
        ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return the name of an image, text that is safe to print."""
        ...

    def held_bytes(self, index: int) -> int:
        """Return the bytes that `fetch` will hold."""
        ...

    def fetch(self, index: int) -> Any:  # noqa: ANN401 - what `load` takes
        """Return an image as it is stored. Called in order, by one thread.

        Raises
        ------
        UnreadableError
            If it cannot be read.
        """
        ...

    def load(self, stored: Any) -> Pixels:  # noqa: ANN401
        """Return the finished image, shape (size, size, 3). Called by many threads.

        Raises
        ------
        UnreadableError
            If it cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a folder or member of an archive.

    Attributes
    ----------
    name
        Relative name with slashes; bytes that are no UTF-8 as surrogates.
    n_bytes
        Its size once unpacked.
    place
        Where it begins in its archive, bytes.
    packed_bytes, crc, method
        Size, CRC-32 and compression of a member of a zip archive.
    changed_s
        When a file changed last, whole seconds of Unix time; 0 where it is not read.
    problem
        Why it is not to be read; empty where it is.
    """

    name: str
    n_bytes: int
    place: int = 0
    packed_bytes: int = 0
    crc: int = 0
    method: int = 0
    changed_s: int = 0
    problem: str = ""


class Entries(Protocol):
    """Entries by number, in the order in which they are taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Entry: ...


class FileSource:
    """Encoded images, one in each file or member."""

    is_threaded = True

    def __init__(
        self,
        entries: Entries,
        *,
        read: Callable[[Entry], bytes],
        decode: Callable[[bytes], Pixels],
    ) -> None:
        self._entries = entries
        self._read = read
        self._decode = decode

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, index: int) -> str:
        """Return the name of a file as `printable` text."""
        return printable(self._entries[index].name)

    def held_bytes(self, index: int) -> int:
        """Return the size of a file."""
        entry = self._entries[index]
        return 0 if entry.problem else entry.n_bytes

    def fetch(self, index: int) -> bytes:
        """Return the bytes of a file."""
        entry = self._entries[index]
        if entry.problem:
            raise UnreadableError(entry.problem)
        if entry.n_bytes > MAX_FILE_BYTES:
            raise UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
        return self._read(entry)

    def load(self, stored: bytes) -> Pixels:
        """Return the image that the bytes hold."""
        return self._decode(stored)


def name_bytes(name: str) -> bytes:
    """Return a name as it is stored by the system."""
    return name.encode("utf-8", "surrogateescape")


def printable(name: str) -> str:
    r"""Return a name as text that any file can hold.

    Examples
    --------
    >>> print(printable(b"caf\xe9.png".decode("utf-8", "surrogateescape")))
    caf\xe9.png
    """
    return name_bytes(name).decode("utf-8", "backslashreplace")


def is_ignored(name: str) -> bool:
    """Tell whether a name is hidden, or made by macOS beside the real files."""
    parts = name.split("/")
    return any(
        part == "__MACOSX" or (part.startswith(".") and not part.startswith(".."))
        for part in parts
    )


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a member; empty if nothing.

    Nothing is ever unpacked under its own name. A name that points elsewhere still
    marks an archive that is not what it seems, so its member is not taken.
    """
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or _DRIVE.match(name):
        return "unsafe name: it points outside the archive"
    return ""
