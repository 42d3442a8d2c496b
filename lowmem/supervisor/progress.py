"""How far a job is: what its worker told and what was read, kept to be shown."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from lowmem.report.live_line import LiveState

# seconds: the rate is that of so long, from points so far apart: a validation or a
# commit within is part of it, and what was long ago is not.
_WINDOW_S = 120.0
_APART_S = 1.0


@dataclass(slots=True, kw_only=True)
class Rate:
    """Items a second over the last two minutes."""

    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def moved(self, done: int, at_s: float) -> None:
        """Take a count of items, and its monotonic time."""
        points = self._points
        if points and done < points[-1][1]:
            # Work that was lost is done again.
            points.clear()
        if len(points) > 1 and points[-1][0] - points[-2][0] < _APART_S:
            points.pop()
        points.append((at_s, done))
        while at_s - points[0][0] > _WINDOW_S and len(points) > 2:  # noqa: PLR2004 - two ends
            points.popleft()

    def now(self, at_s: float) -> float | None:
        """Return the rate up to a time; None while it cannot be told."""
        if not self._points:
            return None
        (first_s, first), (_, last) = self._points[0], self._points[-1]
        took_s = at_s - first_s
        return (last - first) / took_s if took_s > 0 and last > first else None


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is known of one worker's job at any moment.

    Attributes
    ----------
    began_s
        Monotonic time at which its worker was started.
    cycle
        Index of the cycle under way; None while the worker is not ready.
    """

    job: str
    unit: str
    ram_budget_bytes: int
    vram_budget_bytes: int | None = None
    began_s: float = 0.0
    cycle: int | None = None
    _done: int | None = None
    _total: int | None = None
    _note: str = ""
    _rate: Rate = field(default_factory=Rate)
    _ram_bytes: int | None = None
    _ram_peak_bytes: int | None = None
    _vram_bytes: int | None = None
    _vram_peak_bytes: int | None = None

    def moved(self, done: int, total: int | None, note: str, at_s: float) -> None:
        """Take what the worker tells of itself."""
        self._done, self._total, self._note = done, total, note
        self._rate.moved(done, at_s)

    def used(self, ram_bytes: int) -> None:
        """Take a reading of the whole tree."""
        self._ram_bytes = ram_bytes
        self._ram_peak_bytes = max(ram_bytes, self._ram_peak_bytes or 0)

    def used_of_device(self, vram_bytes: int) -> None:
        """Take a reading of the device."""
        self._vram_bytes = vram_bytes
        self._vram_peak_bytes = max(vram_bytes, self._vram_peak_bytes or 0)

    def standing(self, now_s: float) -> LiveState:
        """Return where the job stands at a monotonic time."""
        phase = "starting" if self.cycle is None else "running"
        return LiveState(
            job=self.job,
            unit=self.unit,
            phase=phase if self._done is None else "",
            elapsed_s=max(0.0, now_s - self.began_s),
            cycle=self.cycle,
            done=self._done,
            total=self._total,
            rate=self._rate.now(now_s),
            note=self._note,
            ram_bytes=self._ram_bytes,
            ram_peak_bytes=self._ram_peak_bytes,
            ram_budget_bytes=self.ram_budget_bytes,
            vram_bytes=self._vram_bytes,
            vram_peak_bytes=self._vram_peak_bytes,
            vram_budget_bytes=self.vram_budget_bytes,
        )
