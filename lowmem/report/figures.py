"""Find the figures of a workspace, say what each shows, and embed them, within bounds."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BufferedReader
from os.path import relpath
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote

from lowmem.base.errors_outside import NotRegularError
from lowmem.base.outside import stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A larger picture is none of lowmem's own. The sum keeps the page below 2 MB, since text
# takes four thirds of it; what comes after lies beside the page, and is a link.
_MOST_BYTES = 3 * 10**6
_MOST_BYTES_IN_ALL = 1_350_000
_MOST_FIGURES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture of the page.

    Attributes
    ----------
    place
        Its path within the workspace.
    caption
        Its name in words.
    sentence
        What it shows; empty for one that lowmem does not draw.
    uri
        ``data:`` URI of the whole file.
    width, height
        In pixels.
    """

    place: str
    caption: str
    sentence: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A picture that lies beside the page.

    Attributes
    ----------
    place
        Its path within the workspace.
    href
        The way to it from the page's folder, never to elsewhere.
    sentence
        What it shows; empty for one that lowmem does not draw.
    """

    place: str
    href: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The figures to show, those to link to, and the paths of what is neither."""

    figures: tuple[Figure, ...] = ()
    beside: tuple[Link, ...] = ()
    left_out: tuple[str, ...] = ()


def read_gallery(workspace: Workspace, page_folder: Path | None = None) -> Gallery:
    """Return the pictures of generated images, then the figures of the analysis.

    Parameters
    ----------
    page_folder
        Where the page will lie; in the workspace where None.
    """
    figures: list[Figure] = []
    beside: list[Link] = []
    left_out: list[str] = []
    room = _MOST_BYTES_IN_ALL
    for path in _candidates(workspace):
        place = path.relative_to(workspace.root).as_posix()
        data = _read_png(path, _MOST_BYTES)
        if data is None:
            left_out.append(place)
        elif len(data) > room or len(figures) == _MOST_FIGURES:
            href = _href(path, page_folder, workspace)
            told = sentence_of(path.stem)
            beside.append(Link(place=place, href=href, sentence=told))
        else:
            room -= len(data)
            figures.append(_figure(place, path.stem, data))
    return Gallery(
        figures=tuple(figures), beside=tuple(beside), left_out=tuple(left_out)
    )


def _href(path: Path, page_folder: Path | None, workspace: Workspace) -> str:
    """Return a relative reference: with a dot in front no name can be a scheme."""
    start = (page_folder or workspace.root).absolute()
    return "./" + quote(PurePath(relpath(path.absolute(), start)).as_posix())


def _candidates(workspace: Workspace) -> Iterator[Path]:
    for folder in (workspace.generated, workspace.figures / "figures"):
        yield from sorted(folder.glob("*.png"), key=lambda path: place_of(path.stem))


def _read_png(path: Path, at_most: int) -> bytes | None:
    """Return the bytes of a picture; None if it is too large or not one.

    A figure that cannot be read must not cost the user the report: whatever the reason,
    its path is named on the page instead. A link may lead to a picture that is not the
    workspace's, and the page is given to others.
    """
    try:
        if path.is_symlink():
            return None
        with BufferedReader(stream_of(path)) as stream:
            data = stream.read(at_most + 1)
    except (OSError, NotRegularError):
        return None
    is_png = data.startswith(_SIGNATURE) and data[12:16] == b"IHDR" and len(data) > 24  # noqa: PLR2004 - end of the size in IHDR
    return data if is_png and len(data) <= at_most else None


def _figure(place: str, stem: str, data: bytes) -> Figure:
    return Figure(
        place=place,
        caption=stem.replace("_", " ").replace("-", " "),
        sentence=sentence_of(stem),
        uri="data:image/png;base64," + base64.b64encode(data).decode(),
        width=int.from_bytes(data[16:20], "big"),
        height=int.from_bytes(data[20:24], "big"),
    )


# Faces before statistics: they say at a glance whether a run went well. What is not
# named here, a user's own pictures, comes in the order of its names.
_SENTENCES = {
    "grid": "Images decoded from vectors that were drawn.",
    "methods": "Real images, their reconstructions, and a row of each method of drawing.",
    "reconstructions": "Real images, each over its reconstruction.",
    "nearest": "Drawn images, each over the images of the training set nearest to it.",
    "axes": "A row for each of the first principal axes, from -3 to 3 sigma.",
    "explained-variance": "The share of the variance along each of the first axes.",
    "cumulative-importance": "How much of the variance the first axes hold together.",
    "correlation": "The correlations of the features, before and after PCA.",
    "radius": "Quantiles of the Mahalanobis distance against the chi-squared law.",
    "survivors": "Rows that survive each cut, beside what independence would give.",
    "pair-2-3": "Axes 2 and 3 of the survivors of each cut.",
    "features": "How much of each feature behind the images a linear map recovers.",
    "overlap": "How elliptic each measured pair is, as a matrix.",
    "comparison": "Importance, radius, overlaps and components of both studies.",
    "ten-best": "The ten pairs whose contours are the most elliptic.",
    "ten-worst": "The ten pairs whose contours are the least elliptic.",
    "components-raw": "Densities of features with the Gaussians fitted to them.",
    "components-pca": "Densities of components with the Gaussians fitted to them.",
    "components-raw-all": "The densities of all features, coloured by their distance.",
    "components-pca-all": "The densities of all components, coloured by their distance.",
    "scatter-raw": "Points of pairs of features with their ellipses.",
    "scatter-pca": "Points of pairs of components with their ellipses.",
}
_PAIRS = "Pairs in columns, each frame in a row: density, contours and ellipses."
_ORDER = {stem: place for place, stem in enumerate(_SENTENCES)}


def sentence_of(stem: str) -> str:
    """Return what a figure shows; empty for one that lowmem does not draw.

    Examples
    --------
    >>> sentence_of("grid"), sentence_of("mine")
    ('Images decoded from vectors that were drawn.', '')
    """
    return _SENTENCES.get(stem) or (_PAIRS if stem.startswith("pairs-") else "")


def place_of(stem: str) -> tuple[int, str]:
    """Return what figures are sorted by."""
    return _ORDER.get(stem, len(_ORDER)), stem
