"""Simulated machines of Colab: a real Jupyter kernel, a disk that is lost, a Drive that stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.notebooks.pairs import with_settings
from tests.processes.lowmem_runs import is_running, until

if TYPE_CHECKING:
    from collections.abc import Iterator

FAKE = Path(__file__).parent / "fake_colab"
ROOT = Path(__file__).parents[2]
# seconds; far more than any notebook here needs, even on a loaded machine.
PATIENCE_S = 900

# In a process of its own, so that what the client's libraries warn of stays there.
_PROGRAM = """
import json, sys, nbclient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
given, place, target = sys.argv[1:]
kinds = {"code": new_code_cell, "markdown": new_markdown_cell}
cells = [kinds[kind](source) for kind, source in json.loads(given)]
notebook = new_notebook(cells=cells)
client = nbclient.NotebookClient(
    notebook, kernel_name="python3", timeout=None,
    resources={"metadata": {"path": place}},
)
try:
    client.execute()
except CellExecutionError:
    pass
outputs = [cell.get("outputs", []) for cell in notebook.cells]
open(target, "w").write(json.dumps(outputs))
"""


@dataclass(frozen=True, slots=True)
class Executed:
    """What a notebook showed, cell by cell."""

    cells: list[tuple[str, str]]
    outputs: list[list[dict]]

    @property
    def errors(self) -> list[dict]:
        return [o for cell in self.outputs for o in cell if o["output_type"] == "error"]

    @property
    def text(self) -> str:
        """All that was printed, on one line."""
        texts = [o.get("text", "") for cell in self.outputs for o in cell]
        return " ".join("".join(texts).split())

    @property
    def displayed(self) -> list[str]:
        """The text form of all that was displayed."""
        data = [o.get("data", {}) for cell in self.outputs for o in cell]
        return ["".join(one.get("text/plain", "")) for one in data]

    def of(self, words: str) -> list[dict]:
        """Return what the cell showed whose source holds these words."""
        sources = [source for _, source in self.cells]
        return self.outputs[next(i for i, s in enumerate(sources) if words in s)]


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine: its disk, and how its Drive behaves."""

    folder: Path
    drive: Path
    ends: str = "mounted"

    @property
    def disk(self) -> Path:
        return self.folder / "content"

    @contextmanager
    def executing(self, name: str, **settings: object) -> Iterator[subprocess.Popen]:
        """Have a notebook executed by a kernel of the machine, from its first cell."""
        self.disk.mkdir(parents=True)
        self.drive.mkdir(exist_ok=True)
        cells = with_settings(
            name, {"PACKAGE": "lowmem", "LOCAL": str(self.disk), **settings}
        )
        (self.folder / "cells.json").write_text(json.dumps(cells))
        line = [sys.executable, "-c", _PROGRAM, json.dumps(cells), self.disk]
        with (self.folder / "log.txt").open("w") as log:
            process = subprocess.Popen(
                [*map(str, line), str(self.folder / "outputs.json")],
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            yield process
        finally:
            end_all(process)

    def execute(self, name: str, **settings: object) -> Executed:
        """Execute a notebook to its end."""
        with self.executing(name, **settings) as process:
            process.wait(PATIENCE_S)
            assert process.returncode == 0, (self.folder / "log.txt").read_text()
        cells, outputs = (
            json.loads((self.folder / file).read_text())
            for file in ("cells.json", "outputs.json")
        )
        return Executed([tuple(cell) for cell in cells], outputs)

    def lose(self, process: subprocess.Popen) -> None:
        """Destroy the machine: all processes at once, then its disk.

        What Drive was given last had not gone there as a whole.
        """
        end_all(process)
        shutil.rmtree(self.folder)
        newest = max(self.drive.rglob("*.lowmem"), key=lambda p: p.stat().st_mtime_ns)
        os.truncate(newest, newest.stat().st_size // 2)

    def _environment(self) -> dict[str, str]:
        plugins = self.folder / "plugins"
        info = plugins / "slow_drive-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: slow_drive\nVersion: 0\n"
        )
        source = (FAKE / "slow_drive.py").read_text()
        entry_point = next(x for x in source.split("\n") if x.startswith("ENTRY_POINT"))
        (info / "entry_points.txt").write_text(
            entry_point.partition("=")[2].strip().strip('"').replace("\\n", "\n")
        )
        faults = self.folder / "faults.txt"
        faults.write_text("late twice shuffled")
        paths = [FAKE, plugins, ROOT, ROOT / "jobs", os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(path) for path in paths if str(path)),
            "FAULTY_MIRROR": str(faults),
            "FAKE_DRIVE": str(self.drive),
            "FAKE_DRIVE_ENDS": self.ends,
        }


def end_all(process: subprocess.Popen) -> None:
    """Kill a process and all that it started, at once."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        everybody = [root, *root.children(recursive=True)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for one in everybody:
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(number)
        process.wait()
        until(lambda: not any(is_running(one.pid) for one in everybody))
