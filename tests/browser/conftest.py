"""The browser, and the pages that it is shown: of a real run, and of a journal's story."""

from __future__ import annotations

import faulthandler
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lowmem.base.workspace import Workspace
from tests.browser.shown import BINARY, ENDLESS, QUIET
from tests.processes.lowmem_runs import (
    COUNTING,
    committed_cycles,
    job_file,
    lowmem,
    records,
    stop_after_commits,
)
from tests.report_examples import MIB, History, killed_and_retried, write_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from playwright.sync_api import Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A workspace's page, and what `lowmem report --json` says of it."""

    name: str
    page: Path
    told: dict[str, Any]


def reported(name: str, space: Path) -> Reported:
    """Write the page and the document by the commands that a person types."""
    page = space / "report.html"
    written = lowmem("report", space, "--html", page)
    assert written.status == 0, written
    told = lowmem("report", space, "--json")
    assert told.status == 0, told
    return Reported(name=name, page=page, told=json.loads(told.out))


@pytest.fixture(scope="session")
def automation() -> ModuleType:
    """Return what drives a browser; without it, or a browser, nothing is run to be shown."""
    missing = "`make browser` installs what drives Chromium"
    pytest.importorskip("axe_playwright_python", reason=missing)
    if BINARY is None:
        pytest.skip("no Chromium is installed")
    return pytest.importorskip("playwright.sync_api", reason=missing)


@pytest.fixture(scope="module")
def browser(automation) -> Iterator[Browser]:
    """Start Chromium for one file's tests: its event loop must not be met by others'."""
    with automation.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BINARY, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture(params=["studied", "retold"])
def report(request) -> Reported:
    """Return each of the two reports in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def studied(automation, tmp_path_factory) -> Reported:  # noqa: ARG001 - who needs it
    """Run the whole study at its smallest, and stop a job of one's own twice."""
    # Each command has a limit of its own, which a loaded machine may need.
    faulthandler.cancel_dump_traceback_later()
    folder = tmp_path_factory.mktemp("studied")
    space = folder / "work"
    done = lowmem(
        *("run", "all", "--workspace", space, "--ram-budget", "2G", "--quiet"),
        *("--source", "faces:300", "--size", "32", "--epochs", "2"),
        *("--latent-dim", "8", "--method", "all", "--count", "24"),
        patience_s=900,
    )
    assert done.status == 0, done
    job = job_file(folder, COUNTING, "count.py")
    for _ in range(2):
        n_before = len(committed_cycles(records(space)))
        stop_after_commits(job, space, n_before + 1, *ENDLESS)
    return reported("studied", space)


@pytest.fixture(scope="session")
def retold(automation, tmp_path_factory) -> Reported:  # noqa: ARG001 - who needs it
    """Tell of what a small run does not meet: kills, GPUs, notes, refusals."""
    space = Workspace.at(tmp_path_factory.mktemp("retold"))
    on_gpu = (
        History(job="encode").begin(batch_size=64).run(vram_budget_bytes=15 * 10**9)
    )
    on_gpu.start(0, device="gpu", device_name="Tesla T4")
    on_gpu.cycle(0, vram_peak_bytes=12000 * MIB).cycle(1, vram_peak_bytes=12100 * MIB)
    on_gpu.incident(verdict="crash", where=None, is_gpu_lost=True)
    on_gpu.start(2).cycle(2).note("the model knows no name for its layers")
    on_gpu.end("failed", 70, message="job encode failed: no space for the moon")
    refused = History(job="analyze").run().end("refused", 73, message="needs 9 GiB")
    write_journal(space, killed_and_retried(), on_gpu, refused)
    return reported("retold", space.root)
