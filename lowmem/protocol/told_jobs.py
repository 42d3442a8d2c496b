"""What a planner tells of jobs: their descriptions, and what they need."""

from __future__ import annotations

import msgspec

from lowmem.protocol.option import Option


class JobDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a `Job` that the command line needs.

    Attributes
    ----------
    reference
        What it was found by, see `typed`.
    uses_device
        See `Job.said_device_use`.
    is_adding, is_whole_for
        Whether it has a `Job.standing`; why it has no shards, empty where it has.
    """

    name: str
    summary: str
    unit: str
    options: tuple[Option, ...]
    reference: str = ""
    uses_device: bool | None = None
    is_adding: bool = False
    is_whole_for: str = ""

    @property
    def typed(self) -> str:
        """What is typed for it after ``lowmem run``."""
        return self.reference or self.name


class PlannedNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A missing artefact; see `lowmem.protocol.planning.Need`."""

    path: str
    job: str
    options: dict[str, str] | None
    reference: str = ""

    @property
    def typed(self) -> str:
        """What is typed for its job after ``lowmem run``."""
        return self.reference or self.job
