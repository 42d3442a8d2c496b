"""What the work of a job is given: the part of the public API that it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.commit_point import CommitPoint
    from lowmem.protocol.named_values import NamedValues
    from lowmem.protocol.planning import Device


class Appended(Protocol):
    """A file that a job adds to."""

    def write(self, data: str | bytes) -> None:
        """Add text, as UTF-8, or bytes at the end."""
        ...


class Context(Protocol):
    """What the work of a job is given."""

    @property
    def workspace(self) -> Workspace:
        """The folder of the experiment."""
        ...

    @property
    def staging(self) -> Path:
        """A folder that outlives restarts, in which results are built."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Every option of the job by name."""
        ...

    @property
    def settings(self) -> Mapping[str, int]:
        """The rung of the ladder in force; may differ from the last attempt's."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the run; key random numbers by it and a position."""
        ...

    @property
    def device(self) -> Device:
        """Where to compute."""
        ...

    @property
    def ram_budget_bytes(self) -> int:
        """Memory that the whole job may use."""
        ...

    @property
    def vram_budget_bytes(self) -> int | None:
        """Device memory that the job may use, if limited."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """The state of the last commit; empty at first."""
        ...

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of the last commit, each read when asked for; empty at first."""
        ...

    @property
    def former(self) -> Path | None:
        """A folder with the results of the finished run that asked for less of the same.

        Each file is as it was published. None if there is none, and once this run has
        committed anything: take what is wanted of it to `staging` before.
        """
        ...

    def restore(self, /, **values: Any) -> NamedValues:  # noqa: ANN401 - whatever is kept
        """Return the values by these names as the last commit holds them; else as given.

        Models, estimators, generators and what else has a state of its own are put into
        the objects given; values and arrays are returned new. Called once, before the
        first `commit`.

        Parameters
        ----------
        **values
            What the job begins with. Each that docs/checkpoint.md lists will do.

        Raises
        ------
        JobDefinitionError
            If the last commit holds other names, or was made without `commit`.
        OtherStateError
            If what it holds does not fit what is given.

        Notes
        -----
        Memory: the state, and beside it one array of those that are put into objects.
        """
        ...

    def commit(
        self,
        /,
        *,
        items: int = 0,
        flush: Callable[[], None] | None = None,
        is_due: bool = False,
        **values: Any,  # noqa: ANN401 - whatever is kept
    ) -> CommitPoint:
        """Return a commit point that keeps values by name, to be yielded at once.

        They are looked at when the commit is made, which is while the job waits at its
        ``yield``. Nothing is copied or read for a point that is not committed.

        Parameters
        ----------
        items, flush, is_due
            See `CommitPoint`.
        **values
            By the names that `restore` was asked for, all of them.

        Raises
        ------
        JobDefinitionError
            Where it is yielded: if the names are others, or `restore` was not called.
        UnkeptValueError
            Where it is yielded: if a value cannot be kept. The first point tells.
        """
        ...

    def blocks(
        self,
        array: Any,  # noqa: ANN401 - whatever has a shape and gives rows
        *,
        rows: int,
        held: int = 1,
        name: str = "rows",
    ) -> Iterator[Any]:
        """Yield an array's rows, block by block, from the last commit on.

        A commit point that is yielded while the job has a block says that it is done: the
        place is kept with it, its rows are counted as its items where it names none, and
        progress is shown.

        Parameters
        ----------
        array
            Anything with ``shape`` that gives rows by ``array[start:stop]``: of NumPy, Zarr,
            h5py.
        rows
            Rows of a block. A memory setting will do, for the place is kept in rows, but
            not where the result depends on what is computed together, as sums of floats do.
        held
            Blocks that are read at once: a memory setting that changes no block.
        name
            Tells several passes of one job apart; each is gone through once.
        """
        ...

    def append(self, name: str) -> Appended:
        """Return a file in `staging` that grows: to add to, and to publish by its name.

        It begins as the last commit left it, and is on the disk before the next one counts
        on it.
        """
        ...

    def log(self, text: str) -> None:
        """Show one line to the user."""
        ...

    def note(self, text: str) -> None:
        """Show one line to the user, and keep it in the report."""
        ...

    def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show how far the job is, counted from its very start."""
        ...
