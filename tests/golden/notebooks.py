"""What is seen in a notebook, and in IPython in a terminal, of the same cells.

The texts are the same on every release of IPython that is supported: the cells show what
lowmem shows, and no frame of a traceback.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.golden.placeholders import TABLE
from tests.golden.stage import Stage, rows_of
from tests.golden.terminal import LONGEST_S, Shown, emulated
from tests.processes.lowmem_runs import until

_RUN = 'lowmem.run("count.py", ram="2G", device="cpu", cycle_steps=5'
CELLS = (
    "import lowmem",
    "%load_ext lowmem",
    f"space = {_RUN})",
    "space",
    f"space = {_RUN})",
    f"{_RUN}, rowz=3)",
    "%%lowmem --ram 300MiB\nx = b'x' * 10**6\nlen(x) + 1",
    "%%lowmem --ram 300MiB\ndef load_all():\n    return b'x' * 10**9\nload_all()",
    "with lowmem.budget(ram='300MiB') as used:\n    total = sum(range(10))",
    "used",
    "total",
)
# Releases of IPython draw the cell's own frames in their own ways, and a notebook's last
# line is kept alone.
_FAILING = "%%lowmem --ram 300MiB\n1 / 0"
# In a process of its own, so that what the client's libraries warn of stays there.
_PROGRAM = """
import json, sys, nbclient
from nbformat.v4 import new_code_cell, new_notebook
cells = [new_code_cell(cell) for cell in json.loads(sys.argv[1])]
notebook = new_notebook(cells=cells)
nbclient.NotebookClient(
    notebook, kernel_name="python3", allow_errors=True, timeout=250
).execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""
# How IPython asks for a further line of a cell.
_MORE = "...: "
# Columns; a notebook breaks no line of an output.
_WIDE = 300
_TAGS = (("</tr>", "\n"), ("</p>", "\n"), ("</th>", " | "), ("</td>", " | "))


def jupyter(columns: int | None) -> dict[str, str]:
    """Return what a notebook shows below each cell."""
    del columns
    cells = (*CELLS, _FAILING)
    with Stage(None) as stage:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM, json.dumps(cells)],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=True,
            cwd=stage.folder,
            env=_with_kernels(stage),
        )
    outputs = json.loads(done.stdout.splitlines()[-1])
    parts = []
    for number, (cell, shown) in enumerate(zip(cells, outputs, strict=True), 1):
        parts += [f"In [{number}]:", *cell.split("\n")]
        parts += [line for output in _merged(shown) for line in _lines_of(output)]
        parts.append("")
    return {"cells": "\n".join(parts)}


def _with_kernels(stage: Stage) -> dict[str, str]:
    return stage.env | {"IPYTHONDIR": str(stage.folder / "ipython")}


def _merged(outputs: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the outputs, of one stream in several parts one: how many is of no meaning."""
    found: list[dict[str, object]] = []
    for output in outputs:
        name = output.get("name")
        if found and name is not None and found[-1].get("name") == name:
            found[-1] = output | {"text": f"{found[-1]['text']}{output['text']}"}
        else:
            found.append(output)
    return found


def _lines_of(output: dict[str, object]) -> list[str]:
    """Return what a person sees of one output of a cell."""
    kind = output["output_type"]
    if kind == "stream":
        return [f"[{output['name']}]", *_seen(str(output["text"]))]
    if kind == "error":
        told = _seen("\n".join(output["traceback"]))
        return [f"[error {output['ename']}]", told[-1]]
    data = output["data"]
    lines = _seen("".join(data["text/plain"]))
    if html := "".join(data.get("text/html", "")):
        return [f"[{kind}, as a table]", *_seen(_cells_of(html))]
    return [f"[{kind}]", *lines]


def _seen(text: str) -> list[str]:
    lines = emulated(text.replace("\n", "\r\n"), _WIDE)
    return rows_of(lines, None)


def _cells_of(html: str) -> str:
    for tag, text in _TAGS:
        html = html.replace(tag, text)
    return re.sub(r"<[^>]*>", "", html)


def ipython(columns: int | None) -> dict[str, str]:
    """Return what a terminal of 80 columns shows of the same cells in IPython."""
    del columns
    words = ["--simple-prompt", "--no-banner", "--no-confirm-exit"]
    line = [sys.executable, "-m", "IPython", *words]
    with (
        Stage(80) as stage,
        Shown.start(line, 80, cwd=stage.folder, env=_with_kernels(stage)) as shown,
    ):
        for number, cell in enumerate(CELLS, 1):
            shown.wait_for(f"In [{number}]:")
            _type_cell(shown, cell.split("\n"), f"In [{number + 1}]: ")
        shown.type("exit\n")
        status, lines = shown.end()
    # How often Enter is pressed to end a cell differs from release to release.
    lines = [line for line in lines if line.strip() != _MORE.strip()]
    return {
        "cells": "\n".join([*rows_of(lines, 80, TABLE), f"[exit code {status}]", ""])
    }


def _type_cell(shown: Shown, lines: list[str], following: str) -> None:
    """Type each line once it is asked for; Enter alone ends a cell of several."""
    first, *others = lines
    asked = shown.text.count(_MORE)
    shown.type(f"{first}\n")
    to_come = iter(others)
    while True:
        asked += 1
        until(
            lambda asked=asked: (
                following in shown.text or shown.text.count(_MORE) >= asked
            ),
            patience_s=LONGEST_S,
        )
        if following in shown.text:
            return
        shown.type(f"{next(to_come, '')}\n")
