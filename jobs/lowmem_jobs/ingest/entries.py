"""What every source gives: named entries in a fixed order, each readable or not."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.image_decoder import Decoder

# A photograph of 64 megapixels stored without compression still fits; bytes.
MAX_FILE_BYTES = 2**28

# Why an image is not appended whose name the store has already.
TAKEN = "an image of this name is in the store already"

_SLASHES = ("", "/", "\\")
_DRIVE = re.compile(r"[A-Za-z]:")


class ImageSource(Protocol):
    """Images in a fixed order, by number."""

    @property
    def decoder(self) -> Decoder | None:
        """Who makes images of what `fetch` returns; None if only the source can."""
        ...

    def __len__(self) -> int: ...

    def entry(self, index: int) -> Entry:
        """Return what is known of an image before it is read."""
        ...

    def fetch(self, entry: Entry) -> Any:  # noqa: ANN401 - what `load` takes
        """Return an image as it is stored: a `Task`, if there is a decoder.

        Raises
        ------
        UnreadableError
            If it cannot be read.
        """
        ...

    def load(self, stored: Any) -> Pixels:  # noqa: ANN401
        """Return the finished image, shape (size, size, 3).

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


def name_bytes(name: str) -> bytes:
    """Return a name as it is stored by the system."""
    return name.encode("utf-8", "surrogateescape")


def name_hash(name: str) -> int:
    """Return 64 bits of a name: two of a million agree once in 40 million stores."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


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


def unpacked_to(name: str) -> str:
    """Return a member's name as the relative path that programs unpack it to.

    A slash that stands twice is one, and ``.`` names the folder that it is in: GNU tar and
    `zip` keep both where they are given them. What points elsewhere stays as it is, for
    `name_problem`; so does a last ``.``, which names no file.

    Examples
    --------
    >>> unpacked_to(".//cat/./1.png"), unpacked_to("cat//"), unpacked_to("//cat")
    ('cat/1.png', 'cat/', '//cat')
    """
    if name.startswith("/") or not ("//" in name or "./" in name):
        return name
    *folders, last = name.split("/")
    path = "/".join([*(one for one in folders if one not in {"", "."}), last])
    # The folder itself stays one.
    return path or "./"


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
    if not name:
        return "it has no name"
    if ".." not in name and name[:1] not in _SLASHES and name[1:2] != ":":
        return ""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or _DRIVE.match(name):
        return "unsafe name: it points outside the archive"
    return ""
