"""A folder in which a session is played: its jobs, and commands as a person types them."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lowmem.base.clock import SystemClock
from lowmem.base.workspace import Workspace
from lowmem.cli.watch import status_text
from tests.golden.placeholders import PLAIN, Kind, broken, replaced
from tests.golden.terminal import LONGEST_S, Shown
from tests.processes.lowmem_runs import LARGE, job_file, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

# As a person types it; where no script is installed, the same by its module.
_SCRIPT = Path(sysconfig.get_path("scripts")) / "lowmem"
LOWMEM = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "lowmem"]
# What a session takes over from whoever runs it: where programs are, and Keras' backend.
_TAKEN_OVER = ("PATH", "KERAS_BACKEND", "LD_LIBRARY_PATH")

# Sums squares. It can be held at a row: it says so by a file, tells where it stands until
# a file lets it go on, and commits then without telling anything new. Another file has it
# wait for the stop first: who reads of that on the screen knows it before the worker does,
# which would go on for some rows more.
COUNT = """
import gc, json, time, lowmem

def has_heard_of_a_stop():
    from lowmem.worker.channel import Channel
    return any(o.is_draining() for o in gc.get_objects() if isinstance(o, Channel))

def is_let_go(here):
    if (here / "go-once-stopped").exists():
        return has_heard_of_a_stop()
    return (here / "go").exists()

@lowmem.job(
    unit="rows",
    options=[
        lowmem.Option(name="rows", kind="int", default=12, minimum=1, help="Rows."),
        lowmem.Option(name="hold", kind="int", default=0, is_recipe=False,
                      help="Row at which to wait."),
    ],
    settings=({"block": 4}, {"block": 2}),
)
def count(ctx):
    'Count rows.'
    done, total = ctx.state.get("done", 0), ctx.state.get("total", 0)
    n, here = ctx.options["rows"], ctx.workspace.root.parent
    while done < n:
        total, done = total + done * done, done + 1
        while True:
            ctx.progress(done, n, f"loss {1 / done:.5f}")
            if done != ctx.options["hold"] or is_let_go(here):
                break
            (here / "held").touch()
            time.sleep(0.01)
        yield lowmem.CommitPoint(items=1, state={"done": done, "total": total})
    (ctx.staging / "count.json").write_text(json.dumps({"total": total}))
    return lowmem.Result(publish=["count.json"], summary={"total": total})
"""


@dataclass(slots=True)
class Playing:
    """A command under way, and the text of its session once it has ended."""

    shown: Shown
    words: tuple[str, ...]
    kind: Kind = PLAIN
    text: str = ""

    def end(self) -> str:
        """Wait for the end; return what is seen, as it is kept."""
        status, lines = self.shown.end()
        rows = rows_of(lines, self.shown.last_columns, self.kind)
        self.text = session_text(self.words, rows, status)
        return self.text


def rows_of(lines: list[str], columns: int | None, kind: Kind = PLAIN) -> list[str]:
    """Return the rows that are kept of what is seen in a window, or of a pipe's lines."""
    return broken(replaced(lines, columns, kind), columns)


def session_text(words: Sequence[str], seen: Sequence[str], status: int) -> str:
    """Return the text that is kept of a session: what was typed, seen, and the status."""
    typed = " ".join(["$", "lowmem", *words])
    return "\n".join([typed, *seen, f"[exit code {status}]", ""])


@dataclass(slots=True)
class Stage:
    """The folder of one session; a context manager, after which it is gone.

    Attributes
    ----------
    columns
        Of each window; None where all goes through a pipe.
    folder
        Its name is as long on any machine: so lines break at the same places.
    """

    columns: int | None
    folder: Path = field(init=False)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="g_", dir="/tmp"))
        job_file(self.folder, COUNT, "count.py")
        job_file(self.folder, LARGE, "large.py")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder)

    @property
    def env(self) -> dict[str, str]:
        """Variables of a person who has set none of their own."""
        taken = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
        plain = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": str(self.folder)}
        return taken | plain

    @contextmanager
    def playing(self, *words: str, kind: Kind = PLAIN) -> Iterator[Playing]:
        """Start ``lowmem`` with these words; its text is there after the block."""
        line = [*LOWMEM, *words]
        with Shown.start(line, self.columns, cwd=self.folder, env=self.env) as shown:
            played = Playing(shown, words, kind)
            yield played
            played.end()

    def play(self, *words: str, kind: Kind = PLAIN) -> str:
        """Type a line; return the text of its session."""
        with self.playing(*words, kind=kind) as played:
            pass
        return played.text

    def until_held(self, played: Playing, percent: int) -> None:
        """Wait until the job is held at its row, and whoever looks is told so."""
        space = Workspace.at(self.folder / "lowmem-work")
        held, process = self.folder / "held", played.shown.process
        until(lambda: held.exists() or process.poll() is not None, patience_s=LONGEST_S)
        assert held.exists(), played.shown.text
        until(
            lambda: f"now: {percent} %" in status_text(space, SystemClock()),
            patience_s=LONGEST_S,
            pause_s=0.1,
        )

    def let_go(self) -> None:
        """Let the job go on."""
        (self.folder / "go").touch()

    def let_go_once_stopped(self) -> None:
        """Let the job go on as soon as its worker has heard of the stop."""
        (self.folder / "go-once-stopped").touch()

    def hold_again(self) -> None:
        """Have the next run held at its row too."""
        for name in ("held", "go", "go-once-stopped"):
            (self.folder / name).unlink(missing_ok=True)
