"""What the work of a job is given: the worker's own `Context`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem.protocol.blocks import blocks_of
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.value_checks import whole
from lowmem.worker.commit_extras import CommitExtras
from lowmem.worker.named_state import NamedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.named_values import NamedValues
    from lowmem.protocol.planning import Device
    from lowmem.worker.appended import AppendedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """See `lowmem.protocol.context.Context`, which this satisfies."""

    job: str
    workspace: Workspace
    staging: Path
    options: Mapping[str, Any]
    settings: Mapping[str, int]
    seed: int
    device: Device
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    state: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    former: Path | None = None
    show_line: Callable[[str], None]
    keep_line: Callable[[str], None]
    show_progress: Callable[[int, int | None, str], None]
    kept: CommitExtras = field(init=False)
    named: NamedState = field(init=False)

    def __post_init__(self) -> None:
        named = NamedState(self.job, self.state, self.arrays)
        object.__setattr__(self, "named", named)
        if named.is_kept:
            object.__setattr__(self, "arrays", {})
        # Beside the job's own state, each commit keeps what `blocks` and `append` need.
        object.__setattr__(self, "kept", CommitExtras(self.state))
        object.__setattr__(self, "state", self.kept.own)

    def restore(self, /, **values: Any) -> NamedValues:  # noqa: ANN401
        """Return the values by these names as the last commit holds them; else as given."""
        return self.named.restore(values)

    def commit(
        self,
        /,
        *,
        items: int = 0,
        flush: Callable[[], None] | None = None,
        is_due: bool = False,
        **values: Any,  # noqa: ANN401
    ) -> CommitPoint:
        """Return a commit point that keeps values by name, to be yielded at once."""
        return CommitPoint(items=items, flush=flush, is_due=is_due, values=values)

    def blocks(
        self,
        array: Any,  # noqa: ANN401 - whatever has a shape and gives rows
        *,
        rows: int,
        held: int = 1,
        name: str = "rows",
    ) -> Iterator[Any]:
        """Yield an array's rows, block by block, from the last commit on."""
        return blocks_of(
            array,
            rows=rows,
            held=held,
            name=name,
            places=self.kept.places,
            progress=self.progress,
        )

    def append(self, name: str) -> AppendedFile:
        """Return a file in staging that is cut to the last commit, to be added to."""
        return self.kept.appended(self.staging, name)

    def log(self, text: str) -> None:
        """Show one line to the user."""
        self.show_line(str(text))

    def note(self, text: str) -> None:
        """Show one line to the user, and keep it in the report."""
        self.keep_line(str(text))

    def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show how far the job is, counted from its very start."""
        self.show_progress(
            whole("done", done),
            None if total is None else whole("total", total),
            str(note),
        )
