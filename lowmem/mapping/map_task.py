"""What a map is to do: where to, from what, by which function. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import OptionValueError
from lowmem.mapping.function import load_function
from lowmem.mapping.map_source import find_source
from lowmem.mapping.sizes import call_rows
from lowmem.stores.metadata import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lowmem.mapping.map_source import MapSource
    from lowmem.mapping.naming import Out
    from lowmem.protocol.context import Context
    from lowmem.protocol.planning import PlanContext


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTask:
    """What is to be done, as far as its options do not say it.

    Attributes
    ----------
    job
        The job's name.
    function
        The function itself; None where the option ``function`` names it.
    """

    job: str
    out: Out
    function: Callable[..., Any] | None = None

    def source(self, ctx: PlanContext | Context) -> MapSource:
        """Return the array that is mapped."""
        text = ctx.options["source"]
        if text is None:
            raise OptionValueError(
                option="--source", value=text, expected="a store or a .npy file"
            )
        return find_source(text, ctx.workspace)

    def rows(self, ctx: PlanContext | Context, source: MapSource) -> int:
        """Return the rows of one call."""
        given: int | None = ctx.options["rows"]
        return given or call_rows(source.row_bytes, source.chunk_rows)

    def loaded(self, ctx: PlanContext | Context) -> Callable[..., Any]:
        """Return the function."""
        return self.function or self._found(ctx)[0]

    def code(self, ctx: PlanContext) -> dict[str, str]:
        """Return the fingerprint of the file of a function that an option names.

        Of a job's own file none is part of its recipe: see `Job.version`.
        """
        if self.function is not None:
            return {}
        return {"function": fingerprint(self._found(ctx)[1])}

    def _found(self, ctx: PlanContext | Context) -> tuple[Callable[..., Any], Path]:
        text = ctx.options["function"]
        if text is None:
            raise OptionValueError(
                option="--function", value=text, expected="MODULE:FUNCTION"
            )
        return load_function(text, ctx.workspace)
