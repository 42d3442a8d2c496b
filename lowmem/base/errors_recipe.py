"""The error of a run that asks for another result than its workspace holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADVICE = (
    "Give the former values to continue, --restart to forget this job's progress, or "
    "another --workspace."
)


class RecipeChangedError(UsageError):
    """Raised when a job would continue with another recipe or other data.

    Parameters
    ----------
    held
        What the workspace holds of the job, and by which command; empty if not known.
    advice
        The command that does what was probably wanted.
    """

    def __init__(
        self,
        *,
        job: str,
        changes: Mapping[str, tuple[object, object]],
        held: str = "",
        advice: str = _ADVICE,
    ) -> None:
        self.changes = dict(changes)
        listed = "; ".join(
            f"{key} was {old!r}, now {new!r}" for key, (old, new) in changes.items()
        )
        found = f" The workspace holds {held}." if held else ""
        super().__init__(
            f"job {job} was begun with another recipe ({listed}), expected the same, "
            f"since mixing two would spoil the result.{found} {advice}"
        )


class SettingRefusedError(ModelError):
    """Raised before any work where a setting below the ladder's first cannot be used.

    A trial that ends so takes every setting but the first from the ladder.
    """
