"""How the map of a command line is named: by the store that it makes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from lowmem.base.errors import OptionValueError

PREFIX = "map:"
# Where a group says which job made it.
MAKER = "lowmem_map"
_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_OUT = re.compile(rf"((?:{_PART}/)*{_PART}\.zarr)(?:/({_PART}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """Where the result goes.

    Attributes
    ----------
    store
        Name of the group within the workspace.
    array
        Name of the array within the group.
    """

    store: str
    array: str

    @property
    def job(self) -> str:
        """The name of the job that ``lowmem map`` makes it by.

        Examples
        --------
        >>> out_from_text("parts/Mean_1.zarr").job
        'map-parts-mean_1'
        """
        words = self.store.removesuffix(".zarr").lower()
        return "map-" + re.sub(r"[^a-z0-9_-]+", "-", words)


def out_from_text(text: str) -> Out:
    """Return what ``OUT`` names: a store, and the array in it.

    Raises
    ------
    OptionValueError
        If it is no plain name of a store.

    Examples
    --------
    >>> out_from_text("features.zarr")
    Out(store='features.zarr', array='features')
    >>> out_from_text("latents.zarr/z")
    Out(store='latents.zarr', array='z')
    """
    found = _OUT.fullmatch(text)
    if found is None:
        raise OptionValueError(
            option="OUT",
            value=text,
            expected="the name of a store in the workspace, such as features.zarr, or of "
            "an array in one, such as features.zarr/mean",
        )
    store, array = found.groups()
    return Out(store=store, array=array or PurePosixPath(store).stem)
