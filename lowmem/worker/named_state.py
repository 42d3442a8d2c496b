"""What a job keeps by name: put into what it gives, and taken when a commit is made.

How a value is taken apart is `lowmem.states`, as for `lowmem.Checkpoint`. Here is which
names there are, and that one job does not keep its state in two ways: what it then went
on from would depend on where it was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.errors import JobDefinitionError, NewerFormatError
from lowmem.base.errors_loop import OtherStateError
from lowmem.protocol.named_values import NO_VALUES, NamedValues

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowmem.protocol.commit_point import CommitPoint

# Key in the state of a commit, and the version of what is there.
VALUES = "lowmem_values"
_VERSION = 1
_LONG = "lowmem.CommitPoint(state=..., arrays=...)"


class NamedState:
    """The values by name of one attempt at a job.

    Parameters
    ----------
    job
        Its name, for messages.
    state, arrays
        Of the last commit, whole; empty where there is none.
    """

    def __init__(
        self, job: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        self._job = job
        self._kept: Mapping[str, Any] | None = None
        self._is_long = VALUES not in state and bool(state or arrays)
        if VALUES in state:
            self._kept = _known(state[VALUES])
        self._arrays = arrays if self._kept else {}
        self._asked: tuple[str, ...] | None = None
        self._is_tried = self._has_offered = False

    @property
    def is_kept(self) -> bool:
        """Whether the last commit holds values by name, so that its arrays are theirs."""
        return self._kept is not None

    def restore(self, given: Mapping[str, Any]) -> NamedValues:
        """Return the values of the last commit; see `Context.restore`."""
        self._refuse_taken(given)
        if self._asked is not None:
            raise self._error(
                "calls ctx.restore a second time",
                "one call that names all that it keeps",
            )
        if self._has_offered:
            raise self._error(
                "calls ctx.restore after its first point",
                "the call before it: a commit at that point would not hold these names",
            )
        if self._is_long:
            raise self._error(
                f"calls ctx.restore and has commits by {_LONG}",
                "one way to keep its state. A former state of its file made them: "
                "--restart begins anew. Else yield ctx.commit(...) at every point",
            )
        if self._kept is not None:
            self._refuse_other(given, self._kept, "its last commit holds")
        self._asked = tuple(given)
        found = given if self._kept is None else self._filled(given, self._kept)
        # Of the file that was open nothing more is read, and the names alone still count.
        self._arrays = {}
        if self._kept is not None:
            self._kept = dict.fromkeys(self._kept)
        return NamedValues(**{name: found[name] for name in given})

    def _filled(
        self, given: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        from lowmem.states.kinds import unpacked_by_name

        try:
            return unpacked_by_name(kept, self._arrays, given)
        except OtherStateError as error:
            raise OtherStateError(
                path=error.path,
                problem=error.problem,
                expected=error.expected,
                todo="Give ctx.restore what the job was begun with, or begin anew by "
                "--restart.",
            ) from error

    def check(self, point: CommitPoint) -> None:
        """Refuse a point that does not keep what the job goes on from.

        Raises
        ------
        JobDefinitionError
            If it keeps other names, or its state in another way.
        UnkeptValueError
            If a value cannot be kept: told at the first point, whether it is due or not.
        """
        self._has_offered = True
        if point.values is None:
            self._refuse_long()
            return
        self._refuse_taken(point.values)
        self.check_restored(point.values)
        self._refuse_other(point.values, self._asked or (), "ctx.restore was asked for")
        if not self._is_tried:
            from lowmem.states.kinds import packed_by_name

            packed_by_name(point.values)
            self._is_tried = True

    def check_restored(self, values: Collection[str] = ()) -> None:
        """Refuse a job that does not ask for what its last commit holds, or is to hold."""
        wanted = list(self._kept or values)
        if self._asked is None and wanted:
            names = ", ".join(f"{name}=..." for name in wanted)
            raise self._error(
                "did not call ctx.restore",
                f"ctx.restore({names}) before its first point: it gives back what was "
                "committed by these names",
            )

    def taken(
        self, point: CommitPoint
    ) -> tuple[Mapping[str, Any], Iterable[tuple[str, NDArray[np.generic]]]]:
        """Return what a commit is to hold of a point: JSON values, and arrays.

        An array is made when it is asked for, one at a time.
        """
        if point.values is None:
            return point.state, _pairs(point)
        from lowmem.states.kinds import packed_by_name

        trees, packer = packed_by_name(point.values)
        arrays = ((name, make()) for name, make in packer.arrays.items())
        return {VALUES: {"version": _VERSION, "values": trees}}, arrays

    def _refuse_long(self) -> None:
        if self._asked is not None:
            raise self._error(
                "calls ctx.restore and yields lowmem.CommitPoint(...)",
                "one way to keep its state: yield ctx.commit("
                f"{', '.join(f'{name}={name}' for name in self._asked)}) at every point, "
                f"or {_LONG} with ctx.state and ctx.arrays",
            )
        self.check_restored()

    def _refuse_other(
        self, given: Collection[str], known: Collection[str], holder: str
    ) -> None:
        more = [name for name in given if name not in known]
        lacking = [name for name in known if name not in given]
        if more or lacking:
            found = [f"names {', '.join(more)} anew"] * bool(more)
            found += [f"leaves out {', '.join(lacking)}"] * bool(lacking)
            raise self._error(
                " and ".join(found),
                f"the names that {holder}: {', '.join(known) or 'none'}. Where the job is "
                "meant to keep others by now, --restart begins anew",
            )

    def _refuse_taken(self, names: Collection[str]) -> None:
        for name in names:
            if name in NO_VALUES or name.startswith("_"):
                raise self._error(
                    f"keeps a value by the name {name!r}",
                    f"one without a leading _ and none of {', '.join(NO_VALUES)}, which "
                    "mean something else at a commit point. Give it another name",
                )

    def _error(self, problem: str, expected: str) -> JobDefinitionError:
        return JobDefinitionError(job=self._job, problem=problem, expected=expected)


def _pairs(point: CommitPoint) -> Iterable[tuple[str, NDArray[np.generic]]]:
    return point.arrays() if callable(point.arrays) else point.arrays.items()


def _known(found: Mapping[str, Any]) -> Mapping[str, Any]:
    version = found["version"]
    if version > _VERSION:
        raise NewerFormatError(
            path="the last commit's values", found=version, known=_VERSION
        )
    values: Mapping[str, Any] = found["values"]
    return values
