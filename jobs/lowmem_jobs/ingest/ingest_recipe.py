"""What an ingest is to make, read from its options; only the standard library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from lowmem.base import DataError, OptionValueError, path_from_text
from lowmem_jobs.ingest.formats import FORMATS, SHARDS, kind_of, names_of_formats
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.label_choice import LabelChoice, label_choice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowmem_jobs.ingest.framing import Box
    from lowmem_jobs.ingest.label_choice import SidecarChoice

# Drawn instead of read.
FACES = "faces"

DEFAULT_SIZE = 96  # pixels; that of the reference study
# Where no source is given: small enough that its model trains in minutes on two cores.
DEFAULT_SOURCE = "faces:2000"
DEFAULT_SOURCE_SIZE = 64  # pixels
PRESETS = ("celeba",)
TRUNCATED = ("skip", "keep")
AUTO = "auto"

_MAX_SIZE = 2048  # pixels; a chunk then holds one image of 12 MiB
_CHUNK_ROWS = 128  # images; the best of 32..1024 for shuffled reading
_CHUNK_BYTES = 2**23  # of one chunk, so that buffers stay small for large images
_MAX_CHUNK_BYTES = 2**28  # of one that is asked for; several copies of it are held


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an ingest is to make.

    Attributes
    ----------
    kind
        Kind of the source.
    path
        Where the source is; None for faces.
    n_faces
        How many faces to draw; 0 for any other source.
    frame
        How each image is cut and scaled.
    limit
        Take only so many readable images, the first; None for all.
    codec
        Compression of the store; None until it is chosen.
    wanted_rows
        Images in one chunk; None for as many as suit their size.
    array
        Which array of a file with several holds the images; None where it is not said.
    keeps_truncated
        Whether a JPEG is taken of which the end is missing.
    labels
        The table or the files that hold the labels; None: they follow from folders.
    """

    kind: str
    path: Path | None
    n_faces: int
    frame: Framing
    limit: int | None
    codec: str | None
    wanted_rows: int | None = None
    array: str | None = None
    keeps_truncated: bool = False
    labels: LabelChoice | SidecarChoice | None = None

    @property
    def chunk_rows(self) -> int:
        """Images in one chunk; a function of their size alone, unless asked for."""
        if self.wanted_rows is not None:
            return self.wanted_rows
        return max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // self.image_bytes))

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored image."""
        return self.frame.size**2 * 3

    @property
    def table(self) -> Path | None:
        """The table of labels, if they come from one."""
        return self.labels.path if isinstance(self.labels, LabelChoice) else None

    @property
    def title(self) -> str:
        """What the source is called in messages and in the store."""
        return str(self.path) if self.path else f"faces:{self.n_faces}"

    @property
    def listed(self) -> dict[str, str]:
        """What a store says of choices that are not the usual ones: else nothing."""
        array = {"array": self.array} if self.array else {}
        kind = {"kind": SHARDS} if self.kind == SHARDS else {}
        return kind | array | ({"truncated": "keep"} if self.keeps_truncated else {})


def recipe_from_options(options: Mapping[str, Any]) -> Recipe:
    """Return what the options ask for.

    Raises
    ------
    OptionValueError
        If an option breaks its rule.
    DataError
        If the source is not there or of no known kind, or the table of labels not there.
    """
    is_given = options["source"] is not None
    given = options["source"] if is_given else DEFAULT_SOURCE
    kind, path, n_faces = source_from_text(given)
    size = options["size"] or (DEFAULT_SIZE if is_given else DEFAULT_SOURCE_SIZE)
    if size > _MAX_SIZE:
        raise OptionValueError(
            option="--size", value=size, expected=f"at most {_MAX_SIZE} pixels"
        )
    codec: str = options["codec"]
    return Recipe(
        kind=kind,
        path=path,
        n_faces=n_faces,
        frame=Framing(size=size, crop=crop_from_text(crop_option(options))),
        limit=options["limit"],
        codec=None if codec == AUTO else codec,
        wanted_rows=_wanted_rows(options["chunk_rows"], size),
        array=array_option(options, kind),
        keeps_truncated=options.get("truncated") == "keep",
        labels=label_choice(options, kind),
    )


def array_option(options: Mapping[str, Any], kind: str) -> str | None:
    """Return which array of a source is asked for; None if none is.

    Raises
    ------
    OptionValueError
        If the source is of a kind that holds no named arrays.
    """
    # Recipes that older versions wrote have none.
    array: str | None = options.get("array")
    if array is not None and not (kind in FORMATS and FORMATS[kind].has_named_arrays):
        raise OptionValueError(
            option="--array",
            value=array,
            expected="a --source that holds several arrays: .npz or .zarr",
        )
    return array


def _wanted_rows(n_rows: int | None, size: int) -> int | None:
    most = _MAX_CHUNK_BYTES // (size * size * 3)
    if n_rows is not None and n_rows > most:
        raise OptionValueError(
            option="--chunk-rows",
            value=n_rows,
            expected=f"at most {most} for images of {size} pixels: "
            f"{_MAX_CHUNK_BYTES // 2**20} MiB",
        )
    return n_rows


def crop_option(options: Mapping[str, Any]) -> str:
    """Return the crop that is asked for, by itself or by a preset."""
    crop: str = options["crop"]
    return "center" if options["preset"] == "celeba" and crop == "none" else crop


def crop_from_text(text: str) -> Literal["none", "center"] | Box:
    """Return the crop that an option means.

    Raises
    ------
    OptionValueError
        If it means none.
    """
    if text in {"none", "center"}:
        return cast("Literal['none', 'center']", text)
    if re.fullmatch(r"\d+(,\d+){3}", text, re.ASCII):
        left, top, right, bottom = map(int, text.split(","))
        if left < right and top < bottom:
            return (left, top, right, bottom)
    raise OptionValueError(
        option="--crop",
        value=text,
        expected="none, center, or L,T,R,B in pixels with L < R and T < B",
    )


def source_from_text(text: str) -> tuple[str, Path | None, int]:
    """Return kind and place of a source, or how many faces to draw.

    Raises
    ------
    OptionValueError
        If the number of faces breaks its rule.
    DataError
        If the source is not there or of no known kind.
    """
    head, _, count = text.partition(":")
    if head == FACES:
        if not re.fullmatch(r"[1-9]\d{0,8}", count, re.ASCII):
            raise OptionValueError(
                option="--source",
                value=text,
                expected="faces:N with N from 1 to 999999999",
            )
        return FACES, None, int(count)
    path = path_from_text(text)
    return _kind(path), path, 0


def _kind(path: Path) -> str:
    if not path.exists():
        raise DataError(
            thing=path,
            problem="is not there",
            expected="the images to ingest",
            todo="Give --source an existing path, or faces:N for drawn faces.",
        )
    kind = kind_of(path)
    if kind is not None:
        return kind
    raise DataError(
        thing=path,
        problem="is of no kind that can be ingested",
        expected=names_of_formats(),
    )


def source_identity(recipe: Recipe, workspace: Path) -> str:
    """Return a short text that changes when the source does: see `Format.identity`."""
    if recipe.path is None:
        return recipe.title
    return FORMATS[recipe.kind].identity(recipe.path, workspace)


def source_bytes(recipe: Recipe, workspace: Path) -> int | None:
    """Return the size of all that is read; None where nobody knows it."""
    if recipe.path is None:
        return None
    return FORMATS[recipe.kind].n_bytes(recipe.path, workspace)
