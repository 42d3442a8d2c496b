"""What every source gives: named entries in a fixed order, each readable or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

# A photograph of 64 megapixels stored without compression still fits; bytes.
MAX_FILE_BYTES = 2**28

# Why an image is not appended whose name the store has already.
TAKEN = "an image of this name is in the store already"

_SLASHES = ("", "/", "\\")
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

    def entry(self, index: int) -> Entry:
        """Return what is known of an image before it is read."""
        ...

    def fetch(self, entry: Entry) -> Any:  # noqa: ANN401 - what `load` takes
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
            If it cannot be unpacked or decoded.
        """
        ...


class Entry(NamedTuple):
    """One file of a folder, member of an archive, or row of an array.

    Attributes
    ----------
    name
        Relative name with slashes; bytes that are no UTF-8 as surrogates.
    n_bytes
        Its size once unpacked.
    place
        Where it begins in its archive, bytes; the number of a row.
    packed_bytes, crc, method
        Size, CRC-32 and compression of a member of a zip archive.
    changed_s
        When a file changed last, whole seconds of Unix time; 0 where it is not read.
    problem
        Why it is not to be read; empty where it is.
    """

    name: str
    n_bytes: int = 0
    place: int = 0
    packed_bytes: int = 0
    crc: int = 0
    method: int = 0
    changed_s: int = 0
    problem: str = ""

    @property
    def held_bytes(self) -> int:
        """Bytes that reading it holds."""
        return 0 if self.problem else max(self.n_bytes, self.packed_bytes)


class Entries(Protocol):
    """Entries by number, in the order in which they are taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Entry: ...


def _as_stored(_entry: Entry, data: bytes) -> bytes:
    return data


class FileSource:
    """Encoded images, one in each file or member.

    Parameters
    ----------
    read
        Returns the bytes of an entry as they are stored.
    unpack
        Returns the file that they hold; called by many threads.
    decode
        Returns the image that a file holds; called by many threads.
    """

    is_threaded = True

    def __init__(
        self,
        entries: Entries,
        *,
        read: Callable[[Entry], bytes],
        unpack: Callable[[Entry, bytes], bytes] = _as_stored,
        decode: Callable[[bytes], Pixels],
    ) -> None:
        self._entries = entries
        self._read = read
        self._unpack = unpack
        self._decode = decode

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, index: int) -> Entry:
        """Return what is listed of a file."""
        return self._entries[index]

    def fetch(self, entry: Entry) -> tuple[Entry, bytes]:
        """Return the bytes of a file as they are stored."""
        if entry.problem:
            raise UnreadableError(entry.problem)
        if entry.n_bytes > MAX_FILE_BYTES:
            raise UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
        return entry, self._read(entry)

    def load(self, stored: tuple[Entry, bytes]) -> Pixels:
        """Return the image that the bytes hold."""
        return self._decode(self._unpack(*stored))


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
    if name.isascii():
        return name
    return name_bytes(name).decode("utf-8", "backslashreplace")


def is_ignored(name: str) -> bool:
    """Tell whether a name is hidden, or made by macOS beside the real files."""
    if not name.startswith(".") and "/." not in name and "__MACOSX" not in name:
        return False
    parts = name.split("/")
    return any(
        part == "__MACOSX"
        or (part.startswith(".") and part != "." and not part.startswith(".."))
        for part in parts
    )


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a member; empty if nothing.

    Nothing is ever unpacked under its own name. A name that points elsewhere still
    marks an archive that is not what it seems, so its member is not taken.
    """
    if ".." not in name and name[:1] not in _SLASHES and name[1:2] != ":":
        return ""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or _DRIVE.match(name):
        return "unsafe name: it points outside the archive"
    return ""
