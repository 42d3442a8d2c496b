"""What is typed in the sessions whose texts are kept.

Each function plays a sitting: a row of sessions in one folder, of which a later one sees
what an earlier one left. It returns the texts by their names.
"""

from __future__ import annotations

import os
import signal
import time

from tests.golden.placeholders import MACHINE, TABLE, TRAINED, WATCHED
from tests.golden.stage import LOWMEM, Stage, rows_of, session_text
from tests.golden.terminal import Shown, emulated
from tests.processes.lowmem_runs import until

# seconds; what comes sooner is taken for an echo of the first.
_SECOND_CTRL_C_S = 0.3
# Columns from which on the table of `lowmem usage` is in one part.
_WHOLE_TABLE = 60
BUDGET = ("--ram-budget", "2G", "--device", "cpu")
SMALL = ("--ram-budget", "900M", "--device", "cpu")
RUN = ("run", "count.py", *BUDGET, "--cycle-steps", "5")


def looking(columns: int | None) -> dict[str, str]:
    """The help, a plan and a wrong option: nothing runs."""
    with Stage(columns) as stage:
        return {
            "bare": stage.play(),
            "plan": stage.play("plan", "count.py", *BUDGET),
            "wrong-option": stage.play("run", "count.py", "--rowz", "3"),
        }


def looking_further(columns: int | None) -> dict[str, str]:
    """What differs by no width: the long form of help, a wrong job, and the machine."""
    with Stage(columns) as stage:
        return {
            "help": stage.play("--help"),
            "wrong-job": stage.play("run", "trian"),
            "doctor": _found_aside(stage.play("doctor", kind=MACHINE)),
        }


def _found_aside(text: str) -> str:
    """Return what doctor tells, less the advice, which depends on the place."""
    table, _, _ = text.partition("\n\n")
    return f"{table}\n\n<what limits, what is suggested, what is wrong>\n"


def running(columns: int | None) -> dict[str, str]:
    """One job to its end, in spite of Ctrl-C; and all that tells of it."""
    with Stage(columns) as stage:
        return {
            "too-small": stage.play("run", "large.py", *SMALL),
            "stopped": _stopped(stage),
            "status": stage.play("status", kind=TABLE),
            **_resumed_and_watched(stage),
            "report": stage.play("report", kind=TABLE),
            "usage": _usage(stage),
        }


def killed(columns: int | None) -> dict[str, str]:
    """One job whose every process ends by SIGKILL, and that goes on by the same line."""
    with Stage(columns) as stage:
        with stage.playing(*RUN, "--hold", "9") as lost:
            stage.until_held(lost, 75)
            os.kill(lost.shown.process.pid, signal.SIGKILL)
        return {
            "after-kill-status": stage.play("status", kind=TABLE),
            "after-kill": stage.play(*RUN),
            "repeated": stage.play(*RUN),
            "verify": stage.play("verify"),
            "after-kill-report": stage.play("report", kind=TABLE),
        }


def stopping_at_once(columns: int | None) -> dict[str, str]:
    """Ctrl-C twice: the second does not wait for a commit."""
    with Stage(columns) as stage, stage.playing(*RUN, "--hold", "7") as played:
        stage.until_held(played, 58)
        played.shown.interrupt()
        played.shown.wait_for("stopping at the next commit")
        over_s = time.monotonic() + _SECOND_CTRL_C_S
        until(lambda: time.monotonic() > over_s)
        played.shown.interrupt()
    return {"stopped-at-once": played.text}


def training(columns: int | None) -> dict[str, str]:
    """A real training of two epochs, of 64 drawn faces."""
    with Stage(columns) as stage:
        faces = ("--source", "faces:64", "--size", "16", "--quiet")
        made = stage.play("run", "ingest", *BUDGET, *faces)
        words = ("--epochs", "2", "--filters", "4,8", "--latent-dim", "4")
        return {
            "ingest-quiet": made,
            "train": stage.play("run", "train", *BUDGET, *words, kind=TRAINED),
        }


def scripted(columns: int | None) -> dict[str, str]:
    """A run under `script`: in a window, whose width it passes on, or in none."""
    del columns
    line = ["script", "--quiet", "--return", "--command", " ".join([*LOWMEM, *RUN])]
    told = {}
    for name, width in (("in-a-window", 80), ("without", None)):
        with (
            Stage(width) as stage,
            Shown.start(
                [*line, "/dev/null"], width, cwd=stage.folder, env=stage.env
            ) as shown,
        ):
            status, lines = shown.end()
        if width is None:
            lines = emulated("\n".join(lines), 80)
        told[name] = session_text(RUN, rows_of(lines, 80), status)
    return told


def resized(columns: int | None) -> dict[str, str]:
    """Runs whose window gets another width while the job is at its seventh row."""
    del columns
    return {
        f"from-{first}-to-{second}": _resized(first, second)
        for first, second in ((40, 200), (200, 40))
    }


def _resized(first: int, second: int) -> str:
    with Stage(first) as stage, stage.playing(*RUN, "--hold", "7") as played:
        stage.until_held(played, 58)
        before = len(played.shown.text)
        played.shown.resize(second)
        # Some lines are drawn for the new width before the job goes on.
        until(lambda: _is_drawn_for(played.shown.text[before:], first, second))
        stage.let_go()
    return played.text


def _is_drawn_for(text: str, first: int, second: int) -> bool:
    widths = [len(line.rstrip()) for line in text.split("\r")[1:-1]]
    is_wider = second > first
    return any(w > first if is_wider else 0 < w <= second for w in widths)


def _usage(stage: Stage) -> str:
    """Return what usage tells; where its table is cut in parts, these depend on figures."""
    text = stage.play("usage", kind=TABLE)
    if stage.columns is None or stage.columns >= _WHOLE_TABLE:
        return text
    head, _, rest = text.partition("\n\n")
    _, mark, rest = rest.partition("CPU hours by day")
    return f"{head}\n\n<the table, in parts>\n\n{mark}{rest}"


def _stopped(stage: Stage) -> str:
    with stage.playing(*RUN, "--hold", "7") as played:
        stage.until_held(played, 58)
        played.shown.interrupt()
        played.shown.wait_for("stopping at the next commit")
        stage.let_go_once_stopped()
    return played.text


def _resumed_and_watched(stage: Stage) -> dict[str, str]:
    stage.hold_again()
    with stage.playing(*RUN, "--hold", "9") as resumed:
        stage.until_held(resumed, 75)
        with stage.playing("watch", kind=WATCHED) as watching:
            watching.shown.wait_for("count: 75 %" if stage.columns is None else "75%")
            stage.let_go()
    return {"resumed": resumed.text, "watch": watching.text}
