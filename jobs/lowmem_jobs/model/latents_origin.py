"""What latents were made of and by what: a store says it, and jobs ask before they compare.

Latents that say nothing (an older lowmem's, a map's, other programs') are taken as before:
for those of the workspace's images and model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from lowmem.base import DataError, read_json
from lowmem.stores import fingerprint, is_same_data

if TYPE_CHECKING:
    from pathlib import Path

# The attribute of a group that holds it.
_KEY = "latents"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsOrigin:
    """Where latents come from.

    Attributes
    ----------
    rows, encoder
        Names of the store or file of the rows, and of the file of the encoder.
    rows_data, encoder_data
        Fingerprints of both: a copy of a store is the same data.
    """

    rows: str
    rows_data: str
    encoder: str
    encoder_data: str

    @classmethod
    def of(cls, *, rows: Path, encoder: Path) -> LatentsOrigin:
        """Return the origin of latents that are about to be made.

        Parameters
        ----------
        rows
            A file, a store, or an array within one.
        """
        return cls(
            rows=rows.name,
            rows_data=fingerprint(rows),
            encoder=encoder.name,
            encoder_data=fingerprint(encoder),
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """What a group has that holds the latents, or what was measured of them."""
        # In the order in which shards hand it on.
        return {_KEY: dict(sorted(asdict(self).items()))}

    def is_of(self, images: Path) -> bool:
        """Return whether the rows were the images of a store."""
        places = (images, images / "images")
        return any(
            is_same_data(self.rows_data, fingerprint(place))
            for place in places
            if place.exists()
        )

    def is_by(self, encoder: Path) -> bool:
        """Return whether the encoder was the one in a file."""
        return encoder.is_file() and is_same_data(
            self.encoder_data, fingerprint(encoder)
        )


def origin_of(store: Path) -> LatentsOrigin | None:
    """Return what a store says of the latents that it holds or was measured of.

    None where it says nothing.
    """
    metadata = store / "zarr.json"
    if not metadata.is_file():
        return None
    document = read_json(metadata)
    attributes = document.get("attributes") if isinstance(document, dict) else None
    told = attributes.get(_KEY) if isinstance(attributes, dict) else None
    try:
        return None if told is None else msgspec.convert(told, LatentsOrigin)
    except msgspec.ValidationError:
        # Another program's.
        return None


def refuse_other_encoder(analysis: Path, encoder: Path) -> None:
    """Refuse an analysis of latents that another encoder than the decoder's made.

    Raises
    ------
    DataError
        Naming that encoder.
    """
    origin = origin_of(analysis)
    if origin is None or origin.is_by(encoder):
        return
    raise DataError(
        thing=analysis,
        problem=f"is of latents that another encoder made ({origin.encoder})",
        expected=f"those of {encoder}, whose decoder is to decode them",
        todo="Run `lowmem run encode` without --encoder and --model, then `lowmem run "
        "analyze`.",
    )
