"""What the work of a job is given: the worker's own `Context`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem.protocol.blocks import blocks_of
from lowmem.protocol.value_checks import whole
from lowmem.worker.commit_extras import CommitExtras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.planning import Device
    from lowmem.worker.appended import AppendedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """See `lowmem.protocol.context.Context`, which this satisfies."""

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

    def __post_init__(self) -> None:
        # Beside the job's own state, each commit keeps what `blocks` and `append` need.
        object.__setattr__(self, "kept", CommitExtras(self.state))
        object.__setattr__(self, "state", self.kept.own)

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
