"""What a job reads, as it was when it was planned."""

from __future__ import annotations

import msgspec


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that an option or a need names.

    Attributes
    ----------
    path
        Where it is.
    stamp
        What its files were on the disk, without a look into them; empty where a change
        might not show: one was changed a moment before.
    content
        Its fingerprint, as the recipe holds it.
    """

    path: str
    stamp: str
    content: str
