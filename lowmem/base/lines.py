"""Whole lines out of what arrives in pieces, in time and memory that have a bound."""

from __future__ import annotations

# The longest message: descriptions and plans of all jobs take some 20 kB, and what a job
# prints is cut at the pipe, see `lowmem.worker.channel`.
LONGEST_BYTES = 4 * 2**20


class LineTooLongError(Exception):
    """Raised when more arrived without a line end than any message has."""


def one_line(line: bytes) -> bytes:
    r"""Return a line with its end, as it is to be sent.

    Raises
    ------
    ValueError
        If it has no end, so that the other side would wait for more for ever, or holds
        another, so that it would be taken for two.

    Examples
    --------
    >>> one_line(b"[1]\n")
    b'[1]\n'
    """
    if line.find(b"\n") != len(line) - 1 or not line:
        raise ValueError(
            "line must have one line end, its last byte, got "
            f"{line.count(10)} in {len(line)} bytes that end in {line[-16:]!r}"
        )
    return line


class Lines:
    """Keeps what has arrived of a line; each byte is looked at once or twice."""

    def __init__(self, longest_bytes: int = LONGEST_BYTES) -> None:
        self._longest_bytes = longest_bytes
        self._rest = bytearray()

    @property
    def rest(self) -> bytes:
        """What has arrived of a line that has not ended."""
        return bytes(self._rest)

    def take(self, data: bytes) -> list[bytes]:
        """Return the lines that end in ``data``, without their ends.

        Raises
        ------
        LineTooLongError
            If a line does not end.
        """
        lines: list[bytes] = []
        self._rest += data
        if b"\n" in data:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        if len(self._rest) > self._longest_bytes:
            raise LineTooLongError
        return lines
