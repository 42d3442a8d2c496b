"""A mounted drive at its worst, as an fsspec filesystem: ``faulty://PATH``.

Which faults are on is a list of words in the file named by ``FAULTY_MIRROR``, read
before every operation, so that a test can change it while another process writes.

eio       every operation fails
enospc    writes fail
gone      the mount point is not there
truncate  what is written loses its second half when it is closed
flip      one bit of what is written is another
late      a new file is not seen at the first look
twice     a listing holds every name twice
shuffled  a listing comes in reverse order
slow      every operation takes 0.3 s
hangs     every operation takes for ever
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

VARIABLE = "FAULTY_MIRROR"
ENTRY_POINT = "[fsspec.specs]\nfaulty = faulty_mirror:FaultyFileSystem\n"


class FaultyFileSystem(LocalFileSystem):
    protocol = "faulty"
    cachable = False

    def __init__(self, **options):
        super().__init__(**options)
        self._unseen = set()

    @classmethod
    def _strip_protocol(cls, path):
        return str(path).removeprefix("faulty://").rstrip("/")

    def _faults(self, *, writes=False):
        try:
            words = set(Path(os.environ[VARIABLE]).read_text().split())
        except FileNotFoundError:
            return set()
        if "slow" in words:
            time.sleep(0.3)
        if "hangs" in words:
            time.sleep(10**6)
        if "eio" in words:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if "gone" in words:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        if writes and "enospc" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return words

    def ls(self, path, detail=False, **kwargs):
        words = self._faults()
        found = super().ls(path, detail=detail, **kwargs)
        if "twice" in words:
            found = found + found
        return list(reversed(found)) if "shuffled" in words else found

    def exists(self, path, **kwargs):
        self._faults()
        return super().exists(path, **kwargs)

    def makedirs(self, path, exist_ok=False):
        self._faults(writes=True)
        super().makedirs(path, exist_ok=exist_ok)

    def rm_file(self, path):
        self._faults(writes=True)
        super().rm_file(path)

    def open(self, path, mode="rb", block_size=None, **kwargs):
        is_writing = mode != "rb"
        words = self._faults(writes=is_writing)
        if is_writing:
            self._unseen.add(path)
            stream = super().open(path, mode)
            return _Writing(stream, Path(self._strip_protocol(path)), words)
        if "late" in words and path in self._unseen:
            self._unseen.discard(path)
            raise FileNotFoundError(path)
        return super().open(path, mode)


class _Writing:
    """A file that is spoilt when it is closed."""

    def __init__(self, stream, path, words):
        self._stream, self._path = stream, path
        # A marker that is whole must not vouch for an archive that is not.
        self._words = set() if path.suffix == ".ok" else words

    def write(self, data):
        if "enospc" in Path(os.environ[VARIABLE]).read_text().split():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._stream.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stream.close()
        size = self._path.stat().st_size
        if "truncate" in self._words:
            os.truncate(self._path, size // 2)
        if "flip" in self._words and size:
            data = bytearray(self._path.read_bytes())
            data[size // 2] ^= 1
            self._path.write_bytes(data)
