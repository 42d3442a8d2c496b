"""What the user sees while a job runs: lines and, on a terminal, one that moves.

What it says is `lowmem.report.live_line`'s; tqdm draws it: it knows the terminal's
width at any moment, and writes lines above. Without a terminal there is a line for each
epoch, and one a minute.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from lowmem.base.stderr import filled, unless_gone, without_controls
from lowmem.report.live_line import line_of, text_of, width_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from lowmem.base.clock import Clock
    from lowmem.report.live_line import LiveState
    from lowmem.supervisor.progress import Progress

# tqdm's own lock loads multiprocessing: 2 MiB for processes that never are.
tqdm.set_lock(threading.RLock())
# seconds between two drawings of a terminal's line: in the first minute of a worker, when
# somebody looks whether it moves, and later, when it moves once a second at most.
_REDRAW_S, _CALM_S = 0.5, 1.0
_EARLY_S = 60.0
# seconds between two lines of a log.
_LINE_S = 60.0
_APART_S = 1.0
# Columns of a line that is told; those of the terminal where these are fewer.
_LONGEST = 100
# Of a terminal that does not tell its width, as those of some programs do not.
_COLUMNS = 79


def is_terminal() -> bool:
    """Return whether stderr is a terminal on which a line can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Line(tqdm):  # type: ignore[misc]
    """One line of a terminal, drawn anew in its place."""

    # Else a thread would be started that draws where nobody has for a while.
    monitor_interval = 0

    def __init__(self, standing: LiveState) -> None:
        self.standing = standing
        super().__init__(file=sys.stderr, dynamic_ncols=True, bar_format="")

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return line_of(self.standing, self._columns(), is_ascii=bool(self.ascii))

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the line, however high the terminal says that it is."""
        # One that tells no size is -1 lines high for tqdm, which then draws nothing.
        self.nrows = None
        return bool(super().display(msg, pos))

    def status_printer(self, file: TextIO) -> Callable[[str], None]:
        """Return what draws a text over the one before it.

        tqdm's own fills up to the former width: on a terminal that was made narrower
        the blanks go on to further lines, and a line that is old stays above.
        """
        drawn = 0

        def draw(text: str) -> None:
            nonlocal drawn
            n_drawn = width_of(text)
            n_blank = min(drawn, self._columns()) - n_drawn
            file.write(f"\r{text}{' ' * n_blank}")
            file.flush()
            drawn = n_drawn

        return draw

    def _columns(self) -> int:
        # tqdm leaves the last column free, where a terminal may wrap; of one that tells
        # no width it says -1.
        columns = self.dynamic_ncols(self.fp)[0] if self.dynamic_ncols else 0
        return columns if columns and columns > 0 else _COLUMNS


@dataclass(slots=True, kw_only=True)
class Screen:
    """The course of one worker's job; silent where the user wants it so.

    A terminal that is gone takes nothing any more and fails no job: the hang-up's signal
    stops that in good order.

    Attributes
    ----------
    is_shared
        Whether a program of the user's writes there too: then nothing is drawn between
        its lines before it tells of its progress.
    """

    progress: Progress
    clock: Clock
    is_quiet: bool = False
    is_shared: bool = False
    _drawn: Line | None = None
    _is_terminal: bool = field(init=False)
    _due_s: float = 0.0
    _said: LiveState | None = None

    def __post_init__(self) -> None:
        self._is_terminal = is_terminal()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with unless_gone():
            # The worker has gone: what it held is over, but its peak is not.
            last = replace(self._now(), ram_bytes=None, vram_bytes=None)
            if self._drawn is not None:
                self._drawn.standing = last
                self._drawn.close()
            elif self._has_news():
                self._say(last)

    def line(self, text: str) -> None:
        """Show one line."""
        if not self.is_quiet:
            with unless_gone():
                words = f"{self.progress.job}: {without_controls(text)}"
                # A log has a line for each thing that is told.
                shown = filled(words, _LONGEST) if self._is_terminal else words
                tqdm.write(shown, file=sys.stderr)

    def begin(self) -> None:
        """Show at once that the worker is being started."""
        self.progress.began_s = self.clock.monotonic()
        if self.is_shared:
            return
        if self._is_terminal:
            self.tick()
        else:
            self.line("starting")
            self._due_s = self.progress.began_s + _LINE_S

    def moved(self, done: int, total: int | None, note: str) -> None:
        """Take what the worker tells of itself; in a log, an epoch's end is a line."""
        before = self._now()
        self.progress.moved(done, total, note, self.clock.monotonic())
        is_next = before.epoch not in {"", self._now().epoch}
        if is_next and not self._is_terminal and not self._has_just_said:
            self._say(before)

    @property
    def redraw_s(self) -> float:
        """Seconds after which to draw again."""
        age_s = self.clock.monotonic() - self.progress.began_s
        return _REDRAW_S if age_s < _EARLY_S else _CALM_S

    @property
    def is_due(self) -> bool:
        """Whether there is something to show by now: else `tick` shows nothing."""
        is_next = self._is_terminal or self.clock.monotonic() >= self._due_s
        return is_next and not self.is_quiet

    def tick(self) -> None:
        """Draw anew; without a terminal, say where the job stands once a minute."""
        now = self._now()
        if not self.is_due or (self.is_shared and now.done is None):
            return
        if not self._is_terminal:
            self._say(now)
            return
        with unless_gone():
            if self._drawn is None:
                self._drawn = Line(now)
            self._drawn.standing = now
            self._drawn.refresh()

    def _now(self) -> LiveState:
        return self.progress.standing(self.clock.monotonic())

    @property
    def _has_just_said(self) -> bool:
        """Whether a line is a second old at most: epochs may be shorter still."""
        return self.clock.monotonic() < self._due_s - _LINE_S + _APART_S

    def _has_news(self) -> bool:
        now, said = self._now(), self._said
        return now.done is not None and (said is None or said.done != now.done)

    def _say(self, standing: LiveState) -> None:
        self._said = standing
        self._due_s = self.clock.monotonic() + _LINE_S
        self.line(text_of(standing))
