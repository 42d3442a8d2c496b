"""What the journal is told of the end of a worker: pure."""

from __future__ import annotations

from lowmem.supervisor import decide


def incident_of(course: decide.Course, ending: decide.Ending) -> decide.Broke | None:
    """Return what is recorded of the end of a worker; None where nothing happened."""
    if isinstance(ending, decide.Broke):
        return ending
    if course.leaving is decide.Leaving.TIME:
        return decide.Broke(verdict="time")
    if course.leaving is decide.Leaving.STOP and isinstance(ending, decide.Left):
        return decide.Broke(verdict="signal", signal=course.stopped_by or None)
    return None
