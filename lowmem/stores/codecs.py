"""How chunks of numbers may be compressed: one table.

Light, since a planner reads the names: a codec's library is loaded when it compresses. To
add one, add its entry here. Any reader of Zarr decodes what Zarr knows; `chunk_decoder` is
faster for Blosc and Zstandard.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Compress = Callable[[NDArray[Any]], bytes]

NONE = "none"
# Blosc puts single bytes together from their bits without the processor's wide registers,
# and lz4 would spend most of its time there. In pairs photographs are decoded 1.6 times as
# fast, and take 5 % more room. Blocks of Blosc's own choice would be twice as large, and
# with them the memory that decodes.
_PAIR, _BLOCK_OF_PAIRS = 2, 2**16
# Of whoever turns Blosc's threads off: the setting is one for the whole process.
_WITHOUT_THREADS = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One compression.

    Attributes
    ----------
    described
        Returns how Zarr names and configures it, from the bytes of one number.
    compressor
        Returns what compresses the bytes of a chunk as described, from the same.
    """

    described: Callable[[int], dict[str, Any]]
    compressor: Callable[[int], Compress]


def _blosc(name: str, *, level: int, in_pairs: bool = False) -> Codec:
    """Return Blosc around a compressor of its own, after a shuffle of bits."""

    def sizes(itemsize: int) -> dict[str, int]:
        """Return `typesize` and `blocksize` in bytes, 0 where Blosc is to choose."""
        if in_pairs and itemsize < _PAIR:
            return {"typesize": _PAIR, "blocksize": _BLOCK_OF_PAIRS}
        return {"typesize": itemsize, "blocksize": 0}

    def described(itemsize: int) -> dict[str, Any]:
        size = sizes(itemsize)
        configuration = {
            "typesize": size["typesize"],
            "cname": name,
            "clevel": level,
            "shuffle": "bitshuffle",
            "blocksize": size["blocksize"],
        }
        return {"name": "blosc", "configuration": configuration}

    def compressor(itemsize: int) -> Compress:
        from numcodecs import Blosc, blosc

        codec = Blosc(
            cname=name, clevel=level, shuffle=Blosc.BITSHUFFLE, **sizes(itemsize)
        )

        def compress(rows: NDArray[Any]) -> bytes:
            # Threads of Blosc's own store the blocks of a chunk in the order in which they
            # are done, so that the same rows would have other bytes each time.
            with _WITHOUT_THREADS:
                before, blosc.use_threads = blosc.use_threads, False
                try:
                    return cast("bytes", codec.encode(rows))
                finally:
                    blosc.use_threads = before

        return compress

    return Codec(described=described, compressor=compressor)


CODECS = {
    "lz4": _blosc("lz4", level=5, in_pairs=True),
    "zstd": _blosc("zstd", level=3),
}


def codec_names() -> tuple[str, ...]:
    """Return the names that a `RowWriter` takes."""
    return (NONE, *CODECS)
