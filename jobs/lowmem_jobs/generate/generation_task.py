"""What the stages share: sources of vectors, the models, and the files that they fill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_jobs.generate.npy_rows import RowFile
from lowmem_jobs.generate.option_values import (
    ALL,
    USUAL_METHOD,
    method_of,
    n_decoded,
    n_scored,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from lowmem import Context
    from lowmem_jobs.generate.decoder import LatentDecoder
    from lowmem_jobs.generate.real_images import RealImages
    from lowmem_jobs.generate.vector_sources import VectorSource
    from lowmem_jobs.model.encoder import Encoder
    from lowmem_jobs.stats.frame import PrincipalFrame

    MakeFile = Callable[[Path, tuple[int, int], DTypeLike], RowFile]

# Axes whose variance is below this share of the largest count as that wide: along an
# unused axis of the latent space, float32 rounding would otherwise be far away.
EIGENVALUE_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """The vectors of one method.

    Attributes
    ----------
    name
        Of the method.
    source
        Where they come from.
    folder
        Where ``z.npy`` and ``images.zarr`` are made.
    z
        The vectors.
    z_again
        E(D(z)) of the first of them, those that are scored.
    """

    name: str
    source: VectorSource
    folder: Path
    z: RowFile
    z_again: RowFile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenerationTask:
    """Derived from recipe and inputs alone, so equal in every attempt.

    Attributes
    ----------
    frame
        The fitted distribution, d dimensions.
    drawn
        The methods, in the order in which they are drawn.
    decoder, encoder
        Both halves of the model.
    image_shape
        Of a decoded image: height, width, channels.
    n_vectors, n_decoded, n_scored
        Vectors of each method; how many of the first of them become images, and how
        many of these are scored.
    compared
        The real images to compare with.
    real, real_again
        Vectors of real images, and of their reconstructions.
    errors
        Squared error and similarity of each reconstruction.
    """

    frame: PrincipalFrame
    drawn: tuple[Drawn, ...]
    decoder: LatentDecoder
    encoder: Encoder
    image_shape: tuple[int, ...]
    n_vectors: int
    n_decoded: int
    n_scored: int
    compared: RealImages
    real: RowFile
    real_again: RowFile
    errors: RowFile

    @property
    def batch_size(self) -> int:
        """Images that go through a model at once."""
        return self.decoder.batch_size

    @property
    def n_steps(self) -> int:
        """Vectors and images that both passes go over."""
        return self.n_vectors * len(self.drawn) + len(self.compared.rows)

    @property
    def main(self) -> Drawn:
        """The method whose results lie in ``generated`` itself."""
        return next(
            (drawn for drawn in self.drawn if drawn.name == USUAL_METHOD), self.drawn[0]
        )

    @property
    def files(self) -> tuple[RowFile, ...]:
        """All files that grow by rows."""
        drawn = (file for one in self.drawn for file in (one.z, one.z_again))
        return (*drawn, self.real, self.real_again, self.errors)

    def white(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return whitened coordinates of vectors, as all scores take them."""
        return self.frame.white(z, relative_floor=EIGENVALUE_FLOOR)

    @classmethod
    def open(
        cls,
        ctx: Context,
        frame: PrincipalFrame,
        sources: Mapping[str, VectorSource],
        *,
        decoder: LatentDecoder,
        encoder: Encoder,
        image_shape: tuple[int, ...],
        compared: RealImages,
    ) -> GenerationTask:
        """Open the files: anew if nothing was committed, else as they are."""
        make: MakeFile = RowFile.reopen if ctx.state else RowFile.create
        d, n_real = frame.dimension, len(compared.rows)
        scratch = ctx.staging / "scratch"
        return cls(
            frame=frame,
            drawn=tuple(
                _drawn(ctx, name, source, make, dimension=d)
                for name, source in sources.items()
            ),
            decoder=decoder,
            encoder=encoder,
            image_shape=image_shape,
            n_vectors=ctx.options["count"],
            n_decoded=n_decoded(ctx.options),
            n_scored=n_scored(ctx.options),
            compared=compared,
            real=make(scratch / "real.npy", (n_real, d), "<f4"),
            real_again=make(scratch / "real_again.npy", (n_real, d), "<f4"),
            errors=make(scratch / "errors.npy", (n_real, 2), "<f8"),
        )


def _drawn(
    ctx: Context, name: str, source: VectorSource, make: MakeFile, *, dimension: int
) -> Drawn:
    folder = ctx.staging / folder_of(ctx, name)
    again = ctx.staging / "scratch" / f"{name}_again.npy"
    return Drawn(
        name=name,
        source=source,
        folder=folder,
        z=make(folder / "z.npy", (ctx.options["count"], dimension), "<f4"),
        z_again=make(again, (n_scored(ctx.options), dimension), "<f4"),
    )


def folder_of(ctx: Context, method: str) -> Path:
    """Return where the vectors and images of a method go, within the workspace.

    In ``generated`` lies what one method alone would leave there; of all, that is the
    usual one, and the others lie below.
    """
    is_beside = method_of(ctx.options) == ALL and method != USUAL_METHOD
    folder = Path("generated")
    return folder / "methods" / method if is_beside else folder
